"""The options of an export, checked before a network is loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, get_args

from medzoo.errors import MissingExtraError, UnknownNameError, UsageError

Format = Literal["onnx", "torch_export"]
ExportPrecision = Literal["fp32", "fp16"]
SUFFIXES: dict[str, str] = {"onnx": ".onnx", "torch_export": ".pt2"}
PACKAGES: dict[str, tuple[str, ...]] = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "torch_export": ()}
# The lowest opset of torch's exporter is read by the most runtimes; the highest is the last that it writes.
OPSET, LAST_OPSET = 18, 23
LARGEST_SIDE = 4096  # pixels


@dataclass(frozen=True)
class ExportOptions:
    """The options of an export, as the arguments of `medzoo.export`.

    >>> ExportOptions(format="onxx")
    Traceback (most recent call last):
    medzoo.errors.UnknownNameError: Unknown export format 'onxx'. Did you mean onnx? Formats: onnx, torch_export.
    """

    format: Format = "onnx"
    precision: ExportPrecision = "fp32"
    dynamic_size: bool = False
    size: int | None = None
    num_classes: Literal[0, "pretrained"] | None = None
    hub: str | os.PathLike[str] | None = None
    accept_license: bool = False
    allow_random: bool = False
    opset: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.format, str) or self.format not in SUFFIXES:
            raise UnknownNameError("export format", str(self.format), SUFFIXES, f"Formats: {', '.join(SUFFIXES)}.")
        if self.precision not in get_args(ExportPrecision):
            raise UsageError(f"precision is {self.precision!r}. Choose fp32 or fp16.", code="export-precision-unknown")
        if self.size is not None and not _is_between(self.size, 1, LARGEST_SIDE):
            raise UsageError(
                f"size is {self.size!r}. Give the side of the images in pixels, 1 to {LARGEST_SIDE:,}.",
                code="size-invalid",
            )
        classes: object = self.num_classes
        if not (
            classes is None or _is_between(classes, 0, 0) or (isinstance(classes, str) and classes == "pretrained")
        ):
            raise UsageError(
                f"num_classes is {self.num_classes!r}. Give 0 for features or 'pretrained' for the stored head: a fresh head has "
                "random weights.",
                code="export-classes-invalid",
            )
        if self.opset is not None and self.format != "onnx":
            raise UsageError("opset is for the format onnx. Leave it out.", code="opset-needs-onnx")
        if self.opset is not None and not _is_between(self.opset, OPSET, LAST_OPSET):
            raise UsageError(
                f"opset is {self.opset!r}. Give a whole number from {OPSET} to {LAST_OPSET}.", code="opset-invalid"
            )


def check_packages(format: str) -> None:
    """Refuse a format whose packages are missing, before a network is loaded.

    Args:
        format: of the file.

    Raises:
        MissingExtraError: with the command that installs them.
    """
    for package in PACKAGES[format]:
        if find_spec(package) is None:
            raise MissingExtraError(package, "export", f"Exporting to {format}")


def _is_between(value: Any, least: int, most: int) -> bool:  # noqa: ANN401
    return type(value) is int and least <= value <= most
