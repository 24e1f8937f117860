"""What a training says while it runs: a bar with loss and score on a terminal, elsewhere a line an epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from medzoo import progress

if TYPE_CHECKING:
    import torch


class TrainingProgress:
    """The progress of one training.

    Args:
        title: of the run, for people.
        step: steps that were done before.
        an_epoch: steps an epoch.
        epochs: of the whole training.
        batch_size: images a step, over all processes.
        scores: of the epochs so far; the loop appends to it.
        worded: a score with the name of its metric.
    """

    def __init__(
        self, title: str, *, step: int, an_epoch: int, epochs: int, batch_size: int, scores: Sequence[float],
        worded: Callable[[float], str],
    ) -> None:  # fmt: skip
        self.an_epoch, self.epochs, self.batch_size, self.scores, self.worded = (
            an_epoch,
            epochs,
            batch_size,
            scores,
            worded,
        )
        self._steps = progress.Steps(title, an_epoch * epochs, "step", done=step)
        self._total: torch.Tensor | None = None  # of the losses of the epoch, where they lie
        self._counted, self._since = 0, 0.0
        if step:
            whole = f"{an_epoch * epochs:,} steps (epoch {min(step // an_epoch + 1, epochs)} of {epochs})"
            self._steps.line(f"goes on after {step:,} of {whole}{self._score()}")

    def _words(self) -> str:
        """Mean loss of the epoch so far and last score; a device is waited for, so this is not asked every step."""
        loss = "" if self._total is None else f"loss {float(self._total) / self._counted:.4f}"
        return loss + self._score()

    def _score(self) -> str:
        return f", {self.worded(self.scores[-1])}" if self.scores else ""

    def _speed(self) -> str:
        seconds = self._steps.seconds - self._since
        return f", {self._counted * self.batch_size / seconds:,.0f} images/s" if seconds > 0 else ""

    def step(self, loss: torch.Tensor) -> None:
        """Note a step.

        Args:
            loss: of its batch.
        """
        self._total = loss.detach().clone() if self._total is None else self._total.add_(loss.detach())
        self._counted += 1
        self._steps.update(1, lambda: self._words() + self._speed())

    def epoch(self, number: int) -> None:
        """Say how an epoch ended.

        Args:
            number: of the epoch, from 0.
        """
        seconds, self._since = self._steps.seconds - self._since, self._steps.seconds
        said = f"{self._words()}, {progress.duration(seconds)}".removeprefix(", ")
        self._steps.line(f"epoch {number + 1} of {self.epochs}: {said}{self._steps.ends()}")
        self._total, self._counted = None, 0

    def close(self) -> None:
        """End the bar."""
        self._steps.close()
