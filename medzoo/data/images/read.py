"""Any image file → its pixels in stored precision, with the range of the scale and notes on what was applied.

Here is the door: what a file is follows from its first bytes. `pictures.py` reads PNG and the like, `dicom.py` DICOM,
`nifti.py` NIfTI. Nothing is scaled, clipped, turned or made grey without a note.
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
    ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".npy", ".dcm", ".dicom", ".nii", ".nii.gz",
)  # fmt: skip
_HEAD, _JPEG = 512, b"\xff\xd8\xff"


def read_image(
    path: str | os.PathLike[str], *, window: WindowChoice | None = None, frame: Frame | None = None
) -> Pixels:
    """Read a PNG, JPEG, TIFF, BMP, WebP, GIF, .npy, DICOM or NIfTI file, or a folder with one DICOM series.

    CT comes in HU. Other DICOM images come as their header says they are to be shown: modality LUT, then VOI LUT or window,
    and MONOCHROME1 turned round last. NIfTI is turned to the axes of a DICOM scan: slices upwards, rows to the back,
    columns to the left of the patient.

    Args:
        path: the file, or a folder with the slices of one series; `file#12` is frame 12 of it, `file#3,12` that of volume 3.
        window: (low, high) to clip to, which becomes the range, or the name of a CT window ("lung", see `windows.WINDOWS`;
            "full" is the whole scale). Needed where a file does not say its range. A rule ("percentile:1,99", "zscore:3") finds
            the limits in what is read, a slice or a volume; with ":series" behind it, in the volume of a slice.
        frame: which frame or slice of several, from 0; "all" for the volume (D, H, W); of NIfTI in four dimensions
            (volume, slice) or (volume, "all").

    Returns:
        (H, W) or (H, W, 3), and (D, H, W) for a volume.

    Raises:
        ImageError: if the file cannot be read, or not without a guess; the message says what to add.
        MissingExtraError: if a library for this format is not installed.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.fromarray(np.full((4, 6), 40_000, np.uint16)).save(f"{folder}/scan.png")
    ...     read_image(f"{folder}/scan.png").array.max()
    np.uint16(40000)
    """
    if not isinstance(path, str | os.PathLike):
        raise ImageError(f"A {type(path).__name__} is no path; give the path of an image file.")
    path, frame = Path(os.fsdecode(path)), plain_frame(frame)
    if frame is None:
        path, frame = file_and_frame(path)
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a thousand times a second
            return read_open(file, str(path), window=window, frame=frame)
    except (OSError, ValueError) as error:  # a ValueError for a name that no file can have
        if isinstance(error, ValueError) or not path.is_dir():
            raise ImageError(f"{path}: cannot be opened ({getattr(error, 'strerror', None) or error}).") from error
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
        ImageError: if the bytes are no image, or not readable without a guess.
    """
    if data.startswith(_JPEG):
        return _read_jpeg(data, where, window, plain_frame(frame))
    return read_open(io.BytesIO(data), where, window=window, frame=frame)


def to_pixels(image: Any, *, window: WindowChoice | None = None) -> Pixels:  # noqa: ANN401
    """Take whatever people have in hand: a PIL image, an array, a tensor, a path or encoded bytes.

    Args:
        image: PIL L, RGB, RGBA, P, 1, I;16; uint8 or uint16 array (H, W) or (H, W, 3); such a tensor, also (C, H, W).
        window: (low, high), the range of values whose type does not say it (floats, int16), or the name of a CT window.

    Raises:
        ImageError: if it is no image, or not readable without a guess.

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

        shown = image.tell() if getattr(image, "n_frames", 1) > 1 else None
        check_opened(image, "PIL image")
        with strictly():
            return from_pil(image, "PIL image", window=window, frame=shown)
    if isinstance(image, np.ndarray):
        return from_array(image, "array", window=window)
    if type(image).__module__ == "torch" and hasattr(image, "numpy"):
        plain = image.detach().cpu()
        array = (plain.float() if str(plain.dtype) == "torch.bfloat16" else plain).numpy()
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):  # torch's order, also for an image as narrow as that
            array = np.moveaxis(array, 0, -1)
        return from_array(array, "tensor", window=window)
    raise ImageError(f"A {type(image).__name__} is no image: give a path, bytes, a PIL image, an array or a tensor.")


def read_open(file: BinaryIO, where: str, *, window: WindowChoice | None = None, frame: Frame | None = None) -> Pixels:
    """Read an image from an open file.

    Args:
        file: seekable, at its start.
        where: for messages.
        window: as in `read_image`.
        frame: as in `read_image`.

    Raises:
        ImageError: if it is no image, or not readable without a guess.
    """
    frame = plain_frame(frame)
    head = file.read(_HEAD)
    if head.startswith(_JPEG):
        return _read_jpeg(head + file.read(), where, window, frame)
    _refuse(head, where)
    file.seek(0)
    kind = _kind(head)
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
        raise ImageError(f"{where}: cannot be read as {kind} ({type(error).__name__}: {error}).") from error


def _read_jpeg(data: bytes, where: str, window: WindowChoice | None, frame: Frame | None) -> Pixels:
    """Most images of most data sets, which pay for no other question."""
    from medzoo.data.images.pillow.read import read_picture

    return read_picture(data, where, window=window, frame=_one_frame(frame, where))


def _kind(head: bytes) -> str:
    from medzoo.data.images.dicom.file import looks_like_dicom
    from medzoo.data.images.nifti.header import looks_like_nifti

    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if looks_like_nifti(head):
        return "NIfTI"
    return "DICOM" if looks_like_dicom(head) else "a picture"


def _refuse(head: bytes, where: str) -> None:
    """Name the usual reasons why a file is no image, before a decoder gives its own."""
    if not head:
        raise ImageError(f"{where}: is empty (0 bytes). Fetch the file again.")
    if head[:256].lstrip().lower().startswith((b"<!doctype html", b"<html", b"<head")):
        raise ImageError(f"{where}: is an HTML page, not an image; a download link probably led to a login page.")


def _one_frame(frame: Frame | None, where: str) -> int | None:
    if frame is None or (isinstance(frame, int) and not isinstance(frame, bool)):
        return frame
    raise ImageError(f"{where}: frame={frame!r} is for volumes; pictures take the number of one frame.")


def _from_npy(data: bytes, where: str, window: WindowChoice | None, frame: int | None) -> Pixels:
    if frame not in (None, 0):
        raise ImageError(f"{where}: has no frames; an .npy file holds one image. Leave frame={frame} out.")
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
        if dtype.hasobject:
            raise ImageError(f"{where}: holds Python objects (pickle), which are never loaded.")
        if math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
            raise ImageError(f"{where}: is truncated or damaged: its header says {shape} of {dtype}.")
        stream.seek(0)
        return from_array(np.load(stream, allow_pickle=False), where, window=window)
    except (ValueError, EOFError, SyntaxError, TypeError) as error:
        raise ImageError(f"{where}: is no whole .npy file ({error}).") from error
