"""The size of a compressed image, read before it is decoded: JPEG, JPEG-LS and JPEG 2000.

Decoders allocate memory for the size in the stream, which can differ from the size in the surrounding header.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from medzoo.data.images.jpeg_markers import JpegStream, jpeg_stream

_JPEG = b"\xff\xd8"
_J2K = b"\xff\x4f\xff\x51"
_JP2_BOX = b"\x00\x00\x00\x0cjP  "


@dataclass(frozen=True)
class Frame:
    """The frame header of a compressed image.

    Args:
        width: pixels.
        height: pixels.
        channels: components.
        bits: per sample.
        coding: "DCT", "lossless", "JPEG-LS" or "JPEG 2000".
    """

    width: int
    height: int
    channels: int
    bits: int
    coding: str


def frame_header(data: bytes) -> Frame | None:
    """The frame header of a JPEG, JPEG-LS or JPEG 2000 stream, or None for other and damaged data.

    Args:
        data: the stream from its first byte.

    Source: ITU-T T.81 B.2.2, T.87 C.2.2, T.800 A.5.1.

    >>> frame_header(bytes.fromhex("ffd8 ffc0 0008 08 0010 0020 01"))
    Frame(width=32, height=16, channels=1, bits=8, coding='DCT')
    """
    return jpeg_frame(jpeg_stream(data)) if data.startswith(_JPEG) else _j2k_frame(data)


def jpeg_frame(stream: JpegStream) -> Frame | None:
    """The frame header of a JPEG or JPEG-LS stream, or None if it has none.

    Args:
        stream: its markers.
    """
    if not stream.marker:
        return None
    return Frame(stream.width, stream.height, stream.channels, stream.bits, stream.coding)


def _j2k_frame(data: bytes) -> Frame | None:
    if data.startswith(_JP2_BOX):
        start = data.find(_J2K)
        data = data[start:] if start >= 0 else b""
    if not data.startswith(_J2K) or len(data) < 45:
        return None
    right, bottom, left, top = struct.unpack_from(">IIII", data, 8)
    channels, bits = int.from_bytes(data[40:42], "big"), data[42]
    return Frame(right - left, bottom - top, channels, (bits & 0x7F) + 1, "JPEG 2000")


def component_transform(data: bytes) -> bool | None:
    """Whether the components of a JPEG 2000 stream are transformed (RCT or ICT); None if the stream does not say it.

    Args:
        data: the stream, or a JP2 file that contains it.

    Source: ITU-T T.800 A.6.1 (COD).
    """
    at = data.find(_J2K) + 2
    if at < 2:
        return None
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\x90":  # SOT: the main header ends
        if data[at + 1 : at + 2] == b"\x52":
            return bool(data[at + 8]) if at + 8 < len(data) else None
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
