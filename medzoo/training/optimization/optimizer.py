"""Optimizers by name (timm's), with one learning rate for all layers or one that falls towards the first layers."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from timm.optim import create_optimizer_v2, get_optimizer_info, list_optimizers, param_groups_layer_decay

from medzoo.errors import UnknownNameError


def make_optimizer(
    model: torch.nn.Module, name: str, learning_rate: float, weight_decay: float, *, layer_decay: float = 1.0
) -> torch.optim.Optimizer:
    """Timm's optimizer of this name; biases and norms have no weight decay.

    It is torch's fused form, one kernel for all weights, where the optimizer has one.

    Args:
        model: its trainable parameters are optimised; `.backbone` is a timm network if `layer_decay` is below 1.
        name: timm's name: "adamw", "sgd" (Nesterov, momentum 0.9), "lars", ...
        learning_rate: the peak.
        weight_decay: for weights of two or more dimensions.
        layer_decay: factor of the learning rate per layer, from the head to the stem; see `set_rate`.

    Source: https://arxiv.org/abs/2106.08254 (layer decay), timm's groups of layers
    """
    shared: dict[str, Any] = {"opt": name, "lr": learning_rate, "weight_decay": weight_decay}
    if _has_fused_form(name):
        shared["fused"] = True
    if layer_decay == 1.0:
        return _checked(create_optimizer_v2(model, filter_bias_and_bn=True, **shared))
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
    return _checked(create_optimizer_v2(groups, **shared))


def _checked(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    if optimizer.param_groups[0].get("fused"):
        optimizer.register_step_pre_hook(_unfuse_other_layouts)
    return optimizer


def _has_fused_form(name: str) -> bool:
    try:
        made = get_optimizer_info(name).opt_class
    except ValueError:  # unknown names are refused where the optimizer is created
        return False
    return "fused" in inspect.signature(made).parameters


def _unfuse_other_layouts(optimizer: torch.optim.Optimizer, *_: object) -> None:
    """Before the first step, use the plain form where a gradient is not stored in the order of its parameter.

    torch's fused form goes through both in the order of the memory. On a CPU it does not compare the orders (torch 2.15), and so
    would change the wrong weights: parameters in channels_last with contiguous gradients. Autograd stores gradients like their
    parameters, but a hook may not.
    """
    if optimizer.state:  # not the first step; a saved state restores the choice
        return
    for group in optimizer.param_groups:
        pairs = [(value.grad, value) for value in group["params"] if value.grad is not None]
        if any(_order(gradient) != _order(parameter) for gradient, parameter in pairs):
            group["fused"] = False


def _order(tensor: torch.Tensor) -> list[int]:
    """The strides of a tensor; those of axes with one element say nothing."""
    return [step for step, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1]


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of a step in all groups; a group of early layers gets its share.

    Args:
        optimizer: from `make_optimizer`.
        rate: of the last layer.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)


def set_weight_decay(optimizer: torch.optim.Optimizer, weight_decay: float) -> None:
    """Set the weight decay of a step in all groups that have any.

    Args:
        optimizer: from `make_optimizer`.
        weight_decay: of weights of two or more dimensions.
    """
    for group in optimizer.param_groups:
        if group["weight_decay"]:
            group["weight_decay"] = weight_decay


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
