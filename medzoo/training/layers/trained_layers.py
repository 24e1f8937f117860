"""Which layers are trained: all, the head, or the head and the last blocks. Frozen layers stay in evaluation mode."""

from __future__ import annotations

from typing import Any

import torch
from timm.models import group_parameters
from torch import nn

from medzoo.errors import UsageError

ALL = -1


def is_transformer(model: nn.Module) -> bool:
    """Whether a timm network is built from attention blocks: layer decay and drop path are for these."""
    return any(type(module).__name__.endswith("Attention") for module in model.modules())


def head_parameters(model: nn.Module) -> set[str]:
    """The names of the parameters of the classifier; a network without one has an empty set."""
    names: set[str] = set()
    config: Any = getattr(model, "pretrained_cfg", {})
    given = config.get("classifier") or ()
    for prefix in (given,) if isinstance(given, str) else given:
        names |= {name for name, _ in model.named_parameters() if name.startswith(f"{prefix}.")}
    return names


def set_trained(model: nn.Module, blocks: int = ALL) -> None:
    """Freeze all layers except the head and the last blocks.

    Args:
        model: a timm network.
        blocks: the number of blocks, counted from the end; 0 trains the head only, -1 all layers.

    Raises:
        UsageError: if the network has no head, or fewer blocks.

    >>> import timm
    >>> net = timm.create_model("resnet18", num_classes=2)
    >>> set_trained(net, blocks=1)
    >>> sorted({name.split(".")[0] for name, value in net.named_parameters() if value.requires_grad})
    ['fc', 'layer4']
    """
    if blocks == ALL:
        model.requires_grad_(True)
        return
    trained = set(head_parameters(model))
    if not trained:
        raise UsageError("The network has no head that could be trained alone.", code="network-without-head")
    if blocks:
        trained |= _last_blocks(model, blocks)
    for name, value in model.named_parameters():
        value.requires_grad_(name in trained)


def _last_blocks(model: nn.Module, blocks: int) -> set[str]:
    """The parameters of the last blocks, with the norm after them; blocks as timm groups them."""
    matcher: Any = model.group_matcher
    groups: dict[int, list[str]] = group_parameters(model, matcher(coarse=False))
    numbers = sorted(groups)
    # group 0 is the stem, the last one is the head (with the final norm, if there is one)
    available = numbers[1:-1]
    if blocks > len(available):
        raise UsageError(
            f"train_blocks is {blocks}, but the network has {len(available)} blocks. Give a smaller number, or -1 for all layers.",
            code="train-blocks-too-many",
        )
    return {name for number in [*available[-blocks:], numbers[-1]] for name in groups[number]}


def freeze_modes(model: nn.Module) -> None:
    """Put every module without a trained parameter into evaluation mode: BatchNorm statistics and dropout stay as stored.

    Call it after `model.train()`.

    Args:
        model: the network, after `set_trained`.
    """
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(value.requires_grad for value in parameters):
            module.eval()


def has_batch_norm(model: nn.Module) -> bool:
    """Whether a network computes statistics over the batch while it trains."""
    kinds = torch.nn.modules.batchnorm._BatchNorm
    return any(isinstance(module, kinds) and module.training for module in model.modules())
