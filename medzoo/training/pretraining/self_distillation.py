"""What DINO and DINOv2 share: a student with heads of prototypes, and a teacher that follows it."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from torch import nn

from medzoo.training.pretraining.distillation import linear_warmup
from medzoo.training.pretraining.prototype_head import PrototypeHead
from medzoo.training.pretraining.small_views import allow_sizes, patch_side
from medzoo.training.pretraining.teacher import Teacher
from medzoo.training.trainable import Trainable, half_cosine


class DistillationOptions(Protocol):
    """The options of the heads and of the teacher."""

    @property
    def prototypes(self) -> int:
        """Their number in a head."""

    @property
    def hidden(self) -> int:
        """Width of the hidden layers of a head."""

    @property
    def bottleneck(self) -> int:
        """Width of a head before the prototypes."""

    @property
    def first_teacher_temperature(self) -> float:
        """At the start."""

    @property
    def teacher_temperature(self) -> float:
        """After the warm-up."""

    @property
    def temperature_epochs(self) -> float:
        """Length of the warm-up."""

    @property
    def momentum(self) -> float:
        """Of the teacher, at the start."""

    @property
    def frozen_prototype_epochs(self) -> float:
        """First epochs that leave the prototypes fixed."""

    @property
    def keep(self) -> Literal["teacher", "student"]:
        """The network in the checkpoint."""


class SelfDistillation(Trainable):
    """A headless backbone with heads of prototypes, and the teacher of all.

    Args:
        backbone: a timm model that gives pooled features.
        options: of the method.
        heads: their number.
    """

    def __init__(self, backbone: nn.Module, options: DistillationOptions, heads: int) -> None:
        super().__init__(allow_sizes(backbone))
        self.schedule, self.patch = options, patch_side(backbone)
        width = int(backbone.num_features)  # type: ignore[arg-type]
        made = [PrototypeHead(width, options.hidden, options.bottleneck, options.prototypes) for _ in range(heads)]
        self.heads = nn.ModuleList(made)
        self.teacher = Teacher(self._student())

    def _student(self) -> nn.ModuleList:
        """What the teacher follows; the teacher's `net` has the same order."""
        return nn.ModuleList([self.backbone, *self.heads])

    def momentum_at(self, step: int) -> float:
        """The momentum of the teacher after a step: from its start to 1 along half a cosine.

        Args:
            step: of the optimizer, from 0.
        """
        return half_cosine(self.schedule.momentum, 1.0, step, self.steps)

    def temperature_at(self, step: int) -> float:
        """The temperature of the teacher in a step.

        Args:
            step: of the optimizer, from 0.
        """
        first, last = self.schedule.first_teacher_temperature, self.schedule.teacher_temperature
        return linear_warmup(first, last, step, round(self.schedule.temperature_epochs * self.epoch_steps))

    def before_update(self, step: int) -> None:
        """Leave the prototypes as they are in the first epochs: without a gradient, the optimizer skips them."""
        if step < self.schedule.frozen_prototype_epochs * self.epoch_steps:
            for head in self.heads:
                prototypes: Any = head.prototypes
                prototypes.weight.grad = None

    def after_update(self, step: int) -> None:
        """The teacher follows the student."""
        self.teacher.follow(self._student(), self.momentum_at(step))

    def finish(self) -> None:
        """Put the weights of the teacher into the backbone, if the checkpoint keeps the teacher."""
        if self.schedule.keep == "teacher":
            net: Any = self.teacher.net
            self.backbone.load_state_dict(net[0].state_dict())
