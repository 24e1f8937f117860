"""Read any image file as pixels in stored precision, with the range of the scale and notes on what was applied.

The first bytes of a file decide its format. `pillow` reads PNG, JPEG and similar formats, `dicom` DICOM, `nifti` NIfTI.
Nothing is scaled, clipped, turned or converted to grey without a note.
"""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from medzoo.data.images.ct_windows import Window, WindowChoice
from medzoo.data.images.frame_key import Frame, file_and_frame, plain_frame
from medzoo.data.images.pixels import Pixels, apply_window, from_array, with_channels
from medzoo.data.images.sniff import kind_of
from medzoo.errors import ImageError, MedzooError

__all__ = [
    "SUFFIXES",
    "Frame",
    "Pixels",
    "Window",
    "WindowChoice",
    "apply_window",
    "decode_bytes",
    "from_array",
    "read_image",
    "to_pixels",
    "with_channels",
]

SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".tif",
    ".tiff",
    ".bmp",
    ".webp",
    ".gif",
    ".npy",
    ".dcm",
    ".dicom",
    ".nii",
    ".nii.gz",
)
_HEAD, _JPEG = 512, b"\xff\xd8\xff"


def read_image(
    path: str | os.PathLike[str], *, window: WindowChoice | None = None, frame: Frame | None = None
) -> Pixels:
    """Read a PNG, JPEG, TIFF, BMP, WebP, GIF, .npy, DICOM or NIfTI file, or a folder with one DICOM series.

    CT is in HU. Other DICOM images follow their header: modality LUT, then VOI LUT or window, and the inversion of MONOCHROME1
    last. NIfTI is turned to the axes of a DICOM scan: slices upwards, rows to the back, columns to the left of the patient.

    Args:
        path: the file, or a folder with the slices of one series; `file#12` is frame 12 of it, `file#3,12` that of volume 3.
        window: (low, high) to clip to, which becomes the range, or the name of a CT window ("lung", see `ct_windows.WINDOWS`;
            "full" is the whole scale). Required where a file does not give its range. A rule ("percentile:1,99", "zscore:3")
            finds the limits in the slice or volume that is read; with ":series" after it, in the volume of a slice.
        frame: which frame or slice of several, from 0; "all" for the volume (D, H, W); for NIfTI with four dimensions
            (volume, slice) or (volume, "all").

    Returns:
        (H, W) or (H, W, 3), and (D, H, W) for a volume.

    Raises:
        ImageError: if the file cannot be read, or its range or frame is unknown; the message says what to add.
        MissingExtraError: if a library for this format is not installed.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.fromarray(np.full((4, 6), 40_000, np.uint16)).save(f"{folder}/scan.png")
    ...     read_image(f"{folder}/scan.png").array.max()
    np.uint16(40000)
    """
    if not isinstance(path, str | os.PathLike):
        raise ImageError(
            f"A {type(path).__name__} is not a path. Give a string or pathlib.Path of an image file.", code="not-a-path"
        )
    path, frame = Path(os.fsdecode(path)), plain_frame(frame)
    if frame is None:
        path, frame = file_and_frame(path)
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - faster than Path.open; called a thousand times per second
            return read_open(file, str(path), window=window, frame=frame)
    except (OSError, ValueError) as error:  # ValueError: not a valid file name
        if isinstance(error, ValueError) or not path.is_dir():
            raise ImageError(
                f"{path}: cannot be opened ({getattr(error, 'strerror', None) or error}). Check the path and its permissions.",
                code="image-cannot-open",
            ) from error
    from medzoo.data.images.dicom.series import read_series

    return read_series(path, window=window, frame=frame)


def decode_bytes(data: bytes, where: str, *, window: WindowChoice | None = None, frame: Frame | None = None) -> Pixels:
    """Decode the bytes of an image file, for example a cell of a Parquet table.

    Args:
        data: the encoded image.
        where: file (and row), for messages.
        window: as in `read_image`.
        frame: as in `read_image`.

    Raises:
        ImageError: if the bytes are not an image, or the range or frame is unknown.
    """
    if data.startswith(_JPEG):
        return _read_jpeg(data, where, window, plain_frame(frame))
    return read_open(io.BytesIO(data), where, window=window, frame=frame)


def to_pixels(image: Any, *, window: WindowChoice | None = None) -> Pixels:  # noqa: ANN401
    """Convert an image of any supported type: a PIL image, an array, a tensor, a path or encoded bytes.

    Args:
        image: PIL L, RGB, RGBA, P, 1, I;16; uint8 or uint16 array (H, W) or (H, W, 3); such a tensor, also (C, H, W).
        window: (low, high), the range of values whose type does not give it (floats, int16), or the name of a CT window.

    Raises:
        ImageError: if it is not an image, or the range or frame is unknown.

    >>> to_pixels(np.zeros((4, 5, 3), np.uint8)).unit
    'rgb'
    """
    from PIL import Image

    if isinstance(image, Pixels):
        return image if window is None else apply_window(image, window)
    if isinstance(image, str | os.PathLike):
        return read_image(image, window=window)
    if isinstance(image, bytes | bytearray | memoryview):
        return decode_bytes(bytes(image), "image bytes", window=window)
    if isinstance(image, Image.Image):
        from medzoo.data.images.pillow.convert import from_pil, strictly
        from medzoo.data.images.pillow.read import check_opened

        current = image.tell() if getattr(image, "n_frames", 1) > 1 else None
        check_opened(image, "PIL image")
        with strictly():
            return from_pil(image, "PIL image", window=window, frame=current)
    if isinstance(image, np.ndarray):
        return from_array(image, "array", window=window)
    if type(image).__module__ == "torch" and hasattr(image, "numpy"):
        tensor = image.detach().cpu()
        array = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):  # (C, H, W), as in torch, also if W is that small
            array = np.moveaxis(array, 0, -1)
        return from_array(array, "tensor", window=window)
    raise ImageError(
        f"A {type(image).__name__} is not an image. Give a path, bytes, a PIL image, an array or a tensor.",
        code="not-an-image",
    )


def read_open(file: BinaryIO, where: str, *, window: WindowChoice | None = None, frame: Frame | None = None) -> Pixels:
    """Read an image from an open file.

    Args:
        file: seekable, at its start.
        where: for messages.
        window: as in `read_image`.
        frame: as in `read_image`.

    Raises:
        ImageError: if it is not an image, or the range or frame is unknown.
    """
    frame = plain_frame(frame)
    head = file.read(_HEAD)
    if head.startswith(_JPEG):
        return _read_jpeg(head + file.read(), where, window, frame)
    _check_head(head, where)
    file.seek(0)
    kind = kind_of(head)
    try:
        if kind == "DICOM":
            from medzoo.data.images.dicom.read import read_dicom

            return read_dicom(file, where, window=window, frame=frame)
        if kind == "NIfTI":
            from medzoo.data.images.nifti.read import read_nifti

            return read_nifti(file, where, window=window, frame=frame)
        chosen = _one_frame(frame, where)
        if kind == "npy":
            return _from_npy(file.read(), where, window, chosen)
        from medzoo.data.images.pillow.read import read_picture

        return read_picture(file.read(), where, window=window, frame=chosen)
    except MedzooError:
        raise
    except Exception as error:  # readers of untrusted bytes raise anything
        raise ImageError(
            f"{where}: cannot be read as {kind} ({type(error).__name__}: {error}).", code="image-undecodable"
        ) from error


def _read_jpeg(data: bytes, where: str, window: WindowChoice | None, frame: Frame | None) -> Pixels:
    """Read a JPEG without further checks of the format: most images of most data sets are JPEG."""
    from medzoo.data.images.pillow.read import read_picture

    return read_picture(data, where, window=window, frame=_one_frame(frame, where))


def _check_head(head: bytes, where: str) -> None:
    """Report the common reasons why a file is not an image before a decoder fails."""
    if not head:
        raise ImageError(f"{where}: the file is empty (0 bytes). Download it again.", code="image-file-empty")
    if head[:256].lstrip().lower().startswith((b"<!doctype html", b"<html", b"<head")):
        raise ImageError(
            f"{where}: an HTML page, not an image. The download link probably led to a login page.",
            code="image-is-html",
        )


def _one_frame(frame: Frame | None, where: str) -> int | None:
    if frame is None or (isinstance(frame, int) and not isinstance(frame, bool)):
        return frame
    raise ImageError(
        f"{where}: frame={frame!r} is for volumes. For this format, give the number of one frame.",
        code="frame-type-unsupported",
    )


def _from_npy(data: bytes, where: str, window: WindowChoice | None, frame: int | None) -> Pixels:
    if frame not in (None, 0):
        raise ImageError(
            f"{where}: an .npy file contains one image and has no frames. Remove frame={frame}.",
            code="frame-out-of-range",
        )
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
        if dtype.hasobject:
            raise ImageError(
                f"{where}: contains Python objects (pickle). medzoo never loads them.", code="npy-has-objects"
            )
        if math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
            raise ImageError(f"{where}: truncated or damaged: the header says {shape} of {dtype}.", code="npy-damaged")
        stream.seek(0)
        return from_array(np.load(stream, allow_pickle=False), where, window=window)
    except (ValueError, EOFError, SyntaxError, TypeError) as error:
        raise ImageError(f"{where}: not a complete .npy file ({error}).", code="npy-damaged") from error
