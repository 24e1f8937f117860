"""Read a DICOM file as pixels: one frame, or the volume of a multi-frame file. Needs the extra `medzoo[medical]`."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from medzoo.data.images.dicom.file import DicomFile, open_dicom
from medzoo.data.images.dicom.frames import stored_frame
from medzoo.data.images.dicom.grayscale import grey_pixels, modality_values
from medzoo.data.images.dicom.lookup_tables import table_of
from medzoo.data.images.dicom.slice_geometry import Plane, describe_gaps, heights, parallel, plane_of, steps, uneven
from medzoo.data.images.dicom.tags import DicomFacts, Tags, facts_of
from medzoo.data.images.pixels import SPACING_NOTES, VOLUME_LIMIT, Pixels, apply_window, check_size, grey_if_equal
from medzoo.data.images.volume_window import cached_window
from medzoo.data.images.window_rules import FittedWindow, parse_rule, refuse_series_rule
from medzoo.errors import ImageError

if TYPE_CHECKING:
    from medzoo.data.images.ct_windows import WindowChoice
    from medzoo.data.images.frame_key import Frame


def read_dicom(file: BinaryIO, where: str, *, window: WindowChoice | None = None, frame: Frame | None = None) -> Pixels:
    """Read a DICOM file.

    Args:
        file: open for reading bytes.
        where: for messages.
        window: as in `read_image`; it replaces the header's VOI LUT or window.
        frame: number from 0, or "all" for the volume (D, H, W); required where the file has several frames.

    Returns:
        CT in HU, on the scale -1024 to 3071 where no window is given; other greys after modality LUT, VOI LUT or window, and the
        inversion of MONOCHROME1; colour as RGB.

    Raises:
        ImageError: if it cannot be read, or the header is ambiguous.
        MissingExtraError: if pydicom or a decoder is not installed.

    Source: DICOM PS3.3 C.7.6.3, C.11.1, C.11.2.

    >>> from pydicom import examples
    >>> with examples.get_path("ct").open("rb") as file:
    ...     pixels = read_dicom(file, "a CT of pydicom", window="soft_tissue")
    >>> pixels.array.shape, pixels.unit, pixels.range
    ((128, 128), 'HU', (-150.0, 250.0))
    """
    opened = open_dicom(file, where)
    return dicom_pixels(opened, window=window, frame=frame)


def dicom_pixels(opened: DicomFile, *, window: WindowChoice | None = None, frame: Frame | None = None) -> Pixels:
    """As `read_dicom`, for a file whose header was read already.

    Args:
        opened: the file.
        window: as in `read_dicom`.
        frame: as in `read_dicom`.

    Raises:
        ImageError: if it cannot be read, or the header is ambiguous.
    """
    where = opened.where
    if not opened.keyword:
        modality = Tags(opened.header).text("Modality") or "no modality in the header"
        raise ImageError(
            f"{where}: contains no pixels ({modality}). Reports, plans, contours and waveforms are not images.",
            code="dicom-without-pixels",
        )
    facts = facts_of(opened.header, where, floats=opened.keyword != "PixelData")
    check_size(facts.columns, facts.rows, where)
    indices = _frame_range(frame, facts, where)
    window = _fit_window(opened, facts, window, frame)
    if len(indices) * facts.rows * facts.columns > VOLUME_LIMIT:
        raise ImageError(
            f"{where}: the header says {facts.frames} frames of {facts.columns} x {facts.rows}, more than {VOLUME_LIMIT:,} "
            "pixels at once. It may be a decompression bomb. If the file is correct, read single frames with frame=0, 1, ...",
            code="volume-too-large",
        )
    frames = [_read_frame(opened, facts, index, window) for index in indices]
    if frame != "all":
        return frames[0]
    return stack(frames, [plane(Tags(opened.header, index)) for index in indices], where)


def frame_values(opened: DicomFile, index: int) -> np.ndarray:
    """The values of a grey frame in the unit of its modality, without its padding.

    Args:
        opened: the file.
        index: of the frame, from 0.

    Returns:
        (N,)

    Raises:
        ImageError: if it cannot be read, or has colours.
    """
    facts = facts_of(opened.header, opened.where, floats=opened.keyword != "PixelData")
    frame = stored_frame(opened, facts, index, [])
    if frame.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise ImageError(
            f"{opened.where}: has colours ({frame.photometric}). Colour frames do not make a volume.",
            code="colour-volume-unsupported",
        )
    return modality_values(frame, facts, Tags(opened.header, index), opened.where)


def _fit_window(
    opened: DicomFile, facts: DicomFacts, window: WindowChoice | None, frame: Frame | None
) -> WindowChoice | None:
    """The window; a rule for the volume is fitted to all frames."""
    rule = parse_rule(window)
    if rule is None or (frame != "all" and not rule.series):
        return window
    if facts.frames == 1 and frame != "all":
        refuse_series_rule(rule, opened.where)  # the other slices are in other files

    def fit() -> FittedWindow:
        return rule.fit(np.concatenate([frame_values(opened, index) for index in range(facts.frames)]), "this volume")

    return cached_window(opened.stream, (str(rule), facts.frames), fit)


def _frame_range(frame: Frame | None, facts: DicomFacts, where: str) -> range:
    if frame == "all":
        return range(facts.frames)
    if frame is None:
        if facts.frames > 1:
            raise ImageError(
                f"{where}: has {facts.frames} frames. Choose one with frame=0 to {facts.frames - 1}, or frame='all' for the "
                f"volume. In a table, add it to the path: #0 to #{facts.frames - 1}.",
                code="frame-required",
            )
        return range(1)
    if not isinstance(frame, int) or isinstance(frame, bool):
        raise ImageError(
            f"{where}: frame={frame!r} is for NIfTI with four dimensions. For DICOM, give one number or 'all'.",
            code="frame-type-unsupported",
        )
    if not 0 <= frame < facts.frames:
        raise ImageError(f"{where}: there is no frame {frame}; the file has {facts.frames}.", code="frame-out-of-range")
    return range(frame, frame + 1)


def _read_frame(opened: DicomFile, facts: DicomFacts, index: int, window: WindowChoice | None) -> Pixels:
    """Read one frame with its spacing, ids and notes."""
    tags = Tags(opened.header, index)
    notes = list(opened.notes)
    if facts.frames > 1:
        notes.append(f"frame {index} of {facts.frames}")
    if _overlays(opened):
        notes.append("overlay not drawn")
    decoded = stored_frame(opened, facts, index, notes)
    # Each photometric interpretation has its own way to grey values or RGB.
    stored, photometric = decoded.array, decoded.photometric
    if photometric == "PALETTE COLOR":
        pixels = _through_palette(stored, facts, tags, opened.where, notes)
    elif stored.ndim == 3:
        if photometric != "RGB":
            raise ImageError(
                f"{opened.where}: medzoo does not read colours stored as {photometric}.", code="photometric-unsupported"
            )
        pixels = Pixels(stored, facts.ends, "rgb")
    elif photometric in ("MONOCHROME1", "MONOCHROME2"):
        pixels = grey_pixels(decoded, facts, tags, window, opened.where)
    else:
        raise ImageError(
            f"{opened.where}: medzoo does not read one channel with the photometric interpretation {photometric!r}.",
            code="photometric-unsupported",
        )
    if photometric not in ("MONOCHROME1", "MONOCHROME2") and window is not None and window != "full":
        pixels = apply_window(pixels, window, opened.where)
    return replace(
        pixels,
        spacing_mm=_spacing(tags, notes),
        patient_id=tags.text("PatientID") or None,
        series_id=tags.text("SeriesInstanceUID") or None,
        notes=(*notes, *pixels.notes),
        modality=tags.text("Modality") or None,
    )


def _overlays(opened: DicomFile) -> bool:
    """Whether the file has overlays: groups 6000 to 601E."""
    return any(0x6000 <= tag >> 16 <= 0x601E for tag in opened.header.keys())  # noqa: SIM118 - values are not parsed


def _through_palette(stored: np.ndarray, facts: DicomFacts, tags: Tags, where: str, notes: list[str]) -> Pixels:
    """Apply a palette; if its three channels are equal, the result is grey."""
    header = tags.header
    notes.append("palette applied")
    if "SegmentedRedPaletteColorLookupTableData" in header:
        from pydicom.pixels import apply_color_lut

        array = apply_color_lut(stored, header)[:, :, :3]
        return _coloured(array, notes)
    little = header.original_encoding[1] is not False
    tables = [
        table_of(
            header.get(f"{colour}PaletteColorLookupTableDescriptor"),
            header.get(f"{colour}PaletteColorLookupTableData"),
            little=little,
            signed=facts.signed,
            where=where,
        )
        for colour in ("Red", "Green", "Blue")
    ]
    bits = max(table.entries.dtype.itemsize for table in tables) * 8
    array = np.stack([table.look_up(stored).astype(f"u{bits // 8}") for table in tables], axis=-1)
    return _coloured(array, notes)


def _coloured(array: np.ndarray, notes: list[str]) -> Pixels:
    array = grey_if_equal(array, notes)
    return Pixels(array, (0.0, float(np.iinfo(array.dtype).max)), "rgb" if array.ndim == 3 else "grey")


def _spacing(tags: Tags, notes: list[str]) -> tuple[float, float] | None:
    """(between rows, between columns), mm; for radiographs, the best of the header's values."""
    for keyword, note in (
        ("PixelSpacing", ""),
        ("ImagerPixelSpacing", SPACING_NOTES[0]),
        ("NominalScannedPixelSpacing", SPACING_NOTES[1]),
    ):
        spacing = tags.numbers(keyword, 2)
        if spacing is not None and min(spacing) > 0:
            if note:
                notes.append(note)
            return spacing[0], spacing[1]
    if tags.text("Modality") in ("CT", "MR", "PT"):
        notes.append("no usable PixelSpacing: spacing unknown")
    return None


def plane(tags: Tags) -> Plane | None:
    """Position and orientation of a frame in the patient, or None where the header does not give them."""
    return plane_of(tags.numbers("ImagePositionPatient", 3), tags.numbers("ImageOrientationPatient", 6))


def stack(slices: list[Pixels], planes: list[Plane | None], where: str) -> Pixels:
    """Stack slices to a volume (D, H, W); with their distance if they are parallel and in spatial order.

    Args:
        slices: of one size, unit and range, in order.
        planes: of each slice.
        where: for messages.

    Raises:
        ImageError: for colour, or slices with different scales.
    """
    first = slices[0]
    if any(one.array.ndim != 2 for one in slices):
        raise ImageError(
            f"{where}: colour frames do not make a volume. Read them one at a time with frame=0, 1, ...",
            code="colour-volume-unsupported",
        )
    if len({(one.range, one.unit) for one in slices}) > 1:
        raise ImageError(
            f"{where}: the slices have {len({one.range for one in slices})} scales (different windows or rescales), so they "
            "do not make a volume. Give window=(low, high), or window='full'.",
            code="slice-scales-differ",
        )
    dtype = np.result_type(*(one.array.dtype for one in slices))
    array = np.stack([one.array.astype(dtype, copy=False) for one in slices])
    notes = _shared_notes(slices)
    # The distance is known only for parallel slices in spatial order.
    spacing = None
    known = [one for one in planes if one is not None]
    if len(known) == len(slices) > 1 and parallel(known):
        along = heights(known)
        distances = steps(known)
        rising = bool((np.diff(along) > 0).all() or (np.diff(along) < 0).all())
        if rising and not math.isclose(float(distances.min()), 0):
            if uneven(distances):
                notes.append(f"uneven slices: distances {describe_gaps(distances)} mm; the spacing is their median")
            spacing = None if first.spacing_mm is None else (float(np.median(distances)), *first.spacing_mm)
    if spacing is None and len(slices) > 1:
        notes.append("the distance between the frames is not known")
    return replace(first, array=array, spacing_mm=spacing, notes=tuple(notes))


def _shared_notes(slices: list[Pixels]) -> list[str]:
    """The notes of all slices, one for each text; the numbers in it may differ, such as counts of padding pixels."""
    kinds: dict[str, list[str]] = {}
    for note in (note for one in slices for note in one.notes if not note.startswith("frame ")):
        kinds.setdefault(re.sub(r"[\d.,]+", "#", note), []).append(note)
    return [same[0] if len(set(same)) == 1 else f"{same[0]} (first slice; others differ)" for same in kinds.values()]
