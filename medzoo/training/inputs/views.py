"""The views of a training image: how each is changed at random, and its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medzoo.data.transforms.augmentation_law import Augmentation


@dataclass(frozen=True)
class View:
    """One random view of every training image.

    Args:
        augmentation: the random changes.
        share: side of the view as a share of the training's size; small views of a part are cheaper.

    >>> View(Augmentation(flip=0.5), share=96 / 224).side(224)
    96
    """

    augmentation: Augmentation
    share: float = 1.0

    def side(self, size: int) -> int:
        """Side of the view, pixels.

        Args:
            size: of the training, pixels.
        """
        return max(1, round(self.share * size))


def as_views(views: Augmentation | Sequence[View]) -> list[View]:
    """The views of an image; an augmentation makes one.

    Args:
        views: one augmentation, or all views.
    """
    return [View(views)] if isinstance(views, Augmentation) else list(views)
