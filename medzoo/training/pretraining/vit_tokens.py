"""The pooled output and the patch tokens of a plain vision transformer, with some patches replaced by a learned token."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from medzoo.training.tokens.network_tokens import patch_tokens


def masked_tokens(
    backbone: nn.Module, images: torch.Tensor, mask: torch.Tensor | None = None, token: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The pooled output (N, D) and the patch tokens (N, T, D) of images.

    Args:
        backbone: a plain vision transformer of timm, after `allow_sizes`.
        images: (N,C,H,W).
        mask: (N, rows, columns) bool, True where the token takes the place of a patch, before positions are added.
        token: (D,).
    """
    network: Any = backbone
    handle = None

    if mask is not None and token is not None:
        masked, replacement = mask[..., None], token

        def replace(module: nn.Module, given: Any, patches: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
            return torch.where(masked, replacement.to(patches.dtype), patches)

        handle = network.patch_embed.register_forward_hook(replace)
    try:
        features = network.forward_features(images)
    finally:
        if handle is not None:
            handle.remove()
    return network.forward_head(features, pre_logits=True), patch_tokens(network, features)
