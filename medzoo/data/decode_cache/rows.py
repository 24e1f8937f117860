"""One image as a stored row, and the rows of a split as one array, read from memory maps.

Images are resized to a square with an antialiased triangle filter; the aspect ratio is not preserved. One channel stays one
channel. 8-bit images of the full range stay 8 bit and are resized with integers: every machine gets the same bits. Other images
become 16 bit, linear over the range of their pixels. Masks are resized by the nearest pixel, which preserves their values.

All rows of a split get the type of the widest one: with one colour image the split is read as colour, with one 16-bit image as
16 bit. Other rows are repeated to three channels, and multiplied by 257 (255 * 257 = 65535), so values in [0, 1] do not change.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from medzoo.errors import ImageError

if TYPE_CHECKING:
    from medzoo.data.images.read import Pixels

RESIZE = "square, antialiased bilinear, aspect not kept"


@dataclass(frozen=True)
class DecodedRow:
    """The stored data of one image.

    Args:
        image: (size, size) or (size, size, 3), uint8 or uint16.
        mask: (size, size) uint8, or None.
    """

    image: np.ndarray
    mask: np.ndarray | None = None


def to_row(pixels: Pixels, size: int) -> np.ndarray:
    """Convert an image to a stored row.

    Args:
        pixels: (H, W) or (H, W, 3).
        size: side of the row, pixels.

    Returns:
        (size, size) or (size, size, 3), uint8 for 8-bit images of the full range, else uint16 scaled to the range.

    Raises:
        ImageError: for a volume.
    """
    from PIL import Image

    array = pixels.array
    if array.ndim == 3 and array.shape[2] != 3:
        raise ImageError(f"A volume of shape {array.shape} is not an image. Choose a slice.", code="volume-not-image")
    low, high = pixels.range
    if array.dtype == np.uint8 and (low, high) == (0.0, 255.0):
        if array.shape[:2] == (size, size):
            return array
        from medzoo.data.transforms.resample import resize_bytes

        return resize_bytes(array, size, size)
    unit = np.clip((array.astype(np.float32) - low) / np.float32(high - low), 0, 1)
    planes = [unit] if unit.ndim == 2 else [unit[..., channel] for channel in range(3)]
    if array.shape[:2] != (size, size):
        planes = [
            np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((size, size), Image.Resampling.BILINEAR))
            for plane in planes
        ]
    rows = [(np.clip(plane, 0, 1) * np.float32(65535) + np.float32(0.5)).astype(np.uint16) for plane in planes]
    return rows[0] if unit.ndim == 2 else np.stack(rows, axis=-1)


def to_mask_row(mask: np.ndarray, size: int) -> np.ndarray:
    """Convert a mask to a stored row, by the nearest pixel.

    Args:
        mask: (H, W) uint8.
        size: side of the row, pixels.

    >>> to_mask_row(np.array([[0, 3], [7, 1]], np.uint8), 4)[0].tolist()
    [0, 0, 3, 3]
    """
    from PIL import Image

    if mask.shape == (size, size):
        return mask
    return np.asarray(Image.fromarray(np.ascontiguousarray(mask)).resize((size, size), Image.Resampling.NEAREST))


def widened(rows: np.ndarray, colour: bool, dtype: np.dtype) -> np.ndarray:
    """Rows converted to the channels and type of their split.

    Args:
        rows: (..., H, W) or, for colour, (..., H, W, 3).
        colour: whether to repeat the rows (..., H, W) to three channels.
        dtype: uint8 or uint16.

    >>> widened(np.full((1, 1), 2, np.uint8), True, np.dtype("uint16")).tolist()
    [[[514, 514, 514]]]
    """
    if rows.dtype == np.uint8 and dtype == np.uint16:
        rows = rows.astype(np.uint16) * np.uint16(257)
    return np.repeat(rows[..., None], 3, axis=-1) if colour else rows


class RowArray(Protocol):
    """Rows of a split, indexed like an array: in a store, in memory, or on a device."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W) or (N, H, W, 3)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 or uint16."""

    def __len__(self) -> int:
        """The number of rows."""

    def __getitem__(self, chosen: Any, /) -> Any:  # noqa: ANN401 - numbers, a slice; an array or a tensor
        """Some rows."""


class Rows:
    """The rows of a split: indexing with numbers, slices or arrays of numbers reads them and gives arrays.

    Args:
        maps: arrays (n, H, W) or (n, H, W, 3) of uint8 or uint16, for example memory maps.
        place: (N,) index of the map of each row.
        row: (N,) index of the row in its map.

    >>> rows = Rows([np.zeros((2, 4, 4), np.uint8), np.ones((1, 4, 4, 3), np.uint8)], [0, 1, 0], [1, 0, 0])
    >>> rows.shape, rows[[0, 1]][:, 0, 0].tolist()
    ((3, 4, 4, 3), [[0, 0, 0], [1, 1, 1]])
    """

    def __init__(self, maps: Sequence[np.ndarray], place: np.ndarray | Sequence[int], row: Any) -> None:  # noqa: ANN401
        self._place, self._row = np.asarray(place, np.int32), np.asarray(row, np.int64)
        self._originals = list(maps)
        self._maps = [array.view(np.ndarray) for array in maps]  # indexing np.memmap is slow
        self._colour = any(array.ndim == 4 for array in maps)
        wide = any(array.dtype == np.uint16 for array in maps)
        self._alike = len({(array.ndim, array.dtype) for array in maps}) == 1
        self.dtype = np.dtype(np.uint16 if wide else np.uint8)
        side: tuple[int, ...] = self._maps[0].shape[1:3]
        self.shape: tuple[int, ...] = (len(self._row), *side, *((3,) if self._colour else ()))

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """3, or 4 in colour."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all rows."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __getitem__(self, chosen: Any) -> np.ndarray:  # noqa: ANN401 - any index of an array
        if isinstance(chosen, tuple):
            first, *rest = chosen
            return self[first][tuple(rest) if np.ndim(self._row[first]) == 0 else (slice(None), *rest)]
        place, row = self._place[chosen], self._row[chosen]
        if np.ndim(row) == 0:
            return self._widen(self._maps[int(place)][int(row)])
        out, maps = np.empty((len(row), *self.shape[1:]), self.dtype), self._maps
        for number, (which, where) in enumerate(zip(place.tolist(), row.tolist(), strict=True)):
            out[number] = maps[which][where] if self._alike else self._widen(maps[which][where])
        return out

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the paths and offsets of the memory maps, not their content."""
        return _restore_rows, ([_map_location(array) for array in self._originals], self._place, self._row)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: ANN401 - numpy's protocol
        rows = self[:]
        return rows if dtype is None else rows.astype(dtype)

    def _widen(self, row: np.ndarray) -> np.ndarray:
        grey = self._colour and row.ndim == 2
        return widened(row, grey, self.dtype) if grey or row.dtype != self.dtype else row


def _map_location(array: np.ndarray) -> np.ndarray | tuple[Any, ...]:
    """File, type, offset and shape of a memory map; other arrays unchanged."""
    # A slice of a map is excluded: its `offset` is still that of the complete map.
    if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap):
        return str(array.filename), array.dtype.str, array.offset, array.shape
    return array


def _restore_rows(locations: list[np.ndarray | tuple[Any, ...]], place: np.ndarray, row: np.ndarray) -> Rows:
    maps = [one if isinstance(one, np.ndarray) else np.memmap(one[0], one[1], "r", one[2], one[3]) for one in locations]
    return Rows(maps, place, row)
