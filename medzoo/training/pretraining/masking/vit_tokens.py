"""The pooled output and the patch tokens of a plain vision transformer, with some patches replaced by a learned token."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from medzoo.training.pretraining.masking.mask_tokens import replaced_patches
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
    with replaced_patches(network, mask, token):
        features = network.forward_features(images)
    return network.forward_head(features, pre_logits=True), patch_tokens(network, features)
