"""Saved states that continue a run bit for bit: tensors as safetensors, the rest as JSON, never a pickle.

No generator state is saved: order, augmentation and noise are functions of (seed, epoch, index, step).
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from medzoo import store
from medzoo.errors import IntegrityError, ResumeError
from medzoo.training.run_state.run_folder import RunFolder, other_processes
from medzoo.zoo.models.weights import load_tensors

KEEP = 2
_TENSORS, _FACTS = "tensors.safetensors", "facts.json"


@dataclass
class State:
    """Everything that a run needs to continue: its step, and its tensors by group ("model", "optimizer", "best", "ema")."""

    step: int
    tensors: dict[str, dict[str, torch.Tensor]]
    facts: dict[str, Any]


def _flat_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    state = optimizer.state_dict()
    tensors: dict[str, torch.Tensor] = {}
    scalars: dict[str, Any] = {}
    for number, entries in state["state"].items():
        for key, value in entries.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{number}.{key}"] = value
            else:
                scalars[f"{number}.{key}"] = value
    return tensors, {"scalars": scalars, "groups": state["param_groups"]}


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
    entries: dict[int, dict[str, Any]] = {}
    for key, value in [*tensors.items(), *facts["scalars"].items()]:
        number, _, name = key.partition(".")
        entries.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": entries, "param_groups": facts["groups"]})
    # states are written contiguous; a fused optimizer goes through weights and moments in the order of the memory
    for value, own in optimizer.state.items():
        for key, moment in own.items():
            if isinstance(moment, torch.Tensor) and moment.shape == value.shape and moment.stride() != value.stride():
                own[key] = torch.empty_like(value, dtype=moment.dtype).copy_(moment)


def save_state(
    folder: Path,
    step: int,
    *,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    best: dict[str, torch.Tensor],
    facts: dict[str, Any],
    ema: dict[str, torch.Tensor] | None = None,
) -> Path:
    """Write one complete state into `folder`, then remove all but the newest ones.

    Args:
        folder: the run's folder of states.
        step: steps done.
        model: the objective with its backbone.
        optimizer: its optimizer.
        best: weights of the best epoch so far, or empty.
        facts: JSON values for the loop.
        ema: moving averages of the weights, or empty.
    """
    optimizer_tensors, optimizer_facts = _flat_optimizer(optimizer)
    groups = {"model": model.state_dict(), "optimizer": optimizer_tensors, "best": best, "ema": ema or {}}
    # clone: safetensors cannot write tied or strided tensors
    tensors = {
        f"{group}/{key}": value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for group, entries in groups.items()
        for key, value in entries.items()
    }
    target = folder / f"step-{step:09d}"
    with store.atomic_folder(target, manifest=True) as temporary:
        save_file(tensors, temporary / _TENSORS)
        store.write_json(temporary / _FACTS, {"step": step, "optimizer": optimizer_facts, **facts})
    for old in states(folder)[KEEP:]:
        shutil.rmtree(old, ignore_errors=True)
    store.sweep(folder)
    return target


def states(folder: Path) -> list[Path]:
    """The state folders of a run, newest first."""
    return sorted(folder.glob("step-*"), reverse=True)


def load_state(folder: Path) -> tuple[State | None, list[str]]:
    """The newest complete state, and a message for each damaged one that was skipped.

    Args:
        folder: the run's folder of states, or one state's folder.

    Raises:
        ResumeError: if there are states and all are damaged.
    """
    skipped: list[str] = []
    for path in [folder] if (folder / _FACTS).is_file() else states(folder):
        try:
            store.verify_manifest(path)
        except IntegrityError as error:
            skipped.append(str(error))
            continue
        facts = json.loads((path / _FACTS).read_text())
        tensors: dict[str, dict[str, torch.Tensor]] = {"model": {}, "optimizer": {}, "best": {}, "ema": {}}
        for key, value in load_tensors(path / _TENSORS).items():
            group, _, name = key.partition("/")
            tensors[group][name] = value
        return State(facts["step"], tensors, facts), skipped
    if skipped:
        raise ResumeError(
            f"All states in {folder} are damaged: {' '.join(skipped)} Start again with another --out.",
            code="states-damaged",
        )
    return None, skipped


def check_identity(saved: dict[str, Any], run: RunFolder) -> None:
    """Check that a saved state belongs to a run.

    Args:
        saved: identity of the run that saved it.
        run: that wants to continue.

    Raises:
        ResumeError: if they have other options, or another number of processes.
    """
    if saved == run.identity:
        return
    if difference := other_processes(saved, run.identity):
        text = f"The state in {run.source} belongs to this run. {difference}"
        raise ResumeError(text, code="number-of-processes-changed")
    text = f"The state in {run.source} belongs to other options. Repeat those, or start with another --out."
    raise ResumeError(text, code="state-of-other-run")


def restore(state: State, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Load a state's tensors; a name or shape that differs is an error.

    Raises:
        ResumeError: if the state belongs to another model.
    """
    try:
        model.load_state_dict(state.tensors["model"])
        _load_optimizer(optimizer, state.tensors["optimizer"], state.facts["optimizer"])
    except (RuntimeError, ValueError, KeyError) as error:
        raise ResumeError(f"The saved state does not fit this model: {error}", code="state-of-other-model") from error
