"""Check that a picture file is complete: decoders fill missing parts without an error.

An interrupted download leaves a file that ends early, or one that ends with zeros. For JPEG see also `jpeg_markers`.
Formats without end marker or checksum (BMP, plain TIFF, WebP) are left to their decoders, which report missing bytes.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from medzoo.data.images.jpeg_markers import JpegStream, extended_source, jpeg_stream, strict_source

if TYPE_CHECKING:
    from PIL import Image

PNG, GIF, J2K, JPEG = b"\x89PNG\r\n\x1a\n", (b"GIF87a", b"GIF89a"), b"\xff\x4f\xff\x51", b"\xff\xd8"
_CHECKED = {b"fdAT", b"fcTL", b"acTL"}  # of animations; the names of all other required chunks begin with a capital
_JPEG_IN_TIFF = 7
_COMPRESSION, _JPEG_TABLES, _STRIPS, _TILES = 259, 347, (273, 279), (324, 325)  # offsets and sizes


def missing_from(data: bytes) -> str:
    """What is missing in a PNG, GIF, JPEG or JPEG 2000 file, as text; "" for complete files and other formats.

    Args:
        data: the file.

    >>> missing_from(b"GIF89a")
    'it has no end marker'
    """
    if data.startswith(PNG):
        return _of_png(data)
    if data.startswith(GIF):
        return _of_gif(data)
    if data.startswith(JPEG):
        return jpeg_stream(data).problem
    if data.startswith(J2K) and data.rfind(b"\xff\xd9") < 0:
        return "it has no end marker"
    return ""


def missing_from_tiff(data: bytes, image: Image.Image) -> str:
    """What is missing in the JPEG strips or tiles of a TIFF, as text; libtiff fills missing parts.

    Args:
        data: the file.
        image: opened, at the frame to read.
    """
    tags: Any = getattr(image, "tag_v2", None)
    if tags is None or tags.get(_COMPRESSION) != _JPEG_IN_TIFF:
        return ""
    tables = bytes(tags.get(_JPEG_TABLES) or b"\xff\xd8\xff\xd9")
    if problem := jpeg_stream(tables).problem:
        return f"its JPEG tables: {problem}"
    for offsets, sizes in (_STRIPS, _TILES):
        for number, (start, size) in enumerate(zip(tags.get(offsets, ()), tags.get(sizes, ()), strict=False)):
            part = data[start : start + size]
            problem = jpeg_stream(part).problem if part.startswith(JPEG) else "it is not a JPEG"
            if not problem and ends_early(part[:2] + tables[2:-2] + part[2:]):
                problem = "a scan ends early"
            if problem:
                return f"strip or tile {number}: {problem}"
    return ""


def ends_early(data: bytes) -> bool:
    """Whether the last scan of a JPEG of 8 bits has less data than its size needs; False for what Pillow does not decode.

    Args:
        data: a stream that is complete according to its markers.
    """
    from PIL import Image

    stream = jpeg_stream(data)
    try:
        with Image.open(io.BytesIO(strict_source(data, stream)), formats=["JPEG"]) as image:
            image.load()
            return differs_when_longer(data, stream, image)
    except Exception as error:  # another decoder may be able to read it
        return "truncated" in str(error)


def differs_when_longer(data: bytes, stream: JpegStream, image: Image.Image) -> bool:
    """Whether more data would change an image of several scans: then its last scan ends early.

    Args:
        data: the JPEG data.
        stream: their markers.
        image: decoded from them.
    """
    from PIL import Image

    longer = extended_source(data, stream)
    if longer is None:
        return False
    with Image.open(io.BytesIO(longer), formats=["JPEG"]) as again:
        return again.tobytes() != image.tobytes()


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the content of each complete chunk of a PNG.

    Args:
        data: the file.
    """
    at, size = len(PNG), len(data)
    while at + 12 <= size:
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if at + 12 + length > size:
            return
        yield name, at + 8, at + 8 + length
        at += 12 + length


def _of_png(data: bytes) -> str:
    view = memoryview(data)
    for name, start, stop in png_chunks(data):
        needed = not name[0] & 32 or name in _CHECKED
        if needed and zlib.crc32(view[start - 4 : stop]) != int.from_bytes(view[stop : stop + 4], "big"):
            return f"its chunk {name.decode('latin-1')!r} has a wrong checksum"
        if name == b"IEND":
            return ""
    return "it has no end marker"


def _of_gif(data: bytes) -> str:
    try:
        at = 13 + _colours(data[10])
        while True:
            kind = data[at]
            if kind == 0x3B:
                return ""
            if kind == 0x2C:
                at += 11 + _colours(data[at + 9])
            elif kind == 0x21:
                at += 2
            elif kind == 0:  # fill bytes between blocks
                at += 1
                continue
            else:
                return "one of its blocks is damaged"
            while data[at]:  # sub-blocks, the last one empty
                at += 1 + data[at]
            at += 1
    except IndexError:
        return "it has no end marker"


def _colours(flags: int) -> int:
    """The bytes of a colour table."""

    return 3 << ((flags & 7) + 1) if flags & 128 else 0
