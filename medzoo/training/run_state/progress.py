"""The progress of a training: a bar with loss and score on a terminal, elsewhere one line per epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from medzoo import progress

if TYPE_CHECKING:
    import torch


Batch = TypeVar("Batch")


class TrainingProgress:
    """The progress of one training.

    Args:
        title: of the run.
        step: steps that were done before.
        epoch_steps: steps per epoch.
        epochs: of the whole training.
        batch_size: images per step, over all processes.
        scores: of the epochs so far; the loop appends to it.
        worded: formats a score, with the name of its metric.
    """

    def __init__(
        self,
        title: str,
        *,
        step: int,
        epoch_steps: int,
        epochs: int,
        batch_size: int,
        scores: Sequence[float | None],
        worded: Callable[[float], str],
    ) -> None:
        self.epochs, self.batch_size, self.scores, self.worded = epochs, batch_size, scores, worded
        self._steps = progress.Steps(title, epoch_steps * epochs, "step", done=step)
        self._total: torch.Tensor | None = None  # sum of the epoch's losses, on the device
        self._counted, self._since, self._waited = 0, 0.0, 0.0
        if step:
            total = f"{epoch_steps * epochs:,} steps (epoch {min(step // epoch_steps + 1, epochs)} of {epochs})"
            self._steps.line(f"continues after {step:,} of {total}{self._score()}")

    def _values(self) -> str:
        """Mean loss of the epoch so far and last score; it waits for the device, so it is not called at every step."""
        loss = "" if self._total is None else f"loss {float(self._total) / self._counted:.4f}"
        return loss + self._score()

    def _score(self) -> str:
        last = self.scores[-1] if self.scores else None
        return "" if last is None else f", {self.worded(last)}"

    def _speed(self) -> str:
        seconds = self._steps.seconds - self._since
        if seconds <= 0:
            return ""
        waited = f", {self._waited / seconds:.0%} waiting for images" if self._waited > 0.05 * seconds else ""
        return f", {self._counted * self.batch_size / seconds:,.0f} images/s{waited}"

    def batches(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches; the time until each arrives is counted as waiting.

        Args:
            batches: of an epoch.
        """
        while True:
            began = time.monotonic()
            batch = next(batches, None)
            self._waited += time.monotonic() - began
            if batch is None:
                return
            yield batch

    def step(self, loss: torch.Tensor) -> None:
        """Count a step.

        Args:
            loss: of its batch.
        """
        self._total = loss.detach().clone() if self._total is None else self._total.add_(loss.detach())
        self._counted += 1
        self._steps.update(1, lambda: self._values() + self._speed())

    def epoch(self, number: int) -> None:
        """Write the line of a finished epoch.

        Args:
            number: of the epoch, from 0.
        """
        speed = self._speed()
        seconds, self._since = self._steps.seconds - self._since, self._steps.seconds
        values = f"{self._values()}, {progress.duration(seconds)}{speed}".removeprefix(", ")
        self._steps.line(f"epoch {number + 1} of {self.epochs}: {values}{self._steps.ends()}")
        self._total, self._counted, self._waited = None, 0, 0.0

    def close(self) -> None:
        """Close the bar."""
        self._steps.close()
