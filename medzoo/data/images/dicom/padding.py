"""Which pixels of a DICOM image are padding: filling outside of a round field of view, that no detector measured.

Headers state padding in stored values, and some scanners state a value that the stored bits cannot hold (63536 in 12 of 16 bits).
Such a value is found in the allocated bits alone: masking turns it into a value of tissue.

Source: DICOM PS3.3 C.7.5.1.1.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from medzoo.data.images.dicom.frames import StoredFrame
    from medzoo.data.images.dicom.tags import DicomFacts, Tags

Span = tuple[int, int]


def padding_of(frame: StoredFrame, facts: DicomFacts, tags: Tags) -> np.ndarray | None:
    """Where a grey frame is padding.

    Args:
        frame: as decoded.
        facts: how it was stored.
        tags: of the frame.

    Returns:
        (H, W) bool, or None where no pixel is padding.
    """
    floats = frame.array.dtype.kind == "f"
    prefix = ("DoubleFloat" if frame.array.dtype.itemsize == 8 else "Float") if floats else ""
    first, last = tags.number(f"{prefix}PixelPaddingValue"), tags.number(f"{prefix}PixelPaddingRangeLimit")
    if first is None:
        return None
    last = first if last is None else last
    found = np.zeros(frame.array.shape, bool)
    if floats:
        found = (frame.array >= min(first, last)) & (frame.array <= max(first, last))
        return found if found.any() else None
    low, high = (int(end) for end in facts.ends)
    for span in spans(int(first), int(last), facts.allocated, signed=facts.signed):
        _mark(found, frame.array, (max(span[0], low), min(span[1], high)))
        if span[0] < low or span[1] > high:  # outside of the stored bits, which masking would change
            _mark(found, frame.cells, span)
    return found if found.any() else None


def spans(first: int, last: int, allocated: int, *, signed: bool) -> list[Span]:
    """The stated padding as inclusive spans of allocated values; headers write signed values as unsigned, and the other way round.

    Args:
        first: PixelPaddingValue.
        last: PixelPaddingRangeLimit, on either side of it.
        allocated: bits of a pixel.
        signed: whether pixels are two's complement.

    >>> spans(63536, 63536, 16, signed=True), spans(-2000, -1, 16, signed=False)
    ([(-2000, -2000)], [(63536, 65535)])
    """
    half, full = 2 ** (allocated - 1), 2**allocated
    ends = [first, last]
    if signed or min(ends) < 0:
        ends = [end - full if half <= end < full else end for end in ends]
    low, high = min(ends), max(ends)
    if signed:
        pieces = [(max(low, -half), min(high, half - 1))]
    else:
        pieces = [(max(low, -half) + full, min(high, -1) + full), (max(low, 0), min(high, full - 1))]
    return [piece for piece in pieces if piece[0] <= piece[1]]


def _mark(found: np.ndarray, values: np.ndarray, span: Span) -> None:
    """Add the values within a span that their type can hold."""
    limits = np.iinfo(values.dtype)
    low, high = max(span[0], limits.min), min(span[1], limits.max)
    if low <= high:
        found |= (values >= low) & (values <= high)
