"""Low-rank changes of the queries and values of attention, trained instead of the weights and merged into them afterwards."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from medzoo.errors import MissingExtraError, UsageError


def add_lora(model: nn.Module, rank: int) -> None:
    """Freeze a network and add low-rank changes to the q and v of every attention block; they and the head are trained.

    The changes start at zero, so that the function of the network is unchanged.

    Args:
        model: a timm network whose attention computes q, k and v by one linear layer named `qkv`.
        rank: of the changes; a larger rank trains more parameters.

    Raises:
        MissingExtraError: without peft.
        UsageError: if the network has no such attention.

    Source: https://arxiv.org/abs/2106.09685 (q and v), https://github.com/huggingface/peft
    """
    names = [name for name, module in model.named_modules() if _is_qkv(name, module)]
    if not names:
        raise UsageError(
            f"lora_rank is {rank}, but {type(model).__name__} has no attention layers named qkv, so there is nothing to adapt. "
            "Use lora_rank = 0, or train_blocks to train its last blocks.",
            code="lora-without-attention",
        )
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise MissingExtraError("peft", "lora", "LoRA") from error
    settings = LoraConfig(r=rank, lora_alpha=rank, target_modules=names, lora_dropout=0.0)
    inject_adapter_in_model(settings, model)
    for layer in _layers(model):
        up = layer.lora_B["default"].weight  # (3 * width, rank): the rows of q, k and v
        up.register_hook(_without_keys)
    head: Any = model.get_classifier()  # type: ignore[operator]
    head.requires_grad_(True)


def merge_lora(model: nn.Module) -> None:
    """Add the low-rank changes to the weights and remove their layers: the result is a plain network.

    Args:
        model: after `add_lora` and training.
    """
    for layer in _layers(model):
        layer.merge()
        parent, _, name = _name_of(model, layer).rpartition(".")
        setattr(model.get_submodule(parent), name, layer.get_base_layer())
    model.requires_grad_(True)


def _is_qkv(name: str, module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) and name.endswith("qkv") and module.out_features == 3 * module.in_features


def _without_keys(gradient: torch.Tensor) -> torch.Tensor:
    """The gradient without the rows of k: they stay zero, since they start at zero and weight decay keeps zero."""
    third = len(gradient) // 3
    gradient = gradient.clone()
    gradient[third : 2 * third] = 0
    return gradient


def _layers(model: nn.Module) -> list[Any]:
    from peft.tuners.lora import LoraLayer

    return [module for module in model.modules() if isinstance(module, LoraLayer)]


def _name_of(model: nn.Module, wanted: nn.Module) -> str:
    return next(name for name, module in model.named_modules() if module is wanted)
