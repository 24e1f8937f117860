"""The validation history of a run: which epoch is the best, and whether training stops early."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Monitor = Literal["metric", "loss"]


@dataclass
class History:
    """The validation values of every epoch so far.

    Args:
        monitor: what is best: "metric" (the higher score) or "loss" (the lower loss).
        patience: epochs without a better one after which training stops; 0 never stops early.
        scores: the higher, the better; None where the metric is undefined.
        losses: None where the loss was not computed.
        frozen_epochs: first epochs, which train the head only; patience begins after them.

    >>> history = History("loss", patience=2, scores=[0.5, 0.6, 0.6], losses=[1.0, 1.1, 1.2])
    >>> history.best_epoch, history.stops
    (0, True)
    """

    monitor: Monitor = "metric"
    patience: int = 0
    scores: list[float | None] = field(default_factory=list)
    losses: list[float | None] = field(default_factory=list)
    frozen_epochs: int = 0

    def add(self, score: float | None, loss: float | None) -> bool:
        """Add an epoch; returns whether it is the best so far (the first of equal ones).

        Args:
            score: of the epoch.
            loss: of the epoch.
        """
        self.scores.append(score)
        self.losses.append(loss)
        return self.best_epoch == len(self.scores) - 1

    @property
    def best_epoch(self) -> int | None:
        """The first epoch with the best monitored value; None if no epoch has one."""
        values = self.scores if self.monitor == "metric" else [None if x is None else -x for x in self.losses]
        known = [(value, -epoch) for epoch, value in enumerate(values) if value is not None]
        return -max(known)[1] if known else None

    @property
    def stops(self) -> bool:
        """Whether as many epochs as `patience` have passed since the best one, and since the last one of the head alone."""
        best = self.best_epoch
        if not self.patience or best is None:
            return False
        return len(self.scores) - 1 - max(best, self.frozen_epochs - 1) >= self.patience
