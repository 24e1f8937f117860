"""What the markers of a JPEG stream say: its size, its colours, its scans, and whether it has an end.

libjpeg fills what is missing of a scan with grey and only warns, and Pillow passes no warnings on. So a stream is followed to its
end marker here, and a decoder gets it in a form in which a scan that ends early is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# Start-of-frame markers, ITU-T T.81 table B.1; 0xF7 is JPEG-LS, T.87.
DCT, LOSSLESS, JPEG_LS = {0xC0, 0xC1, 0xC2, 0xC5, 0xC6, 0xC9, 0xCA, 0xCD, 0xCE}, {0xC3, 0xC7, 0xCB, 0xCF}, 0xF7
_PROGRESSIVE, _ARITHMETIC = {0xC2, 0xC6, 0xCA, 0xCE}, {0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_START, _END, _SCAN, _TABLES, _INTERVAL = 0xD8, 0xD9, 0xDA, 0xC4, 0xDD
_JFIF, _APP1, _APP2, _ADOBE = 0xE0, 0xE1, 0xE2, 0xEE
_TELLING = {*DCT, *LOSSLESS, JPEG_LS, _SCAN, _TABLES, _INTERVAL, _JFIF, _APP1, _APP2, _ADOBE}
_NEXT_MARKER = re.compile(
    rb"\xff([\x01-\xcf\xd8-\xfe])"
)  # behind the data of a scan; neither a stuffed byte nor a restart
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
# What stands in for the end marker: as many bytes as libjpeg's bit buffer reads ahead (8).
_ZEROS, _ONES = bytes(8), b"\xff\0" * 8
_NOISE = bytes((37 * number * number + 11 * number + 5) % 251 for number in range(64))


@dataclass(slots=True)
class JpegStream:
    """What the markers of a stream say.

    Args:
        marker: of the frame (start of frame), 0 if there is none.
        width: pixels.
        height: pixels.
        bits: a sample.
        channels: components.
        ids: of the components.
        sampling: horizontal and vertical factor of each component.
        jfif: whether the JFIF marker is there.
        adobe: colour transform of the Adobe marker (0 none, 1 YCbCr, 2 YCCK); None without one.
        notes: whether there is an APP1 segment (EXIF or XMP), which may say how the image is turned.
        several: where the index of several images in the file (MPF, in APP2) begins; 0 without one.
        scans: how many there are.
        stop: where the end marker stands; -1 if there is none.
        problem: why the stream is not whole; "" if nothing tells.
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
    notes: bool = False
    several: int = 0
    scans: int = 0
    stop: int = -1
    problem: str = ""
    flat_code: bool = False
    _first: dict[int, int] = field(default_factory=dict, repr=False)  # AC table → the symbol of its shortest code
    # component → lowest bit sent of each coefficient
    _planes: dict[int, list[int]] = field(default_factory=dict, repr=False)
    _interval: int = 0  # MCUs between restarts

    @property
    def coding(self) -> str:
        """How pixels are coded: "DCT", "lossless" or "JPEG-LS"."""
        return "DCT" if self.marker in DCT else "lossless" if self.marker in LOSSLESS else "JPEG-LS"

    def scan(self, body: bytes, restarts: int) -> None:
        """Take a scan into account.

        Args:
            body: of its header.
            restarts: markers in its data.
        """
        self.scans += 1
        count = body[0]
        chosen, last = body[1 : 1 + 2 * count : 2], body[1 + 2 * count :]
        if self.scans == 1:
            self.flat_code = self._first.get(body[2] & 15) == 0
        for component in chosen:
            if self.marker in _PROGRESSIVE:
                first, final, low = last[0], last[1], last[2] & 15
                self._planes.setdefault(component, [16] * 64)[first : final + 1] = [low] * (final + 1 - first)
            else:
                self._planes[component] = []
        if self._interval and restarts < -(-self._units(chosen) // self._interval) - 1:
            self.problem = "a scan ends early: restart markers are missing"

    def _units(self, chosen: bytes) -> int:
        """The MCUs of a scan, T.81 A.2."""
        across, down = (max(pair[axis] for pair in self.sampling) for axis in (0, 1))
        if len(chosen) > 1:
            return -(-self.width // (8 * across)) * -(-self.height // (8 * down))
        own = self.sampling[self.ids.index(chosen[0])]
        width, height = -(-self.width * own[0] // across), -(-self.height * own[1] // down)
        return -(-width // 8) * -(-height // 8)

    def check_scans(self) -> None:
        """Note a component, or bits of coefficients, that no scan brings."""
        if not self.problem and self.marker in DCT and any(any(self._planes.get(name, (16,))) for name in self.ids):
            self.problem = "scans are missing"


def jpeg_stream(data: bytes, start: int = 0) -> JpegStream:
    """Follow a JPEG stream from marker to marker, to the end of its first image.

    Markers inside of a segment (a thumbnail's in APP1) do not count, and what lies behind the end marker is not looked at.

    Args:
        data: holds the stream.
        start: where it begins.

    Source: ITU-T T.81 B.1.1, B.2; https://www.w3.org/Graphics/JPEG/jfif3.pdf; Adobe TN 5116, 18.

    >>> found = jpeg_stream(bytes.fromhex("ffd8 ffc0 000b 08 0010 0020 01 012200 ffd9"))
    >>> found.width, found.height, found.stop, found.problem
    (32, 16, 15, 'scans are missing')
    """
    found, at, size = JpegStream(), start + 2, len(data)
    try:
        while at + 2 <= size:
            if data[at] != 0xFF:  # some cameras leave bytes between segments, which every decoder skips
                at = data.index(b"\xff", at)
            marker = data[at + 1]
            if marker == 0xFF:  # a fill byte
                at += 1
            elif marker == _END:
                found.stop = at
                found.check_scans()
                return found
            elif marker == _START:
                found.problem = "another image begins before it ends"
                return found
            elif marker in _ALONE or marker == 0:
                at += 2
            else:
                behind = at + 2 + (data[at + 2] << 8 | data[at + 3])
                at = _segment(found, marker, data, at + 4, behind) if marker in _TELLING else behind
                if marker == _SCAN and found.marker == JPEG_LS:  # whose data hide markers in another way
                    return found
    except (IndexError, ValueError, ArithmeticError):  # of numbers that lead out of the stream, or of no more markers
        pass
    found.problem = "it has no end marker"
    return found


def _segment(found: JpegStream, marker: int, data: bytes, at: int, behind: int) -> int:
    """Take a segment into account; where the next marker stands."""
    if marker == _TABLES:
        while at < behind:
            if data[at] >> 4:
                found._first[data[at] & 15] = data[at + 17]
            at += 17 + sum(data[at + 1 : at + 17])
    elif marker == _INTERVAL:
        found._interval = int.from_bytes(data[at : at + 2], "big")
    elif marker == _JFIF:
        found.jfif = found.jfif or data[at : at + 5] == b"JFIF\0"
    elif marker == _APP2 and data[at : at + 4] == b"MPF\0":
        found.several = at + 4
    elif marker == _ADOBE and behind - at >= 12 and data[at : at + 5] == b"Adobe":
        found.adobe = data[at + 11]
    elif marker == _APP1:
        found.notes = True
    elif marker == _SCAN:
        match = _NEXT_MARKER.search(data, behind)
        end = match.start() if match else len(data)
        restarts = len(_RESTART.findall(data, behind, end)) if found._interval else 0
        found.scan(data[at:behind], restarts)
        return end
    elif marker in DCT or marker in LOSSLESS or marker == JPEG_LS:
        found.marker, found.bits, found.channels = marker, data[at], data[at + 5]
        found.height, found.width = data[at + 1] << 8 | data[at + 2], data[at + 3] << 8 | data[at + 4]
        parts = data[at + 6 : at + 6 + 3 * found.channels]
        found.ids, found.sampling = tuple(parts[::3]), tuple((both >> 4, both & 15) for both in parts[1::3])
    return behind


def strict_source(data: bytes, found: JpegStream) -> bytes:
    """The stream in a form in which Pillow takes a scan that ends early for what it is.

    The end marker makes libjpeg fill up the scan. Without one libjpeg asks for more bytes, and Pillow says that the image is
    truncated. Of a scan that is whole it needs 8 bytes more than there are, which are chosen so that they complete no block.

    Args:
        data: a whole stream, as far as its markers tell.
        found: in it.

    Returns:
        the same stream if it has several scans or is arithmetic coded: libjpeg then needs the end marker.
    """
    if found.scans != 1 or found.marker in _ARITHMETIC:
        return data
    return data[: found.stop] + (_ONES if found.flat_code else _ZEROS)


def extended_source(data: bytes, found: JpegStream) -> bytes | None:
    """A stream of several scans whose last scan has more data than it needs: it gives the same image, or the scan ended early.

    Args:
        data: a whole stream, as far as its markers tell.
        found: in it.

    Returns:
        None for one scan, which `strict_source` is for.
    """
    if found.scans == 1 and found.marker not in _ARITHMETIC:
        return None
    return data[: found.stop] + _NOISE + data[found.stop : found.stop + 2]
