"""What an objective needs of a network and of a batch, checked before a training starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medzoo.errors import MissingExtraError, UsageError
from medzoo.training.distributed import processes

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer
    from torch import nn


def needs_lightly(method: str) -> None:
    """Refuse an objective whose loss is in a package that is not installed.

    Args:
        method: name of the objective.

    Raises:
        MissingExtraError: with the command that installs it.
    """
    try:
        import lightly.loss  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("lightly", "pretrain", f"Method {method}") from error


def needs_images(method: str, batch_size: int, least: int, why: str) -> None:
    """Refuse a batch that is too small for a loss.

    Args:
        method: name of the objective.
        batch_size: images per step over all processes.
        least: the smallest number of images of each process.
        why: the end of the sentence "it needs at least 2 images per process: ...".

    Raises:
        UsageError: if the batch is smaller.

    >>> needs_images("simclr", 2, 2, "each image is compared with the others")
    """
    share = batch_size // processes()
    if share < least:
        raise UsageError(
            f"Method {method} cannot train on {share} image{'s' * (share != 1)} per step; it needs at least {least}"
            f"{' per process' * (processes() > 1)}: {why}. Choose a larger --batch-size, or give it more images.",
            code="batch-too-small",
        )


def needs_ordered_shares(least: float, most: float) -> None:
    """Refuse a smallest share of corrupted patches above the largest one.

    Args:
        least: share of the patches.
        most: share of the patches.

    Raises:
        UsageError: if they are in the wrong order.
    """
    if least > most:
        raise UsageError(
            f"--least-share is {least:g} and --most-share {most:g}; the first may not be larger.",
            code="mask-share-impossible",
        )


def plain_vit(method: str, backbone: nn.Module) -> VisionTransformer:
    """The backbone as a plain vision transformer, whose patch tokens can be left out or replaced.

    Args:
        method: name of the objective.
        backbone: a timm model.

    Raises:
        UsageError: if it is another kind of network.
    """
    from timm.layers import PatchEmbed
    from timm.models.vision_transformer import VisionTransformer

    # a hybrid has a CNN in front, through which neighbours see a masked patch
    if not isinstance(backbone, VisionTransformer) or not isinstance(backbone.patch_embed, PatchEmbed):
        raise UsageError(
            f"Method {method} needs a plain vision transformer (such as vit_small_patch16_224), and this network is a "
            f"{type(backbone).__name__}. Choose another architecture, or a method that trains any network (simclr, byol, swav).",
            code="architecture-not-for-method",
        )
    return backbone


def needs_masked_patches(method: str, backbone: nn.Module, size: int) -> None:
    """Refuse a network whose pooled features a loss on patches would not train, and images that patches do not cover.

    Args:
        method: name of the objective.
        backbone: a transformer of timm with a patch embedding.
        size: side of the image, pixels.

    Raises:
        UsageError: with the reason.
    """
    network: Any = backbone
    if getattr(network, "attn_pool", None) is not None:
        raise UsageError(
            f"Method {method} trains patches only, and the attention pooling of this {type(backbone).__name__} would stay as it "
            "is. Choose another architecture (such as vit_small_patch16_224).",
            code="architecture-not-for-method",
        )
    patch = int(network.patch_embed.patch_size[0])
    if size % patch:
        raise UsageError(
            f"--size is {size}; method {method} needs a multiple of the patches' side, {patch} px.",
            code="size-not-in-patches",
        )


def needs_feature_vector(method: str, backbone: nn.Module) -> int:
    """The number of pooled features of a network.

    Args:
        method: name of the objective.
        backbone: a timm model.

    Raises:
        UsageError: if it has no pooled features.
    """
    width = getattr(backbone, "num_features", None)
    if not isinstance(width, int) or width < 1:
        raise UsageError(
            f"Method {method} needs a network with pooled features, and {type(backbone).__name__} has none.",
            code="architecture-not-for-method",
        )
    return width
