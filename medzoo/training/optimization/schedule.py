"""The learning rate as a function of the step and of the validation losses so far, so that a resumed run needs no state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Schedule:
    """The learning rate of every step: a linear warm-up, then one of four curves.

    Args:
        peak: the learning rate after the warm-up.
        steps: of the whole training.
        epoch_steps: steps per epoch.
        kind: "cosine": half a cosine down to `final`; "exponential": times `decay` after each epoch; "plateau": times `decay`
            when the validation loss no longer falls; "constant".
        warmup: steps of the warm-up.
        start: the learning rate before the first step of the warm-up.
        final: the learning rate at the end of the cosine, and the smallest of a plateau.
        decay: factor of "exponential" and "plateau".
        plateau_epochs: epochs without a lower loss that "plateau" allows.

    Source: https://arxiv.org/abs/1608.03983 (cosine), https://arxiv.org/abs/1706.02677 (warm-up),
    torch.optim.lr_scheduler.ReduceLROnPlateau (plateau)

    >>> schedule = Schedule(peak=1.0, steps=4, epoch_steps=2, warmup=2)
    >>> [round(schedule.rate(step), 3) for step in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    """

    peak: float
    steps: int
    epoch_steps: int
    kind: Literal["cosine", "plateau", "exponential", "constant"] = "cosine"
    warmup: int = 0
    start: float = 0.0
    final: float = 0.0
    decay: float = 0.5
    plateau_epochs: int = 5

    def rate(self, step: int, losses: Sequence[float] = ()) -> float:
        """The learning rate of a step.

        Args:
            step: from 0.
            losses: the validation loss of every epoch before this step; used by "plateau" only.
        """
        if step < self.warmup:
            return self.start + (self.peak - self.start) * (step + 1) / self.warmup
        if self.kind == "cosine":
            progress = (step - self.warmup) / max(1, self.steps - self.warmup)
            return self.final + (self.peak - self.final) * 0.5 * (1 + math.cos(math.pi * progress))
        if self.kind == "exponential":
            return self.peak * self.decay ** (step // self.epoch_steps)
        if self.kind == "plateau":
            return max(self.final, self.peak * self.decay ** plateaus(losses, self.plateau_epochs))
        return self.peak


def plateaus(losses: Sequence[float], allowed: int, threshold: float = 1e-4) -> int:
    """How often a loss has stopped falling, counted as torch's ReduceLROnPlateau does.

    Args:
        losses: one per epoch.
        allowed: epochs without a lower loss before a plateau is counted.
        threshold: the relative decrease that counts as lower.

    >>> plateaus([3.0, 2.0, 2.0, 2.0, 2.0], allowed=1)
    1
    """
    best, waiting, count = math.inf, 0, 0
    for loss in losses:
        if loss < best * (1 - threshold):
            best, waiting = loss, 0
        else:
            waiting += 1
        if waiting > allowed:
            count, waiting = count + 1, 0
    return count
