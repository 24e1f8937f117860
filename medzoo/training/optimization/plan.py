"""How long and how fast to train, and what the loop returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from medzoo.training.optimization.schedule import Schedule
from medzoo.training.optimization.stopping import History, Monitor


@dataclass(frozen=True)
class TrainingPlan:
    """How long and how fast to train, and which layers.

    Args:
        epochs: passes over the training split, at most.
        optimizer: timm's name.
        learning_rate: the peak.
        weight_decay: on weights, not on biases and norms.
        warmup_epochs: linear warm-up; may be a fraction.
        gradient_clip: largest norm of the gradient; 0 does not clip.
        seed: of order, augmentation and noise.
        num_workers: processes that make batches.
        schedule: of the learning rate, see `Schedule`.
        warmup_learning_rate: before the first step of the warm-up.
        final_learning_rate: at the end of the cosine, and the smallest of a plateau.
        decay: factor per epoch ("exponential") or per plateau.
        plateau_epochs: epochs without a lower validation loss that a plateau allows.
        monitor: what is best on validation: the score or the loss.
        patience: epochs without a better one after which training stops, counted after the frozen epochs; 0 never stops early.
        layer_decay: factor of the learning rate per layer, towards the stem.
        train_blocks: number of last blocks that are trained with the head; -1 trains all layers.
        head_bias: whether the bias of the head is trained.
        frozen_epochs: first epochs, which train the head only, with their own optimizer.
        frozen_learning_rate: of these epochs; it is constant.
        ema: decay of a moving average of the weights, which is what validation sees; 0 is off.
        micro_batch_size: images of one forward pass; 0 computes the whole batch in one.
        compiled: whether the network is compiled (torch.compile).
        final_weight_decay: at the last step, reached along half a cosine; None keeps it constant.
    """

    epochs: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    warmup_epochs: float
    gradient_clip: float
    seed: int
    num_workers: int = 0
    schedule: Literal["cosine", "plateau", "exponential", "constant"] = "cosine"
    warmup_learning_rate: float = 0.0
    final_learning_rate: float = 0.0
    decay: float = 0.5
    plateau_epochs: int = 5
    monitor: Monitor = "metric"
    patience: int = 0
    layer_decay: float = 1.0
    train_blocks: int = -1
    head_bias: bool = True
    frozen_epochs: int = 0
    frozen_learning_rate: float = 1e-3
    ema: float = 0.0
    micro_batch_size: int = 0
    compiled: bool = False
    final_weight_decay: float | None = None

    def schedule_of(self, epoch_steps: int) -> Schedule:
        """The learning rate of the steps after the frozen epochs.

        Args:
            epoch_steps: steps per epoch.
        """
        return Schedule(
            peak=self.learning_rate,
            steps=(self.epochs - self.frozen_epochs) * epoch_steps,
            epoch_steps=epoch_steps,
            kind=self.schedule,
            warmup=round(self.warmup_epochs * epoch_steps),
            start=self.warmup_learning_rate,
            final=self.final_learning_rate,
            decay=self.decay,
            plateau_epochs=self.plateau_epochs,
        )


@dataclass
class Fitted:
    """The outcome of a training.

    Args:
        steps: done.
        resumes: how often the run was continued.
        history: validation values of every epoch.
        best_step: the step after the best epoch.
        best: the backbone's weights after the best epoch, if the loop keeps them.
        micro_batch_size: images of one forward pass at the end; 0 means the whole batch.
    """

    steps: int
    resumes: int
    history: History
    best_step: int | None
    best: dict[str, torch.Tensor]
    micro_batch_size: int = 0

    @property
    def scores(self) -> list[float | None]:
        """The score of every epoch."""
        return self.history.scores

    @property
    def best_epoch(self) -> int | None:
        """The epoch with the best monitored value."""
        return self.history.best_epoch
