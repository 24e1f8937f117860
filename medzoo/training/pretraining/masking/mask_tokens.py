"""Networks that see a learned token in place of masked patches, and a decoder of pixels on their last map (SimMIM, GMML)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from medzoo.errors import UsageError
from medzoo.training.tokens.network_tokens import patch_tokens


def needs_patch_map(method: str, backbone: nn.Module) -> Any:  # noqa: ANN401 - a timm model
    """The network, if it is a plain vision transformer or a Swin transformer.

    Args:
        method: name of the objective.
        backbone: a timm model.

    Raises:
        UsageError: if it is another one.
    """
    from timm.layers import PatchEmbed
    from timm.models.swin_transformer import SwinTransformer
    from timm.models.swin_transformer_v2 import SwinTransformerV2
    from timm.models.vision_transformer import VisionTransformer

    kinds = VisionTransformer | SwinTransformer | SwinTransformerV2
    if not isinstance(backbone, kinds) or not isinstance(backbone.patch_embed, PatchEmbed):
        raise UsageError(
            f"Method {method} needs a plain vision transformer or a Swin transformer, and this network is a "
            f"{type(backbone).__name__}. Choose another architecture, or a method that trains any network (simclr, byol, swav).",
            code="architecture-not-for-method",
        )
    return backbone


def keep_unused_layers(backbone: nn.Module) -> None:
    """Leave the layers after the tokens as they are: a loss on patches gives them no gradient.

    Args:
        backbone: a timm model; it is changed in place.
    """
    for name in ("fc_norm", "head"):
        if (layer := getattr(backbone, name, None)) is not None:
            layer.requires_grad_(False)


@contextmanager
def replaced_patches(network: Any, mask: torch.Tensor | None, token: torch.Tensor | None) -> Iterator[None]:  # noqa: ANN401
    """A block in which a network sees a token in place of masked patches, before positions are added.

    Args:
        network: a plain vision transformer or a Swin transformer.
        mask: (N, rows, columns) bool on the grid of its patches; None replaces nothing.
        token: (D,).
    """
    if mask is None or token is None:
        yield
        return
    hidden, replacement = mask, token

    def replace(module: nn.Module, given: Any, patches: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        where = hidden.flatten(1) if patches.ndim == 3 else hidden
        return torch.where(where[..., None], replacement.to(patches.dtype), patches)

    handle = network.patch_embed.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()


def patch_map(
    backbone: nn.Module, images: torch.Tensor, mask: torch.Tensor | None = None, token: torch.Tensor | None = None
) -> torch.Tensor:
    """The last map (N, D, h, w) of images, with masked patches replaced by a token.

    Args:
        backbone: a plain vision transformer or a Swin transformer of timm.
        images: (N,C,H,W).
        mask: (N, rows, columns) bool on the grid of its patches; None replaces nothing.
        token: (D,).
    """
    network: Any = backbone
    with replaced_patches(network, mask, token):
        features = network.forward_features(images)
    if features.ndim == 4:  # Swin: (N, h, w, D)
        channels_first: torch.Tensor = features.permute(0, 3, 1, 2)
        return channels_first
    return patch_tokens(network, features).transpose(1, 2).unflatten(2, network.patch_embed.grid_size)


def last_stride(network: Any) -> int:  # noqa: ANN401 - a timm model
    """Pixels of the input for one position of the last map, in each direction.

    Args:
        network: a plain vision transformer or a Swin transformer.
    """
    return int(network.feature_info[-1]["reduction"])


class PixelDecoder(nn.Module):
    """A linear map from each position of a map to the pixels that it covers.

    Args:
        width: features of a position.
        channels: of the images.
        stride: pixels that a position covers, in each direction.
        hidden: width of two hidden layers; 0 for none.
    """

    def __init__(self, width: int, channels: int, stride: int, hidden: int = 0) -> None:
        super().__init__()
        out = channels * stride**2
        if hidden:
            layers: list[nn.Module] = [
                nn.Conv2d(width, hidden, 1), nn.GELU(), nn.Conv2d(hidden, hidden, 1), nn.GELU(), nn.Conv2d(hidden, out, 1)
            ]  # fmt: skip
        else:
            layers = [nn.Conv2d(width, out, 1)]
        self.layers, self.shuffle = nn.Sequential(*layers), nn.PixelShuffle(stride)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(N, channels, h * stride, w * stride) of (N, width, h, w)."""
        pixels: torch.Tensor = self.shuffle(self.layers(features))
        return pixels
