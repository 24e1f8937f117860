"""Any image file → its pixels in stored precision, with the range of the scale and notes on what was applied.

Nothing is scaled, clipped or made grey here without a note. 16-bit greys never pass through `Image.convert`,
which clips them at 255 (https://github.com/python-pillow/Pillow/issues/2574).
"""

from __future__ import annotations

import io
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.data.arrays import Pixels, Window, apply_window, check_size, from_array, with_channels
from medzoo.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "LATER",
    "SUFFIXES",
    "Pixels",
    "Window",
    "apply_window",
    "decode_bytes",
    "from_array",
    "read_image",
    "to_pixels",
    "with_channels",
]

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".npy")
LATER = {".dcm": "DICOM", ".dicom": "DICOM", ".nii": "NIfTI", ".nii.gz": "NIfTI"}


def read_image(path: str | os.PathLike[str], *, window: Window | None = None, frame: int | None = None) -> Pixels:
    """Read a PNG, JPEG, TIFF, BMP, WebP, GIF or .npy file.

    Args:
        path: the file.
        window: (low, high) to clip to; it becomes the range. Needed where a file does not say its range (floats).
        frame: which frame of a file that holds several.

    Raises:
        ImageError: if the file cannot be read, or not without a guess.
    """
    path = Path(path)
    kind = next((LATER[suffix] for suffix in LATER if path.name.lower().endswith(suffix)), None)
    if kind and path.exists():
        raise ImageError(f"{path}: {kind} is not read yet. Convert it to PNG (16 bit) or .npy with a window.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be opened ({error.strerror or error}).") from error
    return decode_bytes(data, str(path), window=window, frame=frame)


def decode_bytes(data: bytes, where: str, *, window: Window | None = None, frame: int | None = None) -> Pixels:
    """Decode the bytes of an image file, for example a cell of a Parquet table.

    Args:
        data: the encoded image.
        where: file (and row), for messages.
        window: as in `read_image`.
        frame: as in `read_image`.

    Raises:
        ImageError: if the bytes are no image, or not readable without a guess.
    """
    _sniff(data, where)
    if data.startswith(b"\x93NUMPY"):
        return from_array(_read_npy(data, where), where, window=window)
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            return _from_pil(image, where, window, frame)
    except ImageError:
        raise
    except Image.UnidentifiedImageError:
        raise ImageError(f"{where}: is no image that Pillow knows (it begins with {data[:8]!r}).") from None
    except Exception as error:  # decoders of untrusted bytes raise anything, from OSError to IndexError
        raise ImageError(f"{where}: cannot be decoded ({type(error).__name__}: {error}).") from error


def to_pixels(image: Any, *, window: Window | None = None) -> Pixels:  # noqa: ANN401
    """Take whatever people have in hand: a PIL image, an array, a tensor, a path or encoded bytes.

    Args:
        image: PIL L, RGB, RGBA, P, 1, I;16; uint8 or uint16 array (H, W) or (H, W, 3); such a tensor, also (C, H, W).
        window: (low, high), the range of values whose type does not say it (floats, int16).

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
        return _from_pil(image, "PIL image", window, image.tell() if getattr(image, "n_frames", 1) > 1 else None)
    if isinstance(image, np.ndarray):
        return from_array(image, "array", window=window)
    if type(image).__module__ == "torch" and hasattr(image, "numpy"):
        plain = image.detach().cpu()
        array = (plain.float() if str(plain.dtype) == "torch.bfloat16" else plain).numpy()
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):  # torch's order, also for an image as narrow as that
            array = np.moveaxis(array, 0, -1)
        return from_array(array, "tensor", window=window)
    raise ImageError(f"A {type(image).__name__} is no image: give a path, bytes, a PIL image, an array or a tensor.")


def _sniff(data: bytes, where: str) -> None:
    """Name the usual reasons why a file is no image, before a decoder gives its own."""
    if not data:
        raise ImageError(f"{where}: is empty (0 bytes). Fetch the file again.")
    if data[:256].lstrip().lower().startswith((b"<!doctype html", b"<html", b"<head")):
        raise ImageError(f"{where}: is an HTML page, not an image; a download link probably led to a login page.")
    if data[128:132] == b"DICM":
        raise ImageError(f"{where}: DICOM is not read yet. Convert it to PNG (16 bit) or .npy with a window.")
    if data[344:348] in (b"n+1\0", b"ni1\0"):
        raise ImageError(f"{where}: NIfTI is not read yet. Convert its slices to PNG (16 bit) or .npy with a window.")


def _read_npy(data: bytes, where: str) -> np.ndarray:
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
        return np.load(stream, allow_pickle=False)
    except (ValueError, EOFError, SyntaxError, TypeError) as error:
        raise ImageError(f"{where}: is no whole .npy file ({error}).") from error


def _from_pil(image: Image.Image, where: str, window: Window | None, frame: int | None) -> Pixels:
    check_size(*image.size, where)
    frames = int(getattr(image, "n_frames", 1))
    if frames > 1 and frame is None:
        raise ImageError(f"{where}: holds {frames} frames; say which one with frame=0 to {frames - 1}.")
    if frame is not None:
        if not 0 <= frame < frames:
            raise ImageError(f"{where}: has no frame {frame}; it holds {frames}.")
        image.seek(frame)
        check_size(*image.size, where)
    notes = [f"frame {frame} of {frames}"] if frames > 1 else []
    if any("16" in str(tile[-1]) for tile in getattr(image, "tile", ()) if image.mode == "RGB"):
        notes.append("16 bits a channel of a colour image read as 8")
    image.load()
    image = _upright(image, notes)
    array = _plain(image, where, notes)
    pixels = from_array(array, where, window=window)
    return replace(pixels, notes=(*notes, *pixels.notes))


def _upright(image: Image.Image, notes: list[str]) -> Image.Image:
    """Apply the camera's EXIF orientation; a damaged EXIF block says nothing about it."""
    from PIL import ImageOps

    try:
        orientation = image.getexif().get(0x0112, 1)
        if orientation not in range(2, 9):
            return image
        turned = ImageOps.exif_transpose(image)
    except Exception:  # EXIF parsers raise anything on damaged blocks
        notes.append("damaged EXIF ignored")
        return image
    notes.append(f"EXIF orientation {orientation} applied")
    return turned


def _plain(image: Image.Image, where: str, notes: list[str]) -> np.ndarray:
    """The array of a PIL image: greys as they are, everything else as RGB, with notes."""
    mode = image.mode
    if mode == "1":
        notes.append("1 bit stored as 0 and 255")
        return np.asarray(image.convert("L"))
    if mode in ("L", "RGB", "F") or mode.startswith("I;16"):
        return np.asarray(image)
    if mode == "I":  # 32 bit; some writers' 16-bit PNGs arrive so
        array = np.asarray(image)
        if image.format == "PNG" and array.min() >= 0 and array.max() <= 65535:
            return array.astype(np.uint16)
        return array
    if mode == "P":
        notes.append("palette applied")
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif mode in ("PA", "La", "RGBa"):
        image = image.convert("LA" if mode == "La" else "RGBA")
    elif mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX"):
        notes.append(f"{mode} converted to RGB")
        image = image.convert("RGB")
    if image.mode in ("LA", "RGBA"):
        array = np.asarray(image)
        opaque = bool((array[:, :, -1] == 255).all())
        notes.append("alpha dropped" if opaque else "alpha dropped (it was not opaque everywhere)")
        return array[:, :, 0] if image.mode == "LA" else array[:, :, :3]
    if image.mode == "RGB":
        return np.asarray(image)
    raise ImageError(f"{where}: has the mode {mode}, which medzoo does not read.")
