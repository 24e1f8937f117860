"""What the caller of `load` asked for, checked before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal

from medzoo.errors import UsageError
from medzoo.zoo.folder.config import RESERVED


@dataclass(frozen=True)
class LoadRequest:
    """What the caller of `load` asked for."""

    num_classes: int | Literal["pretrained"]
    in_chans: int | None
    features_only: bool
    out_indices: tuple[int, ...] | None
    timm_kwargs: Mapping[str, Any]
    fresh_head: bool = False

    def check(self) -> None:
        """Refuse what no checkpoint could give.

        Raises:
            UsageError: naming the argument.
        """
        classes: object = self.num_classes
        if classes != "pretrained" and not (_is_whole_number(classes) and 0 <= classes <= 1_000_000):  # type: ignore[operator]
            raise UsageError(f"num_classes is {classes!r}; give 0, a number of classes, or 'pretrained'.")
        if self.in_chans is not None and not (_is_whole_number(self.in_chans) and 1 <= self.in_chans <= 64):
            raise UsageError(f"in_chans is {self.in_chans!r}; give a number of channels, or None for as stored.")
        if reserved := sorted(RESERVED & set(self.timm_kwargs)):
            raise UsageError(f"load decides {', '.join(reserved)} itself; it cannot be passed on to timm.")
        if self.out_indices is not None and not self.features_only:
            raise UsageError("out_indices needs features_only=True.")
        if self.out_indices is not None and not (self.out_indices and all(map(_is_whole_number, self.out_indices))):
            raise UsageError(f"out_indices is {self.out_indices!r}; give the numbers of the depths, such as (1, 4).")
        if self.features_only and self.num_classes != 0:
            raise UsageError("features_only gives feature maps; it has no head, so leave num_classes at 0.")
        if self.fresh_head and (classes == "pretrained" or not classes):
            raise UsageError(
                f"fresh_head needs num_classes, the number of its outputs, and num_classes is {classes!r}."
            )

    def keywords(self) -> dict[str, Any]:
        """What timm is given beside the architecture's own keywords."""
        extra = dict(self.timm_kwargs)
        if self.features_only:
            extra |= {
                "features_only": True,
                **({"out_indices": self.out_indices} if self.out_indices is not None else {}),
            }
        return extra


def _is_whole_number(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
