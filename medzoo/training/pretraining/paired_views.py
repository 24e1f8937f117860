"""The two views of an image that BYOL introduced: the same changes, and a blur that is frequent in one of them only."""

from __future__ import annotations

from dataclasses import replace

from medzoo.data.transforms.apply import Augmentation
from medzoo.training.inputs.views import View


def paired_views(
    *, min_area: float, flip: float, tone: float, grey: float, blur: float, second_blur: float
) -> list[View]:
    """A view with much blur and one with little. Colours change in four of five images, saturation half as much as the rest.

    Source: Grill et al. 2020, https://arxiv.org/abs/2006.07733 (Appendix B).

    Args:
        min_area: smallest share of the image in a view.
        flip: probability of a left-right flip.
        tone: strength of brightness and contrast changes.
        grey: probability of a conversion to grey.
        blur: probability of a blur of the first view.
        second_blur: probability of a blur of the second view.

    >>> [one.augmentation.blur for one in paired_views(min_area=1, flip=0, tone=0, grey=0, blur=1.0, second_blur=0.1)]
    [1.0, 0.1]
    """
    first = Augmentation(
        min_area=min_area,
        flip=flip,
        brightness=tone,
        contrast=tone,
        saturation=tone / 2,
        tone=0.8,
        grey=grey,
        blur=blur,
    )
    return [View(first), View(replace(first, blur=second_blur))]
