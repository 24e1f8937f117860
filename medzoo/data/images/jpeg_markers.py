"""The markers of a JPEG stream: its size, colours and scans, and whether it is complete.

libjpeg fills the missing part of a scan with grey and only warns, and Pillow hides the warning. So this module follows a stream
to its end marker, and prepares it so that a scan that ends early is an error for the decoder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# Start-of-frame markers, ITU-T T.81 table B.1; 0xF7 is JPEG-LS, T.87.
DCT, LOSSLESS, JPEG_LS = {0xC0, 0xC1, 0xC2, 0xC5, 0xC6, 0xC9, 0xCA, 0xCD, 0xCE}, {0xC3, 0xC7, 0xCB, 0xCF}, 0xF7
_PROGRESSIVE, _ARITHMETIC = {0xC2, 0xC6, 0xCA, 0xCE}, {0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_START, _END, _SCAN, _TABLES, _INTERVAL = 0xD8, 0xD9, 0xDA, 0xC4, 0xDD
_JFIF, _APP1, _APP2, _ADOBE = 0xE0, 0xE1, 0xE2, 0xEE
_RELEVANT = {*DCT, *LOSSLESS, JPEG_LS, _SCAN, _TABLES, _INTERVAL, _JFIF, _APP1, _APP2, _ADOBE}
# The end of the data of a scan: neither a stuffed byte nor a restart marker.
_NEXT_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
# Replacements of the end marker: as many bytes as libjpeg's bit buffer reads ahead (8).
_ZEROS, _ONES = bytes(8), b"\xff\0" * 8
_NOISE = bytes((37 * number * number + 11 * number + 5) % 251 for number in range(64))


@dataclass(slots=True)
class JpegStream:
    """The facts in the markers of a stream.

    Args:
        marker: of the frame (start of frame), 0 if there is none.
        width: pixels.
        height: pixels.
        bits: per sample.
        channels: components.
        ids: of the components.
        sampling: horizontal and vertical factor of each component.
        jfif: whether there is a JFIF marker.
        adobe: colour transform of the Adobe marker (0 none, 1 YCbCr, 2 YCCK); None without one.
        has_app1: whether there is an APP1 segment (EXIF or XMP), which may contain an orientation.
        index: offset of the multi-picture index (MPF, in APP2); 0 without one.
        scans: number of scans.
        stop: offset of the end marker; -1 if there is none.
        problem: why the stream is incomplete; "" if it seems complete.
        flat_code: whether the shortest code of the first component's AC table ends a block.
    """

    marker: int = 0
    width: int = 0
    height: int = 0
    bits: int = 0
    channels: int = 0
    ids: tuple[int, ...] = ()
    sampling: tuple[tuple[int, int], ...] = ()
    jfif: bool = False
    adobe: int | None = None
    has_app1: bool = False
    index: int = 0
    scans: int = 0
    stop: int = -1
    problem: str = ""
    flat_code: bool = False
    _first: dict[int, int] = field(default_factory=dict, repr=False)  # AC table → the symbol of its shortest code
    # component → the lowest transmitted bit of each coefficient
    _planes: dict[int, list[int]] = field(default_factory=dict, repr=False)
    _interval: int = 0  # MCUs between restarts

    @property
    def coding(self) -> str:
        """How pixels are coded: "DCT", "lossless" or "JPEG-LS"."""
        return "DCT" if self.marker in DCT else "lossless" if self.marker in LOSSLESS else "JPEG-LS"

    def scan(self, body: bytes, restarts: int) -> None:
        """Record a scan.

        Args:
            body: its header.
            restarts: number of restart markers in its data.
        """
        self.scans += 1
        count = body[0]
        components, last = body[1 : 1 + 2 * count : 2], body[1 + 2 * count :]
        if self.scans == 1:
            self.flat_code = self._first.get(body[2] & 15) == 0
        for component in components:
            if self.marker in _PROGRESSIVE:
                first, final, low = last[0], last[1], last[2] & 15
                self._planes.setdefault(component, [16] * 64)[first : final + 1] = [low] * (final + 1 - first)
            else:
                self._planes[component] = []
        if self._interval and restarts < -(-self._units(components) // self._interval) - 1:
            self.problem = "a scan ends early: restart markers are missing"

    def _units(self, components: bytes) -> int:
        """The number of MCUs of a scan, T.81 A.2."""
        across, down = (max(pair[axis] for pair in self.sampling) for axis in (0, 1))
        if len(components) > 1:
            return -(-self.width // (8 * across)) * -(-self.height // (8 * down))
        own = self.sampling[self.ids.index(components[0])]
        width, height = -(-self.width * own[0] // across), -(-self.height * own[1] // down)
        return -(-width // 8) * -(-height // 8)

    def check_scans(self) -> None:
        """Record a problem if no scan contains a component, or bits of its coefficients."""
        if not self.problem and self.marker in DCT and any(any(self._planes.get(name, (16,))) for name in self.ids):
            self.problem = "scans are missing"


def jpeg_stream(data: bytes, start: int = 0) -> JpegStream:
    """Follow a JPEG stream from marker to marker, to the end of its first image.

    Markers inside a segment (of a thumbnail in APP1) do not count. Data after the end marker are ignored.

    Args:
        data: contains the stream.
        start: offset of the stream.

    Source: ITU-T T.81 B.1.1, B.2; https://www.w3.org/Graphics/JPEG/jfif3.pdf; Adobe TN 5116, 18.

    >>> stream = jpeg_stream(bytes.fromhex("ffd8 ffc0 000b 08 0010 0020 01 012200 ffd9"))
    >>> stream.width, stream.height, stream.stop, stream.problem
    (32, 16, 15, 'scans are missing')
    """
    stream, at, size = JpegStream(), start + 2, len(data)
    try:
        while at + 2 <= size:
            if data[at] != 0xFF:  # some cameras write bytes between segments; all decoders skip them
                at = data.index(b"\xff", at)
            marker = data[at + 1]
            if marker == 0xFF:  # a fill byte
                at += 1
            elif marker == _END:
                stream.stop = at
                stream.check_scans()
                return stream
            elif marker == _START:
                stream.problem = "another image begins before it ends"
                return stream
            elif marker in _NO_LENGTH or marker == 0:
                at += 2
            else:
                end = at + 2 + (data[at + 2] << 8 | data[at + 3])
                at = _segment(stream, marker, data, at + 4, end) if marker in _RELEVANT else end
                if marker == _SCAN and stream.marker == JPEG_LS:  # its data escape markers in another way
                    return stream
    except (IndexError, ValueError, ArithmeticError):  # a number points outside of the stream, or no marker follows
        pass
    stream.problem = "it has no end marker"
    return stream


def _segment(stream: JpegStream, marker: int, data: bytes, at: int, end: int) -> int:
    """Record a segment; gives the offset of the next marker."""
    if marker == _TABLES:
        while at < end:
            if data[at] >> 4:
                stream._first[data[at] & 15] = data[at + 17]
            at += 17 + sum(data[at + 1 : at + 17])
    elif marker == _INTERVAL:
        stream._interval = int.from_bytes(data[at : at + 2], "big")
    elif marker == _JFIF:
        stream.jfif = stream.jfif or data[at : at + 5] == b"JFIF\0"
    elif marker == _APP2 and data[at : at + 4] == b"MPF\0":
        stream.index = at + 4
    elif marker == _ADOBE and end - at >= 12 and data[at : at + 5] == b"Adobe":
        stream.adobe = data[at + 11]
    elif marker == _APP1:
        stream.has_app1 = True
    elif marker == _SCAN:
        match = _NEXT_MARKER.search(data, end)
        scan_end = match.start() if match else len(data)
        restarts = len(_RESTART.findall(data, end, scan_end)) if stream._interval else 0
        stream.scan(data[at:end], restarts)
        return scan_end
    elif marker in DCT or marker in LOSSLESS or marker == JPEG_LS:
        stream.marker, stream.bits, stream.channels = marker, data[at], data[at + 5]
        stream.height, stream.width = data[at + 1] << 8 | data[at + 2], data[at + 3] << 8 | data[at + 4]
        parts = data[at + 6 : at + 6 + 3 * stream.channels]
        stream.ids, stream.sampling = tuple(parts[::3]), tuple((both >> 4, both & 15) for both in parts[1::3])
    return end


def strict_source(data: bytes, stream: JpegStream) -> bytes:
    """The stream in a form in which a scan that ends early is an error for Pillow.

    The end marker makes libjpeg fill the scan. Without it, libjpeg requests more bytes, and Pillow reports that the image is
    truncated. For a complete scan libjpeg needs 8 more bytes; they are chosen so that they do not complete a block.

    Args:
        data: a stream that is complete according to its markers.
        stream: its markers.

    Returns:
        the same stream if it has several scans or arithmetic coding: libjpeg then needs the end marker.
    """
    if stream.scans != 1 or stream.marker in _ARITHMETIC:
        return data
    return data[: stream.stop] + (_ONES if stream.flat_code else _ZEROS)


def extended_source(data: bytes, stream: JpegStream) -> bytes | None:
    """A stream of several scans with more data in its last scan: the image stays the same, unless the scan ended early.

    Args:
        data: a stream that is complete according to its markers.
        stream: its markers.

    Returns:
        None for one scan: use `strict_source`.
    """
    if stream.scans == 1 and stream.marker not in _ARITHMETIC:
        return None
    return data[: stream.stop] + _NOISE + data[stream.stop : stream.stop + 2]
