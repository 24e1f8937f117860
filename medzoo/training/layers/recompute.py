"""Less memory for more time: activations are computed again in the backward pass (gradient checkpointing)."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from medzoo.errors import UsageError


def recompute_layers(backbone: nn.Module) -> None:
    """Let a network keep fewer activations: its blocks are computed again in the backward pass, with the same noise.

    Args:
        backbone: a timm model; it is changed in place.

    Raises:
        UsageError: if it has BatchNorm layers, whose running statistics would move twice in a step, or cannot recompute.
    """
    network: Any = backbone
    why = ""
    # in any mode: a loaded network is in evaluation mode until the training begins
    if any(isinstance(layer, _BatchNorm) for layer in backbone.modules()):
        why = "its BatchNorm layers would see every batch twice"
    elif not callable(getattr(backbone, "set_grad_checkpointing", None)):
        why = "timm has no such form of it"
    if why:
        raise UsageError(
            f"--recompute is not possible for {type(backbone).__name__}: {why}. Choose a smaller "
            "--batch-size, or --precision bf16.",
            code="recompute-not-possible",
        )
    network.set_grad_checkpointing(True)
