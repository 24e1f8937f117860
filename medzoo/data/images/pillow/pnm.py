"""PGM and PPM files whose highest value is not 255: the header gives the scale. Pillow would rescale the values.

Source: https://netpbm.sourceforge.net/doc/pgm.html, https://netpbm.sourceforge.net/doc/ppm.html
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from medzoo.data.images.pixels import Pixels, apply_window, check_size, from_array
from medzoo.errors import ImageError

if TYPE_CHECKING:
    from medzoo.data.images.ct_windows import WindowChoice

_GAP = rb"(?:\s|#[^\n\r]*[\n\r])+"  # spaces and comments
_HEADER = re.compile(rb"P([2356])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,5})(?:#[^\n\r]*)?\s")


class PnmHeader(NamedTuple):
    """The header of a PGM or PPM file.

    Args:
        plain: whether numbers are written as text.
        channels: 1 or 3.
        width: pixels.
        height: pixels.
        highest: the value of white.
        start: where the pixels begin.
    """

    plain: bool
    channels: int
    width: int
    height: int
    highest: int
    start: int


def pnm_header(data: bytes) -> PnmHeader | None:
    """The header of a PGM or PPM file, or None for other files.

    Args:
        data: the file.

    >>> pnm_header(b"P5 4 3 4095 ")
    PnmHeader(plain=False, channels=1, width=4, height=3, highest=4095, start=12)
    """
    match = _HEADER.match(data)
    if match is None:
        return None
    kind, width, height, highest = (int(part) for part in match.groups())
    return PnmHeader(kind in (2, 3), 1 if kind in (2, 5) else 3, width, height, highest, match.end())


def read_pnm(data: bytes, header: PnmHeader, where: str, *, window: WindowChoice | None = None) -> Pixels:
    """The stored pixels, on the scale of the header.

    Args:
        data: the file.
        header: its header.
        where: for messages.
        window: as in `read_image`.

    Raises:
        ImageError: if pixels are missing or above the highest value.
    """
    plain, channels, width, height, highest, start = header
    check_size(width, height, where)
    if not 0 < highest < 65536:
        raise ImageError(
            f"{where}: the header says that the highest value is {highest}; it should be 1 to 65535.",
            code="pnm-highest-invalid",
        )
    count, wide = width * height * channels, highest > 255
    if plain:
        words = data[start:].split(None, count)[:count]
        try:
            values = np.array([int(word) for word in words], np.int64)
        except ValueError:
            raise ImageError(
                f"{where}: the pixels contain text that is not a number.", code="pnm-not-a-number"
            ) from None
    else:
        available = (len(data) - start) // (2 if wide else 1)
        values = np.frombuffer(data, ">u2" if wide else np.uint8, min(count, available), start)
    if not count or len(values) < count:
        raise ImageError(
            f"{where}: cut off, or its header is wrong: {width} x {height} pixels need {count:,} values, but the file has "
            f"{len(values):,}.",
            code="image-cut-off",
        )
    if int(values.max()) > highest or int(values.min()) < 0:
        raise ImageError(
            f"{where}: contains the value {int(values.max())}, but the header says that {highest} is the highest.",
            code="pnm-value-too-high",
        )
    array = values.astype(np.uint16 if wide else np.uint8).reshape(height, width, *((3,) if channels == 3 else ()))
    pixels = from_array(array, where)
    if pixels.range[1] != highest:
        pixels = replace(pixels, range=(0.0, float(highest)), notes=(f"range 0 to {highest} from the header",))
    return pixels if window is None else apply_window(pixels, window, where)
