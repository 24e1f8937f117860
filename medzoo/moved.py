"""Module names of version 0.1 that documents showed: they work for one more version, with a warning that names the new place."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED = {
    "medzoo.arguments": "medzoo.recipe_args",
    "medzoo.claims": "medzoo.locks",
    "medzoo.data.cache": "medzoo.data.decode_cache.cache",
    "medzoo.data.dicom_seg": "medzoo.data.images.dicom.segmentation",
    "medzoo.data.dicom_series": "medzoo.data.images.dicom.series",
    "medzoo.data.pixels": "medzoo.data.images.read",
    "medzoo.training.fields": "medzoo.training.options.fields",
    "medzoo.training.protocol": "medzoo.training.options.protocol",
    "medzoo.training.runs": "medzoo.training.run_state.run_folder",
}
RENAMED = {"read_seg": "read_dicom_seg", "slices_below": "list_dicom_slices"}


class _MovedModule(Loader):
    """An empty module that takes every attribute from its new place."""

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python make the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Point the module at its new place."""
        there = MOVED[module.__name__]

        def look_up(name: str) -> Any:  # noqa: ANN401
            return getattr(import_module(there), RENAMED.get(name, name))

        module.__dict__["__getattr__"] = look_up


class _MovedFinder(MetaPathFinder):
    """Finds the old names."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec of a moved module; None for every other name."""
        if name not in MOVED:
            return None
        _warn_user(f"{name} is now {MOVED[name]}; the old name stops working in the next version.")
        return ModuleSpec(name, _MovedModule())


def _warn_user(text: str) -> None:
    """Warn at the line that imports. A fixed stacklevel can point into importlib: import_module adds frames of its own."""
    frame = sys._getframe(1)
    while frame.f_back is not None and (frame.f_code.co_filename == __file__ or _is_importlib(frame.f_globals)):
        frame = frame.f_back
    place = frame.f_globals
    warnings.warn_explicit(
        text,
        FutureWarning,
        filename=frame.f_code.co_filename,
        lineno=frame.f_lineno,
        module=place.get("__name__"),
        registry=place.setdefault("__warningregistry__", {}),
    )


def _is_importlib(place: dict[str, Any]) -> bool:
    return str(place.get("__name__", "")).partition(".")[0] in ("importlib", "_frozen_importlib")


def install() -> None:
    """Let Python find the old names, after everything that really exists."""
    if not any(isinstance(finder, _MovedFinder) for finder in sys.meta_path):
        sys.meta_path.append(_MovedFinder())
