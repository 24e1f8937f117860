"""What DINO and DINOv2 share: a student with heads of prototypes, and a teacher that follows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from medzoo.training.options.fields import option
from medzoo.training.pretraining.distillation import linear_warmup
from medzoo.training.pretraining.prototype_head import PrototypeHead
from medzoo.training.pretraining.small_views import allow_sizes, patch_side
from medzoo.training.pretraining.teacher import Taught, Teacher
from medzoo.training.trainable import called_part


@dataclass(frozen=True)
class DistillationOptions:
    """Options of the heads and of the teacher."""

    prototypes: int = option("number of prototypes", 65_536, metavar="N", least=2, most=1_048_576)
    hidden: int = option("width of the hidden layers of the head", 2048, metavar="N", least=1, most=65_536)
    bottleneck: int = option("width of the head before the prototypes", 256, metavar="N", least=1, most=65_536)
    temperature: float = option("temperature of the student", 0.1, metavar="T", above=0)
    first_teacher_temperature: float = option("temperature of the teacher at the start", 0.04, metavar="T", above=0)
    teacher_temperature: float = option("temperature of the teacher after its warm-up", 0.07, metavar="T", above=0)
    temperature_epochs: float = option("length of this warm-up", 30.0, metavar="EPOCHS", least=0)
    momentum: float = option("momentum of the teacher at the start; it rises to 1", 0.996, metavar="M", least=0, most=1)
    center_momentum: float = option("momentum of the center", 0.9, metavar="M", least=0, most=1)
    frozen_prototype_epochs: float = option(
        "first epochs that leave the prototypes fixed", 1.0, metavar="EPOCHS", least=0
    )
    keep: Literal["teacher", "student"] = option(
        "the network in the checkpoint; after few steps, the teacher is still close to the start", "teacher"
    )


class SelfDistillation(Taught):
    """A headless backbone with heads of prototypes, and the teacher of all.

    Args:
        backbone: a timm model that gives pooled features.
        options: of the method.
        heads: their number.
    """

    def __init__(self, backbone: nn.Module, options: DistillationOptions, heads: int) -> None:
        super().__init__(allow_sizes(backbone), options.momentum)
        self.schedule, self.patch = options, patch_side(backbone)
        width = int(backbone.num_features)  # type: ignore[arg-type]
        made = [PrototypeHead(width, options.hidden, options.bottleneck, options.prototypes) for _ in range(heads)]
        self.heads = nn.ModuleList(made)
        self.teacher = Teacher(self.student())

    def student(self) -> nn.ModuleList:
        """What the teacher follows; the teacher's `net` has the same order."""
        return nn.ModuleList([self.backbone, *self.heads])

    def compiled_modules(self) -> list[nn.Module]:
        """The networks and the heads, of the student and of the teacher."""
        networks = self.backbone, self.teacher.parts()[0]
        called = [called_part(network, whole=not self.masks_images) for network in networks]
        return [*called, *self.heads, *self.teacher.parts()[1:]]

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

    @property
    def kept_network(self) -> nn.Module:
        """The network of the teacher, or of the student."""
        return self.teacher.parts()[0] if self.schedule.keep == "teacher" else self.backbone

    def finish(self) -> None:
        """Put the weights of the teacher into the backbone, if the checkpoint keeps the teacher."""
        if self.schedule.keep == "teacher":
            self.backbone.load_state_dict(self.kept_network.state_dict())
