"""DICOM SEG files: masks of named segments, each frame tied to the image that it was drawn on. Needs `medzoo[medical]`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medzoo.data.images.dicom.file import DicomFile, open_dicom
from medzoo.data.images.dicom.frames import stored_frame
from medzoo.data.images.dicom.read import plane
from medzoo.data.images.dicom.slice_geometry import Plane, parallel
from medzoo.data.images.dicom.tags import Tags, facts_of
from medzoo.data.images.pixels import VOLUME_LIMIT, check_size
from medzoo.errors import ImageError, listed

_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")  # segmentation, label map
_NEAR = 0.05  # mm that positions of a frame and of its image may differ by


@dataclass(frozen=True)
class SegFrame:
    """One frame of a segmentation.

    Args:
        mask: (H, W): 1 in the segment; of a label map the numbers of the segments.
        segment: number of the segment; 0 in a label map.
        images: SOPInstanceUIDs that it was drawn on.
        plane: where it lies; None where the header does not say.
    """

    mask: np.ndarray
    segment: int
    images: tuple[str, ...]
    plane: Plane | None


@dataclass(frozen=True)
class Segmentation:
    """A DICOM SEG file.

    Args:
        segments: number → label, as "Liver".
        frames: in the order of the file.
        images: SOPInstanceUIDs of all images that the file is about.
        frame_of_reference: UID of the patient's axes that positions are meant in.
        patient_id: of the header, or None.
        notes: what was done.
        where: for messages.
    """

    segments: dict[int, str]
    frames: tuple[SegFrame, ...]
    images: frozenset[str]
    frame_of_reference: str
    patient_id: str | None
    notes: tuple[str, ...]
    where: str

    def mask_for(self, image: str | os.PathLike[str], segments: Sequence[int] | None = None) -> np.ndarray:
        """The mask of one image.

        Args:
            image: the DICOM file that was segmented.
            segments: numbers to keep; by default all.

        Returns:
            (H, W) uint8 (uint16 beyond 255 segments): 0 for background, else the number of the segment.

        Raises:
            ImageError: if the file is about other images, lies otherwise, or two segments claim a pixel.
        """
        with Path(image).open("rb") as file:
            header = open_dicom(file, str(image)).header
        tags = Tags(header)
        place, key = plane(tags), tags.words("SOPInstanceUID")
        size = int(tags.number("Rows") or 0), int(tags.number("Columns") or 0)
        kept = set(self.segments) if segments is None else set(segments)
        unknown = sorted(kept - set(self.segments))
        if unknown:
            names = listed(f"{number} {label}" for number, label in self.segments.items())
            raise ImageError(f"{self.where}: has no segments {listed(unknown)}; it has {names}.")
        frames = [one for one in self.frames if self._is_of(one, key, place, tags.words("FrameOfReferenceUID"))]
        if not frames and key not in self.images:
            raise ImageError(
                f"{self.where}: is no segmentation of {image}: neither its references nor its places name that image."
            )
        mask = np.zeros(size, np.uint8 if max(self.segments, default=0) < 256 else np.uint16)
        for one in frames:
            if one.mask.shape != size:
                raise ImageError(
                    f"{self.where}: its frames are {one.mask.shape}, and {image} is {size}; they need the same grid."
                )
            if one.plane is not None and place is not None and not _same(one.plane, place):
                raise ImageError(
                    f"{self.where}: its frames lie otherwise than {image} that they name; resample them first."
                )
            values = one.mask.astype(mask.dtype) * mask.dtype.type(one.segment or 1)
            values[~np.isin(values, list(kept))] = 0
            both = (mask > 0) & (values > 0) & (mask != values)
            if both.any():
                raise ImageError(
                    f"{self.where}: {int(both.sum()):,} pixels of {image} belong to two segments. Choose with segments=[...]: "
                    f"{self.segments}."
                )
            mask = np.maximum(mask, values)
        return mask

    def _is_of(self, one: SegFrame, key: str, place: Plane | None, axes: str) -> bool:
        if one.images:
            return key in one.images
        if one.plane is None or place is None or axes != self.frame_of_reference:
            return False
        return _same(one.plane, place)


def read_dicom_seg(path: str | os.PathLike[str]) -> Segmentation:
    """Read a DICOM SEG file: binary, fractional (from one half) or a label map.

    Args:
        path: the file.

    Raises:
        ImageError: if it is no segmentation, or damaged.
        MissingExtraError: if pydicom is not installed.

    Source: DICOM PS3.3 A.51, C.8.20.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _segmentation(open_dicom(file, str(path)))
    except OSError as error:
        raise ImageError(f"{path}: cannot be opened ({error.strerror or error}).") from error


def _segmentation(opened: DicomFile) -> Segmentation:
    header, where = opened.header, opened.where
    tags = Tags(header)
    if tags.words("SOPClassUID") not in _CLASSES or not header.get("SegmentSequence") or not opened.keyword:
        raise ImageError(f"{where}: is no DICOM segmentation (Modality {tags.words('Modality') or 'not stated'}).")
    facts = facts_of(header, where)
    check_size(facts.columns, facts.rows, where)
    if facts.frames * facts.rows * facts.columns > VOLUME_LIMIT:
        raise ImageError(
            f"{where}: says it is {facts.frames} frames of {facts.columns} x {facts.rows}: a decompression bomb."
        )
    segments = {int(item.SegmentNumber): str(item.get("SegmentLabel") or "").strip() for item in header.SegmentSequence}
    notes = list(opened.notes)
    kind = tags.words("SegmentationType") or "BINARY"
    whole = tags.number("MaximumFractionalValue") or 255
    if kind == "FRACTIONAL":
        notes.append("fractional segmentation: 1 from one half on")
    frames = []
    for number in range(facts.frames):
        stored = stored_frame(opened, facts, number, []).array
        if kind != "LABELMAP":
            stored = (stored >= (whole / 2 if kind == "FRACTIONAL" else 1)).astype(np.uint8)
        frames.append(_frame(opened, number, stored, kind))
    unknown = sorted({one.segment for one in frames} - set(segments) - {0})
    if unknown:
        raise ImageError(f"{where}: frames name the segments {listed(unknown)}, which its list of segments lacks.")
    listed_images = {
        str(item.get("ReferencedSOPInstanceUID"))
        for series in header.get("ReferencedSeriesSequence") or ()
        for item in series.get("ReferencedInstanceSequence") or ()
    }
    images = listed_images | {key for one in frames for key in one.images}
    return Segmentation(
        segments, tuple(frames), frozenset(images), tags.words("FrameOfReferenceUID"), tags.words("PatientID") or None,
        tuple(notes), where,
    )  # fmt: skip


def _frame(opened: DicomFile, number: int, mask: np.ndarray, kind: str) -> SegFrame:
    """One frame with its segment and its images, from its functional groups."""
    header = opened.header
    items = header.get("PerFrameFunctionalGroupsSequence") or ()
    own = items[number] if number < len(items) else None
    groups = [item for item in (own, *(header.get("SharedFunctionalGroupsSequence") or ())) if item is not None]
    segment, images = 0, []
    for group in reversed(groups):
        for named in group.get("SegmentIdentificationSequence") or ():
            segment = int(named.get("ReferencedSegmentNumber") or 0)
    for derived in (own.get("DerivationImageSequence") or ()) if own is not None else ():
        images += [str(item.get("ReferencedSOPInstanceUID")) for item in derived.get("SourceImageSequence") or ()]
    if not segment and kind != "LABELMAP":
        raise ImageError(f"{opened.where}: frame {number} does not say which segment it shows.")
    return SegFrame(mask, segment, tuple(images), plane(Tags(header, number)))


def _same(one: Plane, other: Plane) -> bool:
    return parallel([one, other]) and float(np.abs(np.subtract(one.position, other.position)).max()) <= _NEAR
