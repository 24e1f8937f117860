"""DICOM SEG files: masks of named segments; each frame refers to its source image. Needs `medzoo[medical]`."""

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
from medzoo.paths import plain_path

_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")  # segmentation, label map
_NEAR = 0.05  # mm, the largest accepted distance between the positions of a frame and of its image


@dataclass(frozen=True)
class SegFrame:
    """One frame of a segmentation.

    Args:
        mask: (H, W): 1 in the segment; in a label map, the numbers of the segments.
        segment: number of the segment; 0 in a label map.
        images: SOPInstanceUIDs of its source images.
        plane: position and orientation; None where the header does not give them.
    """

    mask: np.ndarray
    segment: int
    images: tuple[str, ...]
    plane: Plane | None


@dataclass(frozen=True)
class Segmentation:
    """A DICOM SEG file.

    Args:
        segments: number → label, for example "Liver".
        frames: in the order of the file.
        images: SOPInstanceUIDs of all images that the file refers to.
        frame_of_reference: UID of the coordinate system of the positions.
        patient_id: from the header, or None.
        notes: what was assumed or converted.
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
            ImageError: if the file refers to other images, has another grid or position, or two segments overlap.
        """
        # Identity, position and size of the image.
        with Path(image).open("rb") as file:
            header = open_dicom(file, str(image)).header
        tags = Tags(header)
        image_plane, uid = plane(tags), tags.text("SOPInstanceUID")
        size = int(tags.number("Rows") or 0), int(tags.number("Columns") or 0)
        selected = set(self.segments) if segments is None else set(segments)
        unknown = sorted(selected - set(self.segments))
        if unknown:
            names = listed(f"{number} {label}" for number, label in self.segments.items())
            raise ImageError(
                f"{self.where}: there are no segments {listed(unknown)}; the file has {names}.", code="segments-unknown"
            )
        frames = [
            one for one in self.frames if self._belongs_to(one, uid, image_plane, tags.text("FrameOfReferenceUID"))
        ]
        if not frames and uid not in self.images:
            raise ImageError(
                f"{self.where}: not a segmentation of {image}: no reference and no position matches that image.",
                code="segmentation-other-image",
            )
        # Merge the frames; overlapping segments are an error.
        mask = np.zeros(size, np.uint8 if max(self.segments, default=0) < 256 else np.uint16)
        for one in frames:
            if one.mask.shape != size:
                raise ImageError(
                    f"{self.where}: the frames are {one.mask.shape}, but {image} is {size}; they need the same grid.",
                    code="segmentation-size-mismatch",
                )
            if one.plane is not None and image_plane is not None and not _same_place(one.plane, image_plane):
                raise ImageError(
                    f"{self.where}: the frames refer to {image}, but have another position or orientation. Resample them first.",
                    code="segmentation-position-mismatch",
                )
            values = one.mask.astype(mask.dtype) * mask.dtype.type(one.segment or 1)
            values[~np.isin(values, list(selected))] = 0
            both = (mask > 0) & (values > 0) & (mask != values)
            if both.any():
                raise ImageError(
                    f"{self.where}: {int(both.sum()):,} pixels of {image} belong to two segments. Choose with segments=[...]: "
                    f"{self.segments}.",
                    code="segments-overlap",
                )
            mask = np.maximum(mask, values)
        return mask

    def _belongs_to(self, one: SegFrame, uid: str, image_plane: Plane | None, axes: str) -> bool:
        """Whether a frame refers to an image, or has its position where it refers to none."""
        if one.images:
            return uid in one.images
        if one.plane is None or image_plane is None or axes != self.frame_of_reference:
            return False
        return _same_place(one.plane, image_plane)


def read_dicom_seg(path: str | os.PathLike[str]) -> Segmentation:
    """Read a DICOM SEG file: binary, fractional (values from one half count as 1) or a label map.

    Args:
        path: the file.

    Raises:
        ImageError: if it is not a segmentation, or is damaged.
        MissingExtraError: if pydicom is not installed.

    Source: DICOM PS3.3 A.51, C.8.20.
    """
    path = plain_path(path).expanduser()
    try:
        with path.open("rb") as file:
            return _segmentation(open_dicom(file, str(path)))
    except OSError as error:
        raise ImageError(
            f"{path}: cannot be opened ({error.strerror or error}). Check the path and its permissions.",
            code="image-cannot-open",
        ) from error


def _segmentation(opened: DicomFile) -> Segmentation:
    header, where = opened.header, opened.where
    tags = Tags(header)
    if tags.text("SOPClassUID") not in _CLASSES or not header.get("SegmentSequence") or not opened.keyword:
        raise ImageError(
            f"{where}: not a DICOM segmentation (Modality {tags.text('Modality') or 'missing'}).",
            code="not-a-segmentation",
        )
    facts = facts_of(header, where)
    check_size(facts.columns, facts.rows, where)
    if facts.frames * facts.rows * facts.columns > VOLUME_LIMIT:
        raise ImageError(
            f"{where}: the header says {facts.frames} frames of {facts.columns} x {facts.rows}: more than {VOLUME_LIMIT:,} "
            "pixels, which may be a decompression bomb.",
            code="volume-too-large",
        )
    segments = {int(item.SegmentNumber): str(item.get("SegmentLabel") or "").strip() for item in header.SegmentSequence}
    notes = list(opened.notes)
    # Decode the frames to masks of 0 and 1, or to a label map.
    kind = tags.text("SegmentationType") or "BINARY"
    maximum = tags.number("MaximumFractionalValue") or 255
    if kind == "FRACTIONAL":
        notes.append("fractional segmentation: values from one half count as 1")
    frames = []
    for number in range(facts.frames):
        stored = stored_frame(opened, facts, number, []).array
        if kind != "LABELMAP":
            stored = (stored >= (maximum / 2 if kind == "FRACTIONAL" else 1)).astype(np.uint8)
        frames.append(_frame(opened, number, stored, kind))
    unknown = sorted({one.segment for one in frames} - set(segments) - {0})
    if unknown:
        raise ImageError(
            f"{where}: frames use the segments {listed(unknown)}, which are missing from its list of segments.",
            code="segments-not-listed",
        )
    # Images are listed in the header, and named by single frames.
    listed_images = {
        str(item.get("ReferencedSOPInstanceUID"))
        for series in header.get("ReferencedSeriesSequence") or ()
        for item in series.get("ReferencedInstanceSequence") or ()
    }
    images = listed_images | {key for one in frames for key in one.images}
    axes, patient_id = tags.text("FrameOfReferenceUID"), tags.text("PatientID") or None
    return Segmentation(segments, tuple(frames), frozenset(images), axes, patient_id, tuple(notes), where)


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
        raise ImageError(f"{opened.where}: frame {number} has no segment number.", code="frame-without-segment")
    return SegFrame(mask, segment, tuple(images), plane(Tags(header, number)))


def _same_place(one: Plane, other: Plane) -> bool:
    return parallel([one, other]) and float(np.abs(np.subtract(one.position, other.position)).max()) <= _NEAR
