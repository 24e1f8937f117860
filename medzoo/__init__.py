"""Pre-trained checkpoints for medical imaging: verified, comparable, reproducible.

Names are imported when they are used, so that `import medzoo` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from medzoo import errors

if TYPE_CHECKING:
    from medzoo.bench.table import table
    from medzoo.data.pixels import Pixels, read_image
    from medzoo.data.task import Task, load_task
    from medzoo.training.features import embed
    from medzoo.training.inputs import transform
    from medzoo.training.segmenters import segmenter
    from medzoo.zoo.add import add
    from medzoo.zoo.check import check
    from medzoo.zoo.convert import convert
    from medzoo.zoo.fetch import fetch
    from medzoo.zoo.folder import save
    from medzoo.zoo.load import load
    from medzoo.zoo.publish import push
    from medzoo.zoo.registry import info, list_models

    __version__: str

_PLACES = {
    "list_models": "medzoo.zoo.registry",
    "info": "medzoo.zoo.registry",
    "load": "medzoo.zoo.load",
    "fetch": "medzoo.zoo.fetch",
    "convert": "medzoo.zoo.convert",
    "check": "medzoo.zoo.check",
    "add": "medzoo.zoo.add",
    "save": "medzoo.zoo.folder",
    "push": "medzoo.zoo.publish",
    "transform": "medzoo.training.inputs",
    "segmenter": "medzoo.training.segmenters",
    "embed": "medzoo.training.features",
    "load_task": "medzoo.data.task",
    "Task": "medzoo.data.task",
    "read_image": "medzoo.data.pixels",
    "Pixels": "medzoo.data.pixels",
    "table": "medzoo.bench.table",
}

__all__ = [
    "Pixels",
    "Task",
    "__version__",
    "add",
    "check",
    "convert",
    "embed",
    "errors",
    "fetch",
    "info",
    "list_models",
    "load",
    "load_task",
    "push",
    "read_image",
    "save",
    "segmenter",
    "table",
    "transform",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("medzoo")
        except PackageNotFoundError:  # a source tree that was not installed
            return "0+unknown"
    if name in _PLACES:
        value = getattr(import_module(_PLACES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'medzoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
