"""The two views of an image that BYOL introduced: one is blurred more often, the other may be solarized; all else is alike."""

from __future__ import annotations

from dataclasses import dataclass, replace

from medzoo.training.inputs.views import View
from medzoo.training.options.fields import option
from medzoo.training.pretraining.colour_jitter import blur_sigma_option, colour_jitter, hue_option, solarize_option


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
    hue: float = hue_option(0.1)
    solarize: float = solarize_option(0.2, "the second view")
    blur_sigma: float = blur_sigma_option()

    def views(self) -> list[View]:
        """The two views."""
        return paired_views(
            min_area=self.min_area, flip=self.flip, tone=self.tone, grey=self.grey, blur=self.blur,
            second_blur=self.second_blur, hue=self.hue, second_solarize=self.solarize, blur_sigma=self.blur_sigma,
        )  # fmt: skip


def paired_views(
    *,
    min_area: float,
    flip: float,
    tone: float,
    grey: float,
    blur: float,
    second_blur: float,
    hue: float,
    second_solarize: float,
    blur_sigma: float,
    solarize: float = 0.0,
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
        hue: largest turn of the hue.
        second_solarize: probability of a solarization of the second view.
        blur_sigma: largest sigma of a blur, as a share of the side.
        solarize: probability of a solarization of the first view.

    >>> usual = {"min_area": 1, "flip": 0, "tone": 0, "grey": 0, "hue": 0.1, "blur_sigma": 0.0085}
    >>> made = paired_views(**usual, blur=1.0, second_blur=0.1, second_solarize=0.2)
    >>> [(one.augmentation.blur, one.augmentation.solarize) for one in made]
    [(1.0, 0.0), (0.1, 0.2)]
    """
    first = colour_jitter(
        tone, saturation=0.5, hue=hue, min_area=min_area, flip=flip, grey=grey, blur=blur, blur_sigma=blur_sigma,
        solarize=solarize,
    )  # fmt: skip
    return [View(first), View(replace(first, blur=second_blur, solarize=second_solarize))]
