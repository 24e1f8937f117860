"""One image of a task as the bytes that go into a shard: the file's own where it is plain, else a lossless PNG."""

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

    An 8-bit PNG or JPEG without a peculiarity (alpha, palette, EXIF orientation, window) is taken as it is, if no size is asked
    for. Everything else becomes a PNG of 8 bits, or of 16 bits over the range of its pixels.

    Args:
        task: whose image it is.
        split: of the row.
        row: number in the split.
        size: side of the square that it is brought to, as the cache of decoded images does; None leaves it.
        jpeg: whether JPEG files may be kept.

    Raises:
        ImageError: if it cannot be read, or has 16 bits and colour, for which PNG files are not written here.
    """
    pixels, _ = task.read(split, row)
    if size is None:
        plain = _original(task, split, row, pixels, jpeg)
        if plain is not None:
            return plain, pixels.array.ndim == 3
    array = _whole(pixels) if size is None else to_row(pixels, size)
    return encode(array, f"{task.name}, {split} {task.tables[split]['id'][row].as_py()}"), array.ndim == 3


def _original(task: Task, split: str, row: int, pixels: Pixels, jpeg: bool) -> bytes | None:
    """The file's own bytes, if decoding them gives these very pixels and there is nothing to say about it."""
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
    """The image in its own size, uint8 or uint16 over its range."""
    array, (low, high) = pixels.array, pixels.range
    if array.ndim == 3 and array.shape[2] != 3:
        raise ImageError(f"A volume of shape {array.shape} is no image; choose a slice.")
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
        raise ImageError(f"{where}: has colour and more than 8 bits a channel, which shards do not hold.")
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()
