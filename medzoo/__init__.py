"""Pre-trained checkpoints for medical imaging: verified, comparable, reproducible.

Names are imported on first use, so that `import medzoo` is fast and does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from medzoo import errors, moved

if TYPE_CHECKING:
    from medzoo.analysis.comparison.compare import compare
    from medzoo.bench.table.table import table
    from medzoo.data.images.dicom.segmentation import read_dicom_seg
    from medzoo.data.images.dicom.series import list_dicom_slices
    from medzoo.data.images.read import Pixels, read_image
    from medzoo.data.task import Task
    from medzoo.data.task_registry import load_task
    from medzoo.training.export.export import export
    from medzoo.training.features import embed
    from medzoo.training.inputs.input_transform import transform
    from medzoo.training.predict.predict import predict
    from medzoo.training.segmentation.network import segmenter
    from medzoo.zoo.add import add
    from medzoo.zoo.check.check import check
    from medzoo.zoo.convert.convert import convert
    from medzoo.zoo.download.fetch import fetch
    from medzoo.zoo.folder.read_write import save
    from medzoo.zoo.loading.load import load
    from medzoo.zoo.publish.push import push
    from medzoo.zoo.registry.registry import info, list_models

    __version__: str

_MODULES = {
    "list_models": "medzoo.zoo.registry.registry",
    "info": "medzoo.zoo.registry.registry",
    "load": "medzoo.zoo.loading.load",
    "fetch": "medzoo.zoo.download.fetch",
    "convert": "medzoo.zoo.convert.convert",
    "check": "medzoo.zoo.check.check",
    "add": "medzoo.zoo.add",
    "save": "medzoo.zoo.folder.read_write",
    "push": "medzoo.zoo.publish.push",
    "transform": "medzoo.training.inputs.input_transform",
    "segmenter": "medzoo.training.segmentation.network",
    "embed": "medzoo.training.features",
    "predict": "medzoo.training.predict.predict",
    "export": "medzoo.training.export.export",
    "load_task": "medzoo.data.task_registry",
    "Task": "medzoo.data.task",
    "list_dicom_slices": "medzoo.data.images.dicom.series",
    "read_dicom_seg": "medzoo.data.images.dicom.segmentation",
    "read_image": "medzoo.data.images.read",
    "Pixels": "medzoo.data.images.read",
    "table": "medzoo.bench.table.table",
    "compare": "medzoo.analysis.comparison.compare",
}

__all__ = [
    "Pixels",
    "Task",
    "__version__",
    "add",
    "check",
    "compare",
    "convert",
    "embed",
    "errors",
    "export",
    "fetch",
    "info",
    "list_dicom_slices",
    "list_models",
    "load",
    "load_task",
    "predict",
    "push",
    "read_dicom_seg",
    "read_image",
    "save",
    "segmenter",
    "table",
    "transform",
]


moved.install()


if not TYPE_CHECKING:  # type checkers see the imports above; with this function, they would accept any misspelt name

    def __getattr__(name: str) -> Any:  # noqa: ANN401
        if name == "__version__":
            from importlib.metadata import PackageNotFoundError, version

            try:
                return version("medzoo")
            except PackageNotFoundError:  # a source tree that is not installed
                return "0+unknown"
        if name in _MODULES:
            value = getattr(import_module(_MODULES[name]), name)
            globals()[name] = value
            return value
        raise AttributeError(f"module 'medzoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
