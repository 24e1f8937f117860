"""Optimizers by name (timm's), and the learning rate as a pure function of the step."""

from __future__ import annotations

import math

import torch
from timm.optim import create_optimizer_v2, list_optimizers

from medzoo.errors import UnknownNameError


def make_optimizer(
    model: torch.nn.Module, name: str, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Timm's optimizer of this name; biases and norms have no weight decay.

    Args:
        model: its trainable parameters are optimised.
        name: timm's name: "adamw", "sgd" (Nesterov, momentum 0.9), "lars", ...
        learning_rate: the peak.
        weight_decay: for weights of two or more dimensions.
    """
    return create_optimizer_v2(model, opt=name, lr=learning_rate, weight_decay=weight_decay, filter_bias_and_bn=True)


def check_optimizer(name: str) -> None:
    """Refuse an optimizer that cannot be created: the name is unknown, or a package that it needs is not installed.

    Args:
        name: timm's name.

    Raises:
        UnknownNameError: with the nearest names.

    >>> check_optimizer("adamw")
    """
    try:
        make_optimizer(torch.nn.Linear(2, 2), name, 1e-3, 0.0)
    except Exception as error:  # each optimizer raises its own kind of error
        why = str(error).rstrip(".").partition("\n")[0][:200] or type(error).__name__
        raise UnknownNameError(
            "optimizer", name, list_optimizers(), f"It cannot be created ({why}); see timm.optim.list_optimizers()."
        ) from error


def learning_rate_at(step: int, *, peak: float, steps: int, warmup: int) -> float:
    """The learning rate of a step: linear warm-up, then half a cosine down to zero at the last step.

    Source: https://arxiv.org/abs/1608.03983 (cosine), https://arxiv.org/abs/1706.02677 (warm-up)

    >>> [round(learning_rate_at(s, peak=1.0, steps=4, warmup=2), 3) for s in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
