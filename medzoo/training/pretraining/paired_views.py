"""The two views of an image that BYOL introduced: the same changes, and a blur that is frequent in one of them only."""

from __future__ import annotations

from dataclasses import dataclass, replace

from medzoo.data.transforms.apply import Augmentation
from medzoo.training.inputs.views import View
from medzoo.training.options.fields import option


@dataclass(frozen=True)
class PairedViewOptions:
    """Options of these views, to which a method adds its own."""

    min_area: float = option("smallest share of the image in a view", 0.08, metavar="SHARE", above=0, most=1)
    flip: float = option("probability of a left-right flip", 0.5, metavar="P", least=0, most=1)
    tone: float = option(
        "strength of brightness and contrast changes; half of it for saturation", 0.4, metavar="X", least=0, most=1
    )
    grey: float = option("probability of a conversion to grey", 0.2, metavar="P", least=0, most=1)
    blur: float = option("probability of a Gaussian blur of the first view", 1.0, metavar="P", least=0, most=1)
    second_blur: float = option("probability of a Gaussian blur of the second view", 0.1, metavar="P", least=0, most=1)

    def views(self) -> list[View]:
        """The two views."""
        return paired_views(
            min_area=self.min_area, flip=self.flip, tone=self.tone, grey=self.grey, blur=self.blur,
            second_blur=self.second_blur,
        )  # fmt: skip


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
