"""Medzoo's training loop as a way: `Loop.fit` as the recipes call it, with a clock between two of its batches."""

from __future__ import annotations

import copy
import itertools
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from gpu_parts.clock import Window
from gpu_parts.lab import Lab
from medzoo import progress
from medzoo.training.accelerator import make_accelerator
from medzoo.training.compute import Compute
from medzoo.training.loop import Loop
from medzoo.training.optimization.plan import TrainingPlan
from medzoo.training.run_state.run_folder import RunFolder
from medzoo.training.trainable import Trainable

BETWEEN = 9  # steps between two that the loop logs
_numbers = itertools.count()


class Ready:
    """One batch on the device, again and again, with the methods of medzoo's batches."""

    def __init__(self, batch: dict[str, Any], images: int) -> None:
        self.batch, self.batch_size = batch, images

    def set_epoch(self, epoch: int) -> None:
        """Every epoch is the same."""

    def from_step(self, first: int, workers: int, target: torch.device | None = None) -> Iterator[dict[str, Any]]:
        """The batch, without end."""
        while True:
            yield self.batch


class Clocked:
    """The batches of an epoch that is one window: some steps first, the timed ones, and one more, at which the clock stops.

    Args:
        inner: batches, which are repeated.
        lab: of the run.
    """

    def __init__(self, inner: Any, lab: Lab) -> None:
        self.inner, self.lab, self.batch_size = inner, lab, inner.batch_size
        self.warm, self.steps, self.epoch = 0, 1, 0
        self.taken: Window | None = None

    def __len__(self) -> int:
        return self.warm + self.steps + 1

    def set_epoch(self, epoch: int) -> None:
        """The loop's epochs are windows; those of the data follow one another."""

    def from_step(self, first: int, workers: int, target: torch.device | None = None) -> Iterator[dict[str, Any]]:
        """The batches of the window; the time to make a batch belongs to its step."""
        endless = self._endless(workers, target)
        for number in range(first, len(self)):
            if number == self.warm:
                self.lab.clock.start()
            if number == self.warm + self.steps:
                self.taken = self.lab.clock.stop(self.steps)
            yield next(endless)

    def _endless(self, workers: int, target: torch.device | None) -> Iterator[dict[str, Any]]:
        while True:
            self.inner.set_epoch(self.epoch)
            self.epoch += 1
            yield from self.inner.from_step(0, workers, target)


class LoopWay:
    """Medzoo's loop with AdamW, a schedule and gradient clipping, the defaults of its protocol; bf16.

    Args:
        objective: what is trained.
        batches: `Batches` or `Ready`.
        lab: of the run.
        fastest: as with --compile and --no-deterministic of the recipes; else with deterministic algorithms, the default.
        workers: processes that make batches.
        drain: as for `StepWay`.
    """

    def __init__(
        self, objective: Trainable, batches: Any, lab: Lab, *, fastest: bool = False, workers: int = 0, drain: int = 0
    ) -> None:  # fmt: skip
        self.images, self.drain = batches.batch_size, drain
        self.compute = Compute(lab.device.type, "bf16", torch.get_num_threads(), 1, deterministic=not fastest)
        self.clocked = Clocked(batches, lab)
        plan = TrainingPlan(1, "adamw", 1e-3, 0.05, 0.0, 1.0, 0, num_workers=workers, compiled=fastest)
        self.run = RunFolder(lab.folder / f"run-{next(_numbers)}", "finetune", {}, {}, resume="never")
        self.run.path.mkdir(parents=True)
        accelerator = make_accelerator("bf16", "cpu" if lab.device.type == "cpu" else None)
        self.loop = Loop(objective, self.clocked, plan, self.run, accelerator)  # type: ignore[arg-type]

    def window(self, warm: int, steps: int) -> Window:
        """One epoch of the loop, with a new optimizer; its last step is not in the window."""
        clocked, loop = self.clocked, self.loop
        clocked.warm, clocked.steps, clocked.taken = warm + self.drain, steps, None
        loop.epoch_steps = loop.steps = len(clocked)
        loop.step = 0
        self.run.saved(0, 0)  # no state is due inside the window
        with progress.brief(), self.compute.applied():
            loop.fit()
        assert clocked.taken is not None
        return clocked.taken


def count_flops(objective: Trainable, batch: dict[str, Any], lab: Lab, images: int = 2) -> float:
    """Floating point operations of a training step per image: forward and backward, counted by torch.

    Args:
        objective: it is copied.
        batch: of at least `images` images.
        lab: of the run.
        images: with which the step is done.
    """
    objective = copy.deepcopy(objective).to(lab.device).train()
    objective.start(steps=1, epoch_steps=1, seed=0)
    for module in objective.modules():  # counted as products on every device
        if hasattr(module, "fused_attn"):
            module.fused_attn = False  # type: ignore[assignment]
    cut = {
        key: [part[:images] for part in value] if isinstance(value, list) else value[:images]
        for key, value in batch.items()
    }
    with FlopCounterMode(display=False) as counter:
        with lab.autocast():
            loss = objective(cut, 0)["loss"]
        forward = counter.get_total_flops()
        loss.backward()
    # torch counts the backward pass of grouped convolutions as if they had one group
    grouped = any(getattr(module, "groups", 1) > 1 for module in objective.modules())
    return (3 * forward if grouped else counter.get_total_flops()) / images


def find_syncs(way: LoopWay, lab: Lab) -> dict[str, int] | None:
    """The lines where the host waits for the device in the steps between two logged ones, by torch's own check; None on a CPU."""
    if not lab.is_cuda:
        return None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lab.clock.around = (lambda: torch.cuda.set_sync_debug_mode("warn"), lambda: torch.cuda.set_sync_debug_mode(0))
        try:
            way.window(10, BETWEEN)  # the loop logs steps 10 and 20
        finally:
            lab.clock.around = None
            torch.cuda.set_sync_debug_mode(0)
    # the words of a wait, and not of torch's note on the mode itself
    waits = [one for one in caught if "called a synchronizing" in str(one.message)]
    return dict(Counter(f"{Path(one.filename).name}:{one.lineno}" for one in waits))
