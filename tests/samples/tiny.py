"""A tiny network with everything that makes exact resume hard (dropout, batch norm, momentum), and tiny data."""

from types import MappingProxyType

import numpy as np
import torch
from torch import nn

from medzoo.data.decode_cache.decoded import Decoded


class TinyNet(nn.Module):
    """A network with what the loop asks of a timm network: a classifier, and groups of layers."""

    num_features = 8
    pretrained_cfg = MappingProxyType({"classifier": "head"})
    group_matcher = staticmethod(lambda coarse=False: {"stem": "^conv", "blocks": [("^norm", (0,))]})

    def get_classifier(self) -> nn.Module:
        return self.head

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8)
        self.drop, self.head = nn.Dropout(0.3), nn.Linear(8, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(self.norm(self.conv(x)).relu().mean((2, 3))))


def tiny_vit(outputs: int = 0, **options) -> nn.Module:
    """A vision transformer with 16 patches, dropout and 16 features; no head unless `outputs` is 3."""
    from timm.models.vision_transformer import VisionTransformer

    usual = {"img_size": 16, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2, "drop_path_rate": 0.1}
    return VisionTransformer(**{**usual, "num_classes": outputs if outputs == 3 else 0, **options})


def tiny_swin(outputs: int = 0) -> nn.Module:
    """A Swin transformer with 16 patches; no head unless `outputs` is 3."""
    from timm.models.swin_transformer import SwinTransformer

    return SwinTransformer(
        img_size=16, patch_size=2, embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=2,
        num_classes=outputs if outputs == 3 else 0,
    )  # fmt: skip


class TinySegmenter(nn.Module):
    """A segmentation network with what the tuner asks of one, and with everything that makes exact resume hard."""

    pretrained_cfg = MappingProxyType(
        {
            "classifier": ("decoder", "segmentation_head"),
            "mean": (0.5,) * 3,
            "std": (0.5,) * 3,
            "first_conv": "encoder.0",
        }
    )

    def __init__(self, outputs: int = 1, norm: bool = True) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8) if norm else nn.GroupNorm(2, 8))
        self.decoder = nn.Sequential(nn.ReLU(), nn.Dropout2d(0.3 if norm else 0.0))
        self.segmentation_head = nn.Conv2d(8, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.segmentation_head(self.decoder(self.encoder(x)))


def masked_rows(count: int = 22, classes: int = 1, side: int = 16) -> Decoded:
    """Bright rectangles; the brightness says the class."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 60, (count, side, side), dtype=np.uint8)
    masks = np.zeros_like(images)
    for row in range(count):
        top, left = rng.integers(0, side - 6, 2)
        number = 1 + row % classes
        masks[row, top : top + 6, left : left + 6] = number
        images[row][masks[row] > 0] += np.uint8(60 * number)
    names = [f"i{k}" for k in range(count)]
    return Decoded(images, np.zeros(count, np.int64), names, names, 255.0, "1" * 64, masks=masks)


def decoded_rows(count: int = 22, classes: int = 3, side: int = 16) -> Decoded:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % classes
    images = rng.integers(0, 90, (count, side, side), dtype=np.uint8) + (labels * 70).astype(np.uint8)[:, None, None]
    names = [f"i{k}" for k in range(count)]
    return Decoded(images=images, labels=labels.astype(np.int64), ids=names, groups=names, scale=255.0, sha256="0" * 64)
