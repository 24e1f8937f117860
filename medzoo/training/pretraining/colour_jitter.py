"""The random colours of views: brightness, contrast, saturation and hue change together, and solarization."""

from __future__ import annotations

from typing import Any

from medzoo.data.transforms.apply import Augmentation
from medzoo.training.options.fields import option

SHARE = 0.8  # of the images; the others keep their colours


def colour_jitter(strength: float, *, saturation: float = 1.0, **others: Any) -> Augmentation:  # noqa: ANN401
    """An augmentation that changes the colours in four of five images.

    Args:
        strength: of brightness and contrast.
        saturation: its strength, relative to that.
        others: further fields of the augmentation.

    Source: https://arxiv.org/abs/2002.05709 (Appendix A)

    >>> changes = colour_jitter(0.4, saturation=0.5, flip=0.5)
    >>> changes.brightness, changes.contrast, changes.saturation, changes.tone, changes.flip
    (0.4, 0.4, 0.2, 0.8, 0.5)
    """
    return Augmentation(brightness=strength, contrast=strength, saturation=saturation * strength, tone=SHARE, **others)


def hue_option(default: float) -> Any:  # noqa: ANN401 - as `option`
    """The option `hue` of a method that had none at first.

    Args:
        default: the published value.
    """
    text = "largest turn of the hue, as a share of the circle; for colour images, 0 leaves it as it is"
    return option(text, default, metavar="SHARE", least=0, most=0.5, unused=0.0)


def blur_sigma_option() -> Any:  # noqa: ANN401 - as `option`
    """The option `blur_sigma` of a method that blurs; without it, runs had a larger sigma.

    Source: SimCLR, BYOL, MoCo v3 and DINO draw sigma from [0.1, 2] pixels at 224 px: https://arxiv.org/abs/2002.05709 (Appendix A).
    """
    text = "largest sigma of a blur, as a share of the side of a view (2 of 224 px)"
    return option(text, 0.0085, metavar="SHARE", above=0, most=0.125, unused=1 / 32)


def solarize_option(default: float, views: str) -> Any:  # noqa: ANN401 - as `option`
    """The option `solarize` of a method that had none at first.

    Args:
        default: the published value.
        views: the views that are solarized, for the help line.
    """
    text = f"probability that the bright half of the range is inverted in {views}; for photographs, use 0 for grey medical images"
    return option(text, default, metavar="P", least=0, most=1, unused=0.0)
