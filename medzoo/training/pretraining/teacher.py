"""A teacher: a copy of a network that follows it as a moving average and gets no gradient."""

from __future__ import annotations

import copy
from typing import Self

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from medzoo.training.trainable import Trainable, half_cosine


class Teacher(nn.Module):
    """A copy of a network whose weights are t = momentum * t + (1 - momentum) * w after each step.

    Buffers are the copy's own: BatchNorm layers keep the running statistics of what the teacher sees. Its other layers stay in
    evaluation mode, so a teacher has no dropout. The copy is a part of the objective, so saved states contain it.

    Args:
        student: the network; it is copied as it is.

    >>> student = nn.Linear(1, 1)
    >>> teacher = Teacher(student)
    >>> before, _ = teacher.net.weight.clone(), student.weight.data.add_(1.0)
    >>> teacher.follow(student, momentum=0.75)
    >>> bool(torch.equal(teacher.net.weight, 0.75 * before + 0.25 * student.weight))
    True
    """

    def __init__(self, student: nn.Module) -> None:
        super().__init__()
        self.net = copy.deepcopy(student).requires_grad_(False)
        self.train(student.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the BatchNorm layers; all others stay in evaluation mode.

        Args:
            mode: whether BatchNorm layers use the statistics of the batch.
        """
        super().train(False)
        for module in self.net.modules():
            if isinstance(module, _BatchNorm):
                module.train(mode)
        return self

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The outputs of the copy, without a gradient.

        Args:
            images: (N,C,H,W).
        """
        outputs: torch.Tensor = self.net(images)
        return outputs

    def parts(self) -> list[nn.Module]:
        """The modules of a copied nn.ModuleList or nn.Sequential, in their order."""
        return list(self.net.children())

    @torch.no_grad()
    def follow(self, student: nn.Module, momentum: float) -> None:
        """Move the weights towards those of the student.

        Args:
            student: the network, with the same parameters.
            momentum: share of the old weights.
        """
        mine: list[torch.Tensor] = list(self.net.parameters())
        values: list[torch.Tensor] = list(student.parameters())
        if mine:  # all in a few kernels; a kernel for each weight takes longer to start than to run
            torch._foreach_mul_(mine, momentum)
            torch._foreach_add_(mine, values, alpha=1 - momentum)


class Taught(Trainable):
    """The base of objectives with a teacher. Subclasses make `teacher` of `student()`, after the layers that it follows.

    Args:
        backbone: a timm model.
        momentum: of the teacher at the start; it goes to 1 along half a cosine.
    """

    projector: nn.Module
    teacher: Teacher

    def __init__(self, backbone: nn.Module, momentum: float) -> None:
        super().__init__(backbone)
        self.first_momentum = momentum

    def student(self) -> nn.Module:
        """What the teacher follows; the checkpoint keeps the backbone of the student."""
        return nn.Sequential(self.backbone, self.projector)

    def compiled_modules(self) -> list[nn.Module]:
        """The network, and the teacher."""
        return [*super().compiled_modules(), self.teacher.net]

    def momentum_at(self, step: int) -> float:
        """The momentum of the teacher after a step.

        Args:
            step: of the optimizer, from 0.
        """
        return half_cosine(self.first_momentum, 1.0, step, self.steps)

    def after_update(self, step: int) -> None:
        """The teacher follows the student."""
        self.teacher.follow(self.student(), self.momentum_at(step))
