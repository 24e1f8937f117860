"""What a compressed image says of its size before anything decodes it: JPEG, JPEG-LS and JPEG 2000.

Decoders take memory for the size in the stream, which need not be the size in the header around it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_JPEG = b"\xff\xd8"
_J2K = b"\xff\x4f\xff\x51"
_JP2_BOX = b"\x00\x00\x00\x0cjP  "
# Start-of-frame markers, ITU-T T.81 table B.1; 0xF7 is JPEG-LS, T.87.
_DCT, _LOSSLESS = {0xC0, 0xC1, 0xC2, 0xC5, 0xC6, 0xC9, 0xCA, 0xCD, 0xCE}, {0xC3, 0xC7, 0xCB, 0xCF}
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length


@dataclass(frozen=True)
class Frame:
    """The frame header of a compressed image.

    Args:
        width: pixels.
        height: pixels.
        channels: components.
        bits: a sample.
        coding: "DCT", "lossless", "JPEG-LS" or "JPEG 2000".
    """

    width: int
    height: int
    channels: int
    bits: int
    coding: str


def frame_header(data: bytes) -> Frame | None:
    """The size that a JPEG, JPEG-LS or JPEG 2000 stream states, or None if it is none of them or broken.

    Args:
        data: the stream from its first byte.

    Source: ITU-T T.81 B.2.2, T.87 C.2.2, T.800 A.5.1.

    >>> frame_header(bytes.fromhex("ffd8 ffc0 0008 08 0010 0020 01"))
    Frame(width=32, height=16, channels=1, bits=8, coding='DCT')
    """
    return jpeg_frame(data) if data.startswith(_JPEG) else _j2k_frame(data)


def jpeg_frame(data: bytes) -> Frame | None:
    """The frame header of a JPEG or JPEG-LS stream.

    Args:
        data: the stream from its first byte.
    """
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes
            at += 1
            continue
        if marker in _ALONE:
            at += 2
            continue
        if marker in _DCT or marker in _LOSSLESS or marker == 0xF7:
            if at + 10 > len(data):
                return None
            bits, height, width, channels = struct.unpack_from(">BHHB", data, at + 4)
            coding = "DCT" if marker in _DCT else "lossless" if marker in _LOSSLESS else "JPEG-LS"
            return Frame(width, height, channels, bits, coding)
        if marker in (0xDA, 0xD9):  # a scan or the end, and no frame before it
            return None
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _j2k_frame(data: bytes) -> Frame | None:
    if data.startswith(_JP2_BOX):
        start = data.find(_J2K)
        data = data[start:] if start >= 0 else b""
    if not data.startswith(_J2K) or len(data) < 45:
        return None
    right, bottom, left, top = struct.unpack_from(">IIII", data, 8)
    channels, bits = int.from_bytes(data[40:42], "big"), data[42]
    return Frame(right - left, bottom - top, channels, (bits & 0x7F) + 1, "JPEG 2000")
