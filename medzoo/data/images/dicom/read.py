"""A DICOM file → pixels: one frame, or the volume of a multi-frame file. Needs the extra `medzoo[medical]`."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from medzoo.data.images.dicom.file import DicomFile, open_dicom
from medzoo.data.images.dicom.frames import stored_frame
from medzoo.data.images.dicom.grayscale import grey_pixels, measured_values
from medzoo.data.images.dicom.lookup_tables import table_of
from medzoo.data.images.dicom.slice_geometry import Plane, heights, parallel, plane_of, steps, told, uneven
from medzoo.data.images.dicom.tags import DicomFacts, Tags, facts_of
from medzoo.data.images.pixels import VOLUME_LIMIT, Pixels, apply_window, check_size, grey_if_equal
from medzoo.data.images.volume_window import remembered
from medzoo.data.images.window_rules import FittedWindow, need_no_series, parse_rule
from medzoo.errors import ImageError

if TYPE_CHECKING:
    from medzoo.data.images.ct_windows import WindowChoice
    from medzoo.data.images.frame_key import Frame


def read_dicom(file: BinaryIO, where: str, *, window: WindowChoice | None = None, frame: Frame | None = None) -> Pixels:
    """Read a DICOM file.

    Args:
        file: open for reading bytes.
        where: for messages.
        window: as in `read_image`; it takes the place of the header's VOI LUT or window.
        frame: number from 0, or "all" for the volume (D, H, W); needed where the file holds several.

    Returns:
        CT in HU, on the scale -1024 to 3071 where no window is given; other greys after modality LUT, VOI LUT or window, and the
        inversion of MONOCHROME1; colour as RGB.

    Raises:
        ImageError: if it cannot be read, or not without a guess.
        MissingExtraError: if pydicom or a decoder is not installed.

    Source: DICOM PS3.3 C.7.6.3, C.11.1, C.11.2.

    >>> from pydicom import examples
    >>> with examples.get_path("ct").open("rb") as file:
    ...     pixels = read_dicom(file, "a CT of pydicom's", window="soft_tissue")
    >>> pixels.array.shape, pixels.unit, pixels.range
    ((128, 128), 'HU', (-150.0, 250.0))
    """
    opened = open_dicom(file, where)
    return dicom_pixels(opened, window=window, frame=frame)


def dicom_pixels(opened: DicomFile, *, window: WindowChoice | None = None, frame: Frame | None = None) -> Pixels:
    """As `read_dicom`, of a file whose header was read already.

    Args:
        opened: the file.
        window: as in `read_dicom`.
        frame: as in `read_dicom`.

    Raises:
        ImageError: if it cannot be read, or not without a guess.
    """
    where = opened.where
    if not opened.keyword:
        modality = Tags(opened.header).words("Modality") or "no modality stated"
        raise ImageError(f"{where}: holds no pixels ({modality}): a report, plan, contour or waveform is no image.")
    facts = facts_of(opened.header, where, floats=opened.keyword != "PixelData")
    check_size(facts.columns, facts.rows, where)
    wanted = _wanted(frame, facts, where)
    window = _fitted(opened, facts, window, frame)
    if len(wanted) * facts.rows * facts.columns > VOLUME_LIMIT:
        raise ImageError(
            f"{where}: says it is {facts.frames} frames of {facts.columns} x {facts.rows}, more than {VOLUME_LIMIT:,} pixels "
            "at once: a decompression bomb, or read it frame by frame with frame=0, 1, ..."
        )
    read = [_one(opened, facts, index, window) for index in wanted]
    if frame != "all":
        return read[0]
    return stack(read, [plane(Tags(opened.header, index)) for index in wanted], where)


def frame_values(opened: DicomFile, index: int) -> np.ndarray:
    """The values of a grey frame in the unit of its modality, without its padding.

    Args:
        opened: the file.
        index: of the frame, from 0.

    Returns:
        (N,)

    Raises:
        ImageError: if it cannot be read, or is of colour.
    """
    facts = facts_of(opened.header, opened.where, floats=opened.keyword != "PixelData")
    frame = stored_frame(opened, facts, index, [])
    if frame.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise ImageError(f"{opened.where}: has colours ({frame.photometric}), which make no volume.")
    return measured_values(frame, facts, Tags(opened.header, index), opened.where)


def _fitted(
    opened: DicomFile, facts: DicomFacts, window: WindowChoice | None, frame: Frame | None
) -> WindowChoice | None:
    """The window, found from all frames where a rule looks at the volume."""
    rule = parse_rule(window)
    if rule is None or (frame != "all" and not rule.series):
        return window
    if facts.frames == 1 and frame != "all":
        need_no_series(rule, opened.where)  # the other slices are files of their own

    def find() -> FittedWindow:
        return rule.fit(np.concatenate([frame_values(opened, index) for index in range(facts.frames)]), "this volume")

    return remembered(opened.stream, (str(rule), facts.frames), find)


def _wanted(frame: Frame | None, facts: DicomFacts, where: str) -> range:
    if frame == "all":
        return range(facts.frames)
    if frame is None:
        if facts.frames > 1:
            raise ImageError(
                f"{where}: holds {facts.frames} frames; say which one with frame=0 to {facts.frames - 1}, or frame='all' for the "
                f"volume. In a table it stands behind the path: #0 to #{facts.frames - 1}."
            )
        return range(1)
    if not isinstance(frame, int) or isinstance(frame, bool):
        raise ImageError(f"{where}: frame={frame!r} is for NIfTI in four dimensions; DICOM takes one number, or 'all'.")
    if not 0 <= frame < facts.frames:
        raise ImageError(f"{where}: has no frame {frame}; it holds {facts.frames}.")
    return range(frame, frame + 1)


def _one(opened: DicomFile, facts: DicomFacts, index: int, window: WindowChoice | None) -> Pixels:
    """One frame with its spacing, ids and notes."""
    tags = Tags(opened.header, index)
    notes = list(opened.notes)
    if facts.frames > 1:
        notes.append(f"frame {index} of {facts.frames}")
    if _overlays(opened):
        notes.append("overlay not drawn")
    decoded = stored_frame(opened, facts, index, notes)
    stored, photometric = decoded.array, decoded.photometric
    if photometric == "PALETTE COLOR":
        pixels = _through_palette(stored, facts, tags, opened.where, notes)
    elif stored.ndim == 3:
        if photometric != "RGB":
            raise ImageError(f"{opened.where}: has colours as {photometric}, which medzoo does not read.")
        pixels = Pixels(stored, facts.ends, "rgb")
    elif photometric in ("MONOCHROME1", "MONOCHROME2"):
        pixels = grey_pixels(decoded, facts, tags, window, opened.where)
    else:
        raise ImageError(f"{opened.where}: has one channel and the photometric interpretation {photometric!r}.")
    if photometric not in ("MONOCHROME1", "MONOCHROME2") and window is not None and window != "full":
        pixels = apply_window(pixels, window, opened.where)
    return replace(
        pixels,
        spacing_mm=_spacing(tags, notes),
        patient_id=tags.words("PatientID") or None,
        series_id=tags.words("SeriesInstanceUID") or None,
        notes=(*notes, *pixels.notes),
    )


def _overlays(opened: DicomFile) -> bool:
    """Whether graphics lie over the image: groups 6000 to 601E."""
    return any(0x6000 <= tag >> 16 <= 0x601E for tag in opened.header.keys())  # noqa: SIM118 - values are not parsed


def _through_palette(stored: np.ndarray, facts: DicomFacts, tags: Tags, where: str, notes: list[str]) -> Pixels:
    """Colours of a palette; one of equal colours is a grey again."""
    header = tags.header
    notes.append("palette applied")
    if "SegmentedRedPaletteColorLookupTableData" in header:
        from pydicom.pixels import apply_color_lut

        array = apply_color_lut(stored, header)[:, :, :3]
        return _coloured(array, notes)
    little = header.original_encoding[1] is not False
    tables = [
        table_of(
            header.get(f"{colour}PaletteColorLookupTableDescriptor"), header.get(f"{colour}PaletteColorLookupTableData"),
            little=little, signed=facts.signed, where=where,
        )
        for colour in ("Red", "Green", "Blue")
    ]  # fmt: skip
    bits = max(table.entries.dtype.itemsize for table in tables) * 8
    array = np.stack([table.look_up(stored).astype(f"u{bits // 8}") for table in tables], axis=-1)
    return _coloured(array, notes)


def _coloured(array: np.ndarray, notes: list[str]) -> Pixels:
    array = grey_if_equal(array, notes)
    return Pixels(array, (0.0, float(np.iinfo(array.dtype).max)), "rgb" if array.ndim == 3 else "grey")


def _spacing(tags: Tags, notes: list[str]) -> tuple[float, float] | None:
    """(between rows, between columns), mm; of a radiograph as its header says it best."""
    for keyword, note in (
        ("PixelSpacing", ""),
        ("ImagerPixelSpacing", "spacing at the detector, not in the patient"),
        ("NominalScannedPixelSpacing", "spacing of the scanned film"),
    ):
        found = tags.numbers(keyword, 2)
        if found is not None and min(found) > 0:
            if note:
                notes.append(note)
            return found[0], found[1]
    if tags.words("Modality") in ("CT", "MR", "PT"):
        notes.append("no usable PixelSpacing: spacing unknown")
    return None


def plane(tags: Tags) -> Plane | None:
    """How a frame lies in the patient, or None where the header does not say."""
    return plane_of(tags.numbers("ImagePositionPatient", 3), tags.numbers("ImageOrientationPatient", 6))


def stack(read: list[Pixels], planes: list[Plane | None], where: str) -> Pixels:
    """Slices, in their order, as a volume (D, H, W); with their distance where they lie one behind the other in space.

    Args:
        read: of one size, unit and range.
        planes: of each.
        where: for messages.

    Raises:
        ImageError: for colour, or slices that do not fit on each other.
    """
    first = read[0]
    if any(one.array.ndim != 2 for one in read):
        raise ImageError(f"{where}: colour frames are read one at a time, with frame=0, 1, ...")
    if len({(one.range, one.unit) for one in read}) > 1:
        raise ImageError(
            f"{where}: its slices have {len({one.range for one in read})} scales (windows or rescales of their own), so they make "
            "no volume as they are. Give window=(low, high), or window='full'."
        )
    dtype = np.result_type(*(one.array.dtype for one in read))
    array = np.stack([one.array.astype(dtype, copy=False) for one in read])
    notes = _shared_notes(read)
    spacing = None
    known = [one for one in planes if one is not None]
    if len(known) == len(read) > 1 and parallel(known):
        along = heights(known)
        distances = steps(known)
        rising = bool((np.diff(along) > 0).all() or (np.diff(along) < 0).all())
        if rising and not math.isclose(float(distances.min()), 0):
            if uneven(distances):
                notes.append(f"uneven slices: {told(distances)} mm apart; their median is given")
            spacing = None if first.spacing_mm is None else (float(np.median(distances)), *first.spacing_mm)
    if spacing is None and len(read) > 1:
        notes.append("the distance of the frames is not known")
    return replace(first, array=array, spacing_mm=spacing, notes=tuple(notes))


def _shared_notes(read: list[Pixels]) -> list[str]:
    """The notes of all slices, one of each kind: counts of padding differ from slice to slice."""
    kinds: dict[str, list[str]] = {}
    for note in (note for one in read for note in one.notes if not note.startswith("frame ")):
        kinds.setdefault(re.sub(r"[\d.,]+", "#", note), []).append(note)
    return [same[0] if len(set(same)) == 1 else f"{same[0]} (other slices: other numbers)" for same in kinds.values()]
