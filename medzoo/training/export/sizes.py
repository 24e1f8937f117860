"""The image sizes that a network takes: any from a smallest one, multiples of a patch, or only one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from medzoo.errors import UsageError


@dataclass(frozen=True)
class Sizes:
    """The image sizes of an exported network.

    Args:
        side: height and width of the usual image, pixels.
        dynamic: whether other heights and widths are possible.
        smallest: height and width, pixels.
        step: height and width are multiples of it, pixels.

    >>> Sizes(224, dynamic=True, smallest=32).others()
    ((288, 256), (32, 64))
    >>> Sizes(518, dynamic=True, smallest=14, step=14).others()
    ((602, 560), (14, 56))
    >>> Sizes(224).others()
    ()
    """

    side: int
    dynamic: bool = False
    smallest: int = 1
    step: int = 1

    def others(self) -> tuple[tuple[int, int], ...]:
        """Other heights and widths for the check of a file: larger ones, and the smallest height if it is another one."""
        if not self.dynamic:
            return ()
        by = -(-32 // self.step) * self.step  # a multiple of the step
        larger, smallest = (self.side + 2 * by, self.side + by), (self.smallest, self.smallest + by)
        return (larger, smallest) if self.smallest < self.side else (larger,)

    def from_bound(self, bound: int, *, strict: bool) -> Sizes:
        """The same sizes with the lower bound of a traced graph.

        Args:
            bound: the smallest height and width for which torch.export guarantees the graph, pixels.
            strict: whether the file refuses smaller images; otherwise the usual side is checked, and stays.

        >>> Sizes(32, dynamic=True, smallest=16).from_bound(33, strict=False).smallest
        32
        """
        smallest = -(-max(bound, self.smallest) // self.step) * self.step
        return replace(self, smallest=smallest if strict else min(smallest, self.side))


def is_fixed(model: nn.Module) -> bool:
    """Whether a network of timm is built for one size: its position tables or windows depend on it.

    Args:
        model: with a `pretrained_cfg`.
    """
    return bool(model.pretrained_cfg.get("fixed_input_size"))  # type: ignore[union-attr,operator]


def resizes_positions(model: nn.Module) -> bool:
    """Whether timm's `dynamic_img_size` lets a network with a fixed size take other ones: plain vision transformers.

    Args:
        model: of timm.
    """
    from timm.models.vision_transformer import VisionTransformer

    return isinstance(model, VisionTransformer) and getattr(model, "pos_embed", None) is not None


def patch_of(model: nn.Module) -> int:
    """Side of a patch, pixels; 1 for networks without patches.

    Args:
        model: of timm.
    """
    patches = getattr(model, "patch_embed", None)
    return int(patches.patch_size[0]) if patches is not None else 1


def check_patches(name: str, model: nn.Module, size: int) -> None:
    """Refuse a size that is not a whole number of patches.

    Args:
        name: of the checkpoint, for the message.
        model: of timm.
        size: side of the images, pixels.

    Raises:
        UsageError: names the sizes that work.
    """
    patch = patch_of(model)
    if size % patch:
        below, above = max(size // patch, 1) * patch, (size // patch + 1) * patch
        near = f"{below} or {above}" if below != above else str(above)
        raise UsageError(
            f"{name} has patches of {patch} x {patch} pixels, and size is {size}. Give a multiple of {patch}: {near}.",
            code="export-size-unsupported",
        )


def smallest_side(name: str, model: nn.Module, channels: int, usual: int) -> int:
    """The smallest side that a convolutional network takes: its stride, or more where it does not pad.

    Args:
        name: of the checkpoint, for the message.
        model: in eval mode.
        channels: of its input.
        usual: a side that it takes, pixels.

    Raises:
        UsageError: if it does not take its usual side.
    """
    low = min(stride_of(model), usual)
    if takes(model, channels, low):
        return low
    if not takes(model, channels, usual):
        raise UsageError(f"{name} does not take images of {usual} x {usual} pixels.", code="export-size-unsupported")
    return first_that_works(low, usual, lambda side: takes(model, channels, side))


def first_that_works(low: int, high: int, works: Callable[[int], bool], step: int = 1) -> int:
    """The smallest side that works, by bisection.

    Args:
        low: a side that does not work; a multiple of `step`.
        high: a larger side that works; a multiple of `step`.
        works: whether a side works; all sides above one that works do, too.
        step: sides are multiples of it.

    >>> first_that_works(32, 224, lambda side: side >= 75)
    75
    """
    while high - low > step:
        middle = (low + high) // (2 * step) * step
        low, high = (low, middle) if works(middle) else (middle, high)
    return high


def stride_of(model: nn.Module) -> int:
    """Pixels of the image per position of the last feature map.

    Args:
        model: of timm, or a segmentation network.
    """
    encoder: Any = getattr(model, "encoder", None)
    info: Any = getattr(encoder.model if encoder is not None else model, "feature_info", None)
    rows = info.info if hasattr(info, "info") else info
    return int(rows[-1]["reduction"]) if rows else 1


def takes(model: Callable[..., torch.Tensor], channels: int, side: int) -> bool:
    """Whether a network computes something for a square image.

    Args:
        model: the network, or a traced one.
        channels: of its input.
        side: of the image, pixels.
    """
    try:
        with torch.inference_mode():
            return bool(model(torch.zeros(1, channels, side, side)).numel())
    except (RuntimeError, ValueError, AssertionError):
        return False
