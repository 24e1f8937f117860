"""Views of several sizes (multi-crop): two large views and small views of parts, and networks that process both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import torch
from torch import nn

from medzoo.errors import UsageError
from medzoo.training.inputs.views import View
from medzoo.training.options.fields import option
from medzoo.training.pretraining.colour_jitter import blur_sigma_option, colour_jitter, hue_option, solarize_option
from medzoo.training.pretraining.position_table import fix_order_of_positions

LARGE_VIEWS = 2


@dataclass(frozen=True)
class SmallViewOptions:
    """Options of DINO's views, to which a method adds its own."""

    small_views: int = option("number of small views", 8, metavar="N", least=0, most=64)
    small_side: float = option(
        "side of a small view as a share of --size (96 of 224 px)", 0.43, metavar="SHARE", above=0, most=1
    )
    min_area: float = option("smallest share of the image in a large view", 0.4, metavar="SHARE", above=0, most=1)
    small_area: float = option("largest share of the image in a small view", 0.4, metavar="SHARE", above=0.05, most=1)
    flip: float = option("probability of a left-right flip", 0.5, metavar="P", least=0, most=1)
    tone: float = option("strength of brightness and contrast changes", 0.4, metavar="X", least=0, most=1)
    grey: float = option("probability of a conversion to grey", 0.2, metavar="P", least=0, most=1)
    hue: float = hue_option(0.1)
    solarize: float = solarize_option(0.2, "the second large view")
    blur_sigma: float = blur_sigma_option()

    def views(self) -> list[View]:
        """Two large views, then the small ones."""
        return crops(
            area=self.min_area, small_area=self.small_area, small_views=self.small_views, small_side=self.small_side,
            flip=self.flip, tone=self.tone, grey=self.grey, hue=self.hue, solarize=self.solarize, blur_sigma=self.blur_sigma,
        )  # fmt: skip


def crops(
    *,
    area: float,
    small_area: float,
    small_views: int,
    small_side: float,
    flip: float,
    tone: float,
    grey: float,
    hue: float,
    solarize: float,
    blur_sigma: float,
) -> list[View]:
    """The views of DINO: two large ones, of which the first is always blurred, and small ones.

    Args:
        area: smallest share of the image in a large view.
        small_area: largest share of the image in a small view; the smallest is 0.05.
        small_views: their number.
        small_side: side of a small view, as a share of the side of a large one.
        flip: probability of a left-right flip.
        tone: strength of brightness and contrast changes, and twice that of saturation.
        grey: probability of a conversion to grey.
        hue: largest turn of the hue.
        solarize: probability of a solarization of the second large view.
        blur_sigma: largest sigma of a blur, as a share of the side of a view.

    Source: https://arxiv.org/abs/2104.14294, its appendix.

    >>> made = SmallViewOptions().views()
    >>> len(made), made[0].side(224), made[-1].side(224)
    (10, 224, 96)
    >>> [one.augmentation.solarize for one in made[:3]]
    [0.0, 0.2, 0.0]
    """

    large = colour_jitter(
        tone, saturation=0.5, hue=hue, min_area=area, flip=flip, grey=grey, blur=1.0, blur_sigma=blur_sigma
    )
    small = replace(large, min_area=0.05, max_area=small_area, blur=0.5)
    return [
        View(large), View(replace(large, blur=0.1, solarize=solarize)), *[View(small, small_side)] * small_views,
    ]  # fmt: skip


def needs_small_views(method: str, backbone: nn.Module, side: int) -> None:
    """Refuse a network that cannot process the small views.

    Args:
        method: name of the objective.
        backbone: a timm model.
        side: of a small view, pixels.

    Raises:
        UsageError: if its size is fixed, or the views are too small.
    """
    if hasattr(backbone, "patch_embed") and not _takes_patches(backbone):
        raise UsageError(
            f"Method {method} uses views of two sizes, and this {type(backbone).__name__} has a fixed size. Choose a convolutional "
            "network or a plain vision transformer (such as vit_small_patch16_224).",
            code="architecture-not-for-method",
        )
    if (patch := patch_side(backbone)) > side:
        raise _too_small(method, side, f"the patches of the network have {patch} px")
    if patch == 1:
        _try(method, backbone, side)


def _try(method: str, backbone: nn.Module, side: int) -> None:
    """Process one small view: some networks have layers for which it is too small."""
    channels = next((int(value.shape[1]) for value in backbone.parameters() if value.ndim == 4), 3)
    first = next(backbone.parameters())
    mode = backbone.training
    try:
        with torch.no_grad():
            backbone.eval()(torch.zeros(1, channels, side, side, device=first.device, dtype=first.dtype))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise _too_small(
            method, side, f"the network cannot process them ({str(error).splitlines()[0][:150]})"
        ) from error
    finally:
        backbone.train(mode)


def _too_small(method: str, side: int, why: str) -> UsageError:
    return UsageError(
        f"The small views of method {method} would have {side} px, and {why}. Choose a larger --size or --small-side.",
        code="view-too-small",
    )


def _takes_patches(backbone: nn.Module) -> bool:
    from timm.layers import PatchEmbed
    from timm.models.vision_transformer import VisionTransformer

    return isinstance(backbone, VisionTransformer) and isinstance(backbone.patch_embed, PatchEmbed)


def patch_side(backbone: nn.Module) -> int:
    """The side of the patches of a plain vision transformer, pixels; 1 for other networks.

    >>> patch_side(nn.Conv2d(3, 8, 3))
    1
    """
    if not _takes_patches(backbone):
        return 1
    return max(backbone.patch_embed.patch_size)  # type: ignore[union-attr, arg-type]


def allow_sizes(backbone: nn.Module) -> nn.Module:
    """Let a plain vision transformer process images of other sizes: its table of positions is then resized in each pass.

    For images of its own size, outputs and gradients are the same as before. Weights and their names stay.

    Args:
        backbone: a timm model; it is changed in place. Other networks stay as they are.
    """
    from timm.layers import Format

    if _takes_patches(backbone):
        embed = backbone.patch_embed
        embed.strict_img_size, embed.flatten, embed.output_fmt = False, False, Format.NHWC  # type: ignore[union-attr, assignment]
        backbone.dynamic_img_size = True  # type: ignore[assignment]
        fix_order_of_positions(backbone)
    return backbone


def cut(images: torch.Tensor, patch: int) -> torch.Tensor:
    """Images without the pixels at the right and lower edge that fill no patch; a plain vision transformer drops them, too.

    Args:
        images: (N,C,H,W).
        patch: side of a patch, pixels.

    >>> cut(torch.zeros(1, 3, 14, 14), 4).shape
    torch.Size([1, 3, 12, 12])
    """
    height, width = (side - side % patch for side in images.shape[-2:])
    return images[..., :height, :width]


def in_groups(network: Callable[[torch.Tensor], torch.Tensor], views: Sequence[torch.Tensor]) -> torch.Tensor:
    """The outputs of all views, one pass for neighbours of equal size; these share their batch statistics.

    Args:
        network: from (N,C,H,W) to (N,D).
        views: V tensors (N,C,H,W).

    Returns:
        (V * N, D), in the order of the views.

    >>> in_groups(lambda images: images.mean((2, 3)), [torch.zeros(2, 3, 8, 8)] * 2 + [torch.ones(2, 3, 4, 4)])[:, 0]
    tensor([0., 0., 0., 0., 1., 1.])
    """
    groups = [list(group) for _, group in groupby(views, key=lambda view: view.shape)]
    return torch.cat([network(torch.cat(group)) for group in groups])
