"""Optimizers by name (timm's), with one learning rate for all layers or one that falls towards the first layers."""

from __future__ import annotations

from typing import Any

import torch
from timm.optim import create_optimizer_v2, list_optimizers, param_groups_layer_decay

from medzoo.errors import UnknownNameError


def make_optimizer(
    model: torch.nn.Module, name: str, learning_rate: float, weight_decay: float, *, layer_decay: float = 1.0
) -> torch.optim.Optimizer:
    """Timm's optimizer of this name; biases and norms have no weight decay.

    Args:
        model: its trainable parameters are optimised; `.backbone` is a timm network if `layer_decay` is below 1.
        name: timm's name: "adamw", "sgd" (Nesterov, momentum 0.9), "lars", ...
        learning_rate: the peak.
        weight_decay: for weights of two or more dimensions.
        layer_decay: factor of the learning rate per layer, from the head to the stem; see `set_rate`.

    Source: https://arxiv.org/abs/2106.08254 (layer decay), timm's groups of layers
    """
    if layer_decay == 1.0:
        return create_optimizer_v2(
            model, opt=name, lr=learning_rate, weight_decay=weight_decay, filter_bias_and_bn=True
        )
    backbone: Any = model.backbone
    unscaled = {id(value) for value in backbone.parameters()}
    rest = [value for value in model.parameters() if id(value) not in unscaled and value.requires_grad]
    skipped = backbone.no_weight_decay() if hasattr(backbone, "no_weight_decay") else ()
    groups = param_groups_layer_decay(
        backbone, weight_decay=weight_decay, no_weight_decay_list=tuple(skipped), layer_decay=layer_decay
    )
    for group in groups:
        group.pop("param_names", None)
    if rest:
        groups.append({"params": rest, "weight_decay": weight_decay, "lr_scale": 1.0})
    return create_optimizer_v2(groups, opt=name, lr=learning_rate, weight_decay=weight_decay)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of a step in all groups; a group of early layers gets its share.

    Args:
        optimizer: from `make_optimizer`.
        rate: of the last layer.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)


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
