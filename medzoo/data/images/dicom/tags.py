"""Elements of a DICOM header as numbers and text, for single images and for one frame of a multi-frame image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medzoo.data.images.dicom.lookup_tables import LookupTable, table_of
from medzoo.errors import ImageError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# The sequences of a multi-frame image that contain the elements that differ between frames, PS3.3 C.7.6.16.2.
_GROUPS = {
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
    "WindowCenter": "FrameVOILUTSequence",
    "WindowWidth": "FrameVOILUTSequence",
    "WindowCenterWidthExplanation": "FrameVOILUTSequence",
    "VOILUTFunction": "FrameVOILUTSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
}


@dataclass(frozen=True)
class Tags:
    """The header elements that apply to one frame.

    Args:
        header: of the file.
        frame: from 0.
    """

    header: Dataset
    frame: int = 0

    def value(self, keyword: str) -> Any:  # noqa: ANN401 - any type
        """The value from the frame's functional groups, the shared ones, or the header; None if absent or empty."""
        group = _GROUPS.get(keyword)
        if group is not None:
            for name, at in (("PerFrameFunctionalGroupsSequence", self.frame), ("SharedFunctionalGroupsSequence", 0)):
                items: Any = self.header.get(name) or ()
                inner: Any = (items[at].get(group) or ()) if at < len(items) else ()
                if len(inner) and _has_value(inner[0].get(keyword)):
                    return inner[0].get(keyword)
        value = self.header.get(keyword)
        return value if _has_value(value) else None

    def text(self, keyword: str) -> str:
        """The value as text without spaces at its ends; "" if it is absent."""
        value = self.value(keyword)
        return "" if value is None else str(value).strip().strip("\0")

    def numbers(self, keyword: str, count: int | None = None) -> tuple[float, ...] | None:
        """All values as finite numbers, or None if the element is absent or has another number of values.

        Args:
            keyword: of the element.
            count: the expected number of values; None accepts any.
        """
        content = self.value(keyword)
        if content is None:
            return None
        values = content if hasattr(content, "__iter__") and not isinstance(content, str | bytes) else (content,)
        try:
            numbers = tuple(float(value) for value in values)
        except (TypeError, ValueError):
            return None
        if not all(map(math.isfinite, numbers)) or (count is not None and len(numbers) != count):
            return None
        return numbers or None

    def number(self, keyword: str) -> float | None:
        """The first value as a number, or None."""
        values = self.numbers(keyword)
        return None if values is None else values[0]

    def table(self, item: Dataset, *, signed: bool, where: str) -> LookupTable:
        """The lookup table of an item of a modality or VOI LUT sequence.

        Args:
            item: with LUTDescriptor and LUTData.
            signed: whether the values to look up are signed.
            where: for messages.
        """
        little = self.header.original_encoding[1] is not False
        return table_of(item.get("LUTDescriptor"), item.get("LUTData"), little=little, signed=signed, where=where)


def _has_value(value: object) -> bool:
    return value is not None and not (isinstance(value, str | bytes) and not value.strip()) and value != []


@dataclass(frozen=True)
class DicomFacts:
    """How the pixels of a DICOM image are stored.

    Args:
        rows: pixels.
        columns: pixels.
        frames: at least 1.
        samples: 1 or 3.
        allocated: bits per sample.
        stored: bits that are used.
        high: number of the highest used bit.
        signed: whether samples are two's complement.
        photometric: "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", ...
    """

    rows: int
    columns: int
    frames: int
    samples: int
    allocated: int
    stored: int
    high: int
    signed: bool
    photometric: str

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and highest number that can be stored."""
        low = -(2.0 ** (self.stored - 1)) if self.signed else 0.0
        return low, low + 2.0**self.stored - 1


def facts_of(header: Dataset, where: str, *, floats: bool = False) -> DicomFacts:
    """Read and check how the pixels are stored.

    Args:
        header: of the file.
        where: for messages.
        floats: whether the pixels are floats; they need no BitsStored and no PixelRepresentation.

    Raises:
        ImageError: for a missing or impossible element.
    """
    tags = Tags(header)
    photometric = tags.text("PhotometricInterpretation")
    if not photometric:
        raise ImageError(
            f"{where}: PhotometricInterpretation (0028,0004) is missing: low values may be black or white. Add it to the file "
            "(MONOCHROME2 if low is black, MONOCHROME1 if low is white), for example with pydicom.",
            code="photometric-missing",
        )
    rows, columns = _whole_number(tags, "Rows", where), _whole_number(tags, "Columns", where)
    samples = _whole_number(tags, "SamplesPerPixel", where, 1)
    allocated = _whole_number(tags, "BitsAllocated", where)
    stored = allocated if floats else _whole_number(tags, "BitsStored", where, allocated)
    high = _whole_number(tags, "HighBit", where, stored - 1)
    frames = max(_whole_number(tags, "NumberOfFrames", where, 1), 1)
    sign = 0 if floats else _whole_number(tags, "PixelRepresentation", where, 0)
    if not floats and tags.value("PixelRepresentation") is None and samples == 1:
        raise ImageError(
            f"{where}: PixelRepresentation (0028,0103) is missing. Add 0 (values are unsigned) or 1 (signed) to the file.",
            code="pixel-representation-missing",
        )
    checks = {
        f"Rows {rows} and Columns {columns}": 0 < rows < 2**16 and 0 < columns < 2**16,
        f"SamplesPerPixel {samples}": samples in (1, 3),
        f"BitsAllocated {allocated} and BitsStored {stored}": allocated in (1, 8, 16, 32, 64)
        and 0 < stored <= allocated,
        f"HighBit {high}": stored - 1 <= high < allocated or floats,
        f"PixelRepresentation {sign}": sign in (0, 1),
        f"NumberOfFrames {frames}": frames < 2**31,
    }
    wrong = [name for name, valid in checks.items() if not valid]
    if wrong:
        raise ImageError(
            f"{where}: the header says {', '.join(wrong)}, which is not possible for an image of this kind.",
            code="dicom-header-invalid",
        )
    return DicomFacts(rows, columns, frames, samples, allocated, stored, high, sign == 1, photometric)


def _whole_number(tags: Tags, keyword: str, where: str, default: int | None = None) -> int:
    number = tags.number(keyword)
    if number is None:
        if default is None or tags.value(keyword) is not None:
            raise ImageError(
                f"{where}: {keyword} is missing or not a number, so the pixels cannot be read.",
                code="dicom-header-incomplete",
            )
        return default
    if not number.is_integer():
        raise ImageError(f"{where}: {keyword} is {number:g}, not a whole number.", code="dicom-header-invalid")
    return int(number)
