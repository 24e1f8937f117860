"""The arguments of `load`, checked before any file is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal

from medzoo.errors import UsageError
from medzoo.zoo.folder.config import RESERVED


@dataclass(frozen=True)
class LoadRequest:
    """The arguments of `load` that describe the network."""

    num_classes: int | Literal["pretrained"]
    in_chans: int | None
    features_only: bool
    out_indices: tuple[int, ...] | None
    timm_kwargs: Mapping[str, Any]
    fresh_head: bool = False

    def check(self) -> None:
        """Refuse arguments that are wrong for every checkpoint.

        Raises:
            UsageError: with the name of the argument.
        """
        classes: object = self.num_classes
        if classes != "pretrained" and not (_is_whole_number(classes) and 0 <= classes <= 1_000_000):  # type: ignore[operator]
            raise UsageError(
                f"num_classes is {classes!r}. Give 0, a number of classes, or 'pretrained'.", code="num-classes-invalid"
            )
        if self.in_chans is not None and not (_is_whole_number(self.in_chans) and 1 <= self.in_chans <= 64):
            raise UsageError(
                f"in_chans is {self.in_chans!r}. Give a number of channels (1 to 64), or None for the stored number.",
                code="in-chans-invalid",
            )
        if reserved := sorted(RESERVED & set(self.timm_kwargs)):
            raise UsageError(f"load() sets {', '.join(reserved)} itself. Do not pass it.", code="timm-keyword-reserved")
        if self.out_indices is not None and not self.features_only:
            raise UsageError("out_indices needs features_only=True.", code="out-indices-without-features-only")
        if self.out_indices is not None and not (self.out_indices and all(map(_is_whole_number, self.out_indices))):
            raise UsageError(
                f"out_indices is {self.out_indices!r}. Give the numbers of the depths, for example (1, 4).",
                code="out-indices-invalid",
            )
        if self.features_only and self.num_classes != 0:
            raise UsageError(
                "A features_only network has no head. Set num_classes to 0.", code="features-only-with-head"
            )
        if self.fresh_head and (classes == "pretrained" or not classes):
            raise UsageError(
                f"fresh_head needs num_classes (the number of its outputs), but num_classes is {classes!r}.",
                code="fresh-head-without-classes",
            )

    def keywords(self) -> dict[str, Any]:
        """The keywords for timm besides the architecture's own keywords."""
        extra = dict(self.timm_kwargs)
        if self.features_only:
            extra["features_only"] = True
        if self.out_indices is not None:
            extra["out_indices"] = self.out_indices
        return extra


def _is_whole_number(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
