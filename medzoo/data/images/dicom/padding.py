"""Which pixels of a DICOM image are padding: fill values outside of a round field of view, not measured by a detector.

Headers give padding in stored values. Some scanners give a value that the stored bits cannot hold (63536 in 12 of 16 bits).
Such a value is visible in the allocated bits only: masking turns it into a value of tissue.

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
    """The mask of the padding of a grey frame.

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
    mask = np.zeros(frame.array.shape, bool)
    if floats:
        mask = (frame.array >= min(first, last)) & (frame.array <= max(first, last))
        return mask if mask.any() else None
    low, high = (int(end) for end in facts.ends)
    for span in spans(int(first), int(last), facts.allocated, signed=facts.signed):
        _mark(mask, frame.array, (max(span[0], low), min(span[1], high)))
        if span[0] < low or span[1] > high:  # masking to the stored bits would change these values
            _mark(mask, frame.cells, span)
    return mask if mask.any() else None


def spans(first: int, last: int, allocated: int, *, signed: bool) -> list[Span]:
    """The header's padding as inclusive spans of allocated values. Headers write signed values as unsigned, and the reverse.

    Args:
        first: PixelPaddingValue.
        last: PixelPaddingRangeLimit, below or above it.
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


def _mark(mask: np.ndarray, values: np.ndarray, span: Span) -> None:
    """Set the mask where values are within a span, limited to what their type can hold."""
    limits = np.iinfo(values.dtype)
    low, high = max(span[0], limits.min), min(span[1], limits.max)
    if low <= high:
        mask |= (values >= low) & (values <= high)
