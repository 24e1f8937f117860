"""Repeat the step at which a run diverged, and report where the numbers stop being finite."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from medzoo import store
from medzoo.errors import DivergedError, ResumeError
from medzoo.training.loop import Loop
from medzoo.training.run_state.run_folder import DIVERGED

REPORT = "replay.json"


def replay(loop: Loop) -> dict[str, Any]:
    """Continue a diverged run from its last saved state to the step that diverged, and watch that step.

    The report is written to `replay.json` in the run folder: the images of the batch, the largest absolute value of every
    layer's output, the norm of every gradient, and the first layer with a value that is not finite.

    Args:
        loop: of the run, not started.

    Raises:
        ResumeError: if the folder holds no diverged run.
    """
    file = loop.run.path / DIVERGED
    if not file.is_file():
        raise ResumeError(
            f"{loop.run.path} holds no diverged run ({DIVERGED} is missing), so there is no step to replay.",
            code="replay-without-divergence",
        )
    facts: dict[str, Any] = json.loads(file.read_text())
    if facts["identity"] != loop.run.identity:
        raise ResumeError(
            f"{file} belongs to a run with other options. Repeat the command of that run with --replay.",
            code="replay-of-other-run",
        )
    loop.restore()
    outputs: dict[str, float] = {}
    loop.checks_each_loss, again = True, True
    try:
        with _watched(loop.objective, outputs):
            while loop.step < facts["step"]:
                outputs.clear()
                loop.train_next()
        again = False
    except DivergedError:
        facts = json.loads(file.read_text())  # of the first such step; a training on a GPU looks at some only
    gradients = {
        name: float(value.grad.norm()) for name, value in loop.objective.named_parameters() if value.grad is not None
    }
    broken = [name for name, value in outputs.items() if not _finite(value)]
    report = {
        **{key: facts[key] for key in ("step", "epoch", "ids", "learning_rate")},
        "diverged_again": again,
        "first_layer_not_finite": broken[0] if broken else None,
        "outputs": {name: _number(value) for name, value in outputs.items()},
        "gradients": {name: _number(value) for name, value in gradients.items()},
    }
    store.write_json(loop.run.path / REPORT, report)
    return report


def _finite(value: float) -> bool:
    return value == value and abs(value) != float("inf")


def _number(value: float) -> float | str:
    return value if _finite(value) else str(value)


@contextmanager
def _watched(model: torch.nn.Module, outputs: dict[str, float]) -> Iterator[None]:
    """Note the largest absolute value of every layer's output, in the order of the forward pass."""

    def watch(name: str) -> Any:  # noqa: ANN401 - a hook
        def hook(module: torch.nn.Module, inputs: Any, output: Any) -> None:  # noqa: ANN401
            if isinstance(output, torch.Tensor) and output.numel():
                outputs[name] = float(output.detach().abs().amax())

        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in model.named_modules() if name]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
