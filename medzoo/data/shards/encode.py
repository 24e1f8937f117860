"""Encode an image of a task for a shard: the original bytes of a plain file, or a lossless PNG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from medzoo.data.decode_cache.rows import to_row
from medzoo.data.images.read import Pixels, decode_bytes, with_channels
from medzoo.errors import ImageError, MedzooError

if TYPE_CHECKING:
    from medzoo.data.task import Task

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"


def image_bytes(task: Task, split: str, row: int, *, size: int | None, jpeg: bool) -> tuple[bytes, bool]:
    """The encoded image of a row, and whether it has colour.

    Without a size, the bytes of a plain 8-bit PNG or JPEG (without alpha, palette, EXIF orientation or window) are copied.
    Everything else becomes a PNG with 8 bits, or with 16 bits over the range of its pixels.

    Args:
        task: with the image.
        split: of the row.
        row: number in the split.
        size: side of the square that the image is resized to, as in the cache of decoded images; None keeps the size.
        jpeg: whether JPEG files may be copied.

    Raises:
        ImageError: if the image cannot be read, or has 16 bits and colour, which is not supported.
    """
    pixels, _ = task.read(split, row)
    if size is None:
        plain = _original(task, split, row, pixels, jpeg)
        if plain is not None:
            return plain, pixels.array.ndim == 3
    array = _whole(pixels) if size is None else to_row(pixels, size)
    return encode(array, f"{task.name}, {split} {task.tables[split]['id'][row].as_py()}"), array.ndim == 3


def mask_bytes(task: Task, split: str, row: int, *, size: int | None) -> bytes | None:
    """The encoded mask of a row; None for a task without masks.

    Args:
        task: with the mask.
        split: of the row.
        row: number in the split.
        size: side of the square that the mask is resized to, by the nearest pixel; None keeps the size.
    """
    if task.kind != "segmentation":
        return None
    mask = task.read_mask(split, row)
    if size is not None and mask.shape != (size, size):
        from PIL import Image

        mask = np.asarray(Image.fromarray(mask).resize((size, size), Image.Resampling.NEAREST))
    return encode(mask, f"mask of row {row}")


def _original(task: Task, split: str, row: int, pixels: Pixels, jpeg: bool) -> bytes | None:
    """The original bytes of the file, if decoding them gives exactly these pixels and no notes; otherwise None."""
    raw = getattr(task.reader, "raw", None)
    if raw is None or pixels.notes or pixels.array.dtype != np.uint8 or pixels.range != (0.0, 255.0):
        return None
    data = raw(task.tables[split]["image"][row].as_py())
    if data is None or not data.startswith((PNG, JPEG) if jpeg else PNG):
        return None
    try:
        again = with_channels(decode_bytes(data, "the original"), task.info.channels)
    except MedzooError:
        return None
    same = again.array.shape == pixels.array.shape and bool((again.array == pixels.array).all())
    return data if same and again.range == pixels.range else None


def _whole(pixels: Pixels) -> np.ndarray:
    """The image in its original size, uint8 or uint16 over its range."""
    array, (low, high) = pixels.array, pixels.range
    if array.ndim == 3 and array.shape[2] != 3:
        raise ImageError(
            f"The file is a volume of shape {array.shape}, not an image. Choose a slice.", code="volume-not-an-image"
        )
    if array.dtype == np.uint8 and (low, high) == (0.0, 255.0):
        return array
    unit = np.clip((array.astype(np.float32) - low) / np.float32(high - low), 0, 1)
    return (unit * np.float32(65535) + np.float32(0.5)).astype(np.uint16)


def encode(array: np.ndarray, where: str) -> bytes:
    """A PNG of (H, W) uint8 or uint16, or (H, W, 3) uint8.

    Raises:
        ImageError: for 16 bits with colour.
    """
    from PIL import Image

    if array.ndim == 3 and array.dtype != np.uint8:
        raise ImageError(
            f"{where} has colour and more than 8 bits per channel. Shards do not support this.",
            code="colour-depth-unsupported",
        )
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()
