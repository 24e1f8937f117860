"""Folders of DICOM slices: grouped by patient and series, in their order along the normal, with their real distances.

File names, InstanceNumber and SliceLocation say nothing certain about where a slice lies; ImagePositionPatient and
ImageOrientationPatient do. SliceThickness is no distance either: slices overlap and leave gaps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.data.images.dicom.file import looks_like_dicom, need_pydicom, open_dicom
from medzoo.data.images.dicom.read import frame_values, plane, read_dicom, stack
from medzoo.data.images.dicom.slice_geometry import SAME, Plane, heights, parallel, shear_degrees, steps, told, uneven
from medzoo.data.images.dicom.tags import Tags
from medzoo.data.images.frame_key import file_and_frame
from medzoo.data.images.pixels import VOLUME_LIMIT, Pixels
from medzoo.data.images.window_rules import parse_rule
from medzoo.errors import ImageError, listed

if TYPE_CHECKING:
    from medzoo.data.images.ct_windows import WindowChoice
    from medzoo.data.images.frame_key import Frame

_TILTED = 1.0  # degrees between the normal and the way from slice to slice


@dataclass(frozen=True)
class Slice:
    """One slice of a series, known from its header.

    Args:
        key: path below the folder, with `#frame` behind it in a multi-frame file.
        patient_id: of the header, or "".
        series_id: SeriesInstanceUID, or "".
        image_id: SOPInstanceUID, or "".
        modality: "CT", "MR", ...
        plane: where it lies; None where the header does not say.
        size: (rows, columns).
        position_mm: along the normal of its series; None where the header does not say.
    """

    key: str
    patient_id: str
    series_id: str
    image_id: str
    modality: str
    plane: Plane | None
    size: tuple[int, int]
    position_mm: float | None = None


def list_dicom_slices(folder: str | os.PathLike[str]) -> list[Slice]:
    """All DICOM slices below a folder by patient, then series, then position: what a table of 2D images is made from.

    Args:
        folder: searched with all folders in it; files that are no DICOM image are left out.

    Raises:
        ImageError: if there is no DICOM image.
        MissingExtraError: if pydicom is not installed.
    """
    root = Path(folder)
    found = [one for path in _files(root) for one in _slices(path, root)]
    if not found:
        raise ImageError(f"{root}: holds no DICOM image.")
    groups: dict[tuple[str, str], list[Slice]] = {}
    for one in found:
        groups.setdefault((one.patient_id, one.series_id), []).append(one)
    return [one for key in sorted(groups) for one in _ordered(groups[key])]


def read_series(
    folder: str | os.PathLike[str],
    *,
    series_id: str | None = None,
    window: WindowChoice | None = None,
    frame: Frame | None = None,
    allow_uneven: bool = False,
) -> Pixels:
    """Read the slices of one series as a volume, sorted along their normal.

    Args:
        folder: holds the slices, in any order and under any names.
        series_id: which series, where the folder holds several.
        window: as in `read_image`.
        frame: one slice of the sorted series, from 0; by default the volume.
        allow_uneven: take slices whose distances differ; `spacing_mm` then holds their median, and a note all of them.

    Returns:
        (D, H, W) with the distance of neighbouring slices first in `spacing_mm`, or one slice (H, W).

    Raises:
        ImageError: if the folder holds no series or several, or slices that make no volume: of other sizes, orientations or
            places that nobody knows, two at one place, or with gaps that differ.
        MissingExtraError: if pydicom is not installed.

    Source: DICOM PS3.3 C.7.6.2.1.1.

    >>> import shutil, tempfile
    >>> from pydicom import examples
    >>> with tempfile.TemporaryDirectory() as place:
    ...     _ = shutil.copy(examples.get_path("ct"), place)
    ...     read_series(place).array.shape
    (1, 128, 128)
    """
    root = Path(folder)
    chosen = _one_series(list_dicom_slices(root), root, series_id)
    window = _fitted(root, chosen, window, frame)
    if frame is not None and frame != "all":
        if not isinstance(frame, int) or not 0 <= frame < len(chosen):
            raise ImageError(f"{root}: has no slice {frame!r}; its series holds {len(chosen)}.")
        return replace_notes(_read(root, chosen[frame].key, window), f"slice {frame} of {len(chosen)}")
    planes = _fitting(chosen, root)
    rows, columns = chosen[0].size
    if len(chosen) * rows * columns > VOLUME_LIMIT:
        raise ImageError(
            f"{root}: {len(chosen)} slices of {columns} x {rows} are more than {VOLUME_LIMIT:,} pixels at once."
        )
    distances = steps(planes)
    if uneven(distances) and not allow_uneven:
        raise ImageError(
            f"{root}: its slices lie {told(distances)} mm apart, so they are no even volume. Read them one by one (frame=0, 1, "
            "...), or take them as they are with medzoo.data.images.dicom.series.read_series(folder, allow_uneven=True)."
        )
    volume = stack([_read(root, one.key, window) for one in chosen], list(planes), str(root))
    tilt = shear_degrees(planes)
    notes = [f"{len(chosen)} slices sorted along their normal"]
    if tilt > _TILTED:
        across = float(np.median(np.diff(heights(planes))))
        notes.append(
            f"slices shifted by {tilt:.1f} degrees (tilted gantry), {across:.3g} mm apart along their normal; "
            "kept in their own planes"
        )
    return replace_notes(volume, *notes)


def distances_mm(folder: str | os.PathLike[str], series_id: str | None = None) -> np.ndarray:
    """The real distances of neighbouring slices of a series.

    Args:
        folder: holds the slices.
        series_id: which series, where the folder holds several.

    Returns:
        (D - 1,) mm from a pixel to the same pixel of the next slice.

    Raises:
        ImageError: as `read_series`.
    """
    root = Path(folder)
    return steps(_fitting(_one_series(list_dicom_slices(root), root, series_id), root))


def replace_notes(pixels: Pixels, *notes: str) -> Pixels:
    """The same pixels with notes before theirs."""
    return replace(pixels, notes=(*notes, *pixels.notes))


def _files(root: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place) / name for name in sorted(names) if not name.startswith("."))


def _slices(path: Path, root: Path) -> list[Slice]:
    """The slices of a file; none if it is no DICOM file, or holds no image."""
    pydicom = need_pydicom()
    with path.open("rb") as file:
        if not looks_like_dicom(file.read(512)):
            return []
        file.seek(0)
        try:
            header: Any = pydicom.dcmread(file, stop_before_pixels=True, force=True)
        except Exception as error:
            raise ImageError(f"{path}: is no whole DICOM file ({type(error).__name__}: {error}).") from error
    tags = Tags(header)
    rows, columns = tags.number("Rows"), tags.number("Columns")
    if rows is None or columns is None:
        if _should_be_image(header, tags):
            raise ImageError(
                f"{path}: is an image without Rows and Columns, so it is cut off. Fetch it again, or move it away."
            )
        return []
    key = path.relative_to(root).as_posix()
    frames = int(tags.number("NumberOfFrames") or 1)
    return [
        Slice(
            key=key if frames == 1 else f"{key}#{number}",
            patient_id=tags.words("PatientID"),
            series_id=tags.words("SeriesInstanceUID"),
            image_id=tags.words("SOPInstanceUID"),
            modality=tags.words("Modality"),
            plane=plane(Tags(header, number)),
            size=(int(rows), int(columns)),
        )
        for number in range(min(frames, 100_000))
    ]


def _should_be_image(header: Any, tags: Tags) -> bool:  # noqa: ANN401 - pydicom's FileDataset
    """Whether a file is an image by its class; a report, a plan or an index of files is none."""
    from pydicom.uid import UID

    meta = getattr(header, "file_meta", None) or {}
    known = tags.words("SOPClassUID") or str(meta.get("MediaStorageSOPClassUID") or "")
    return "Image Storage" in UID(known).name if known else False


def _ordered(slices: list[Slice]) -> list[Slice]:
    """In the order of their places; of slices without a place, or of several orientations, in that of their keys."""
    planes = [one.plane for one in slices if one.plane is not None]
    if len(planes) < len(slices) or not parallel(planes):
        return slices
    along = heights(planes)
    return [replace(slices[at], position_mm=round(float(along[at]), 4)) for at in np.argsort(along, kind="stable")]


def _one_series(found: list[Slice], root: Path, series_id: str | None) -> list[Slice]:
    groups: dict[str, list[Slice]] = {}
    for one in found:
        if one.modality != "SEG":
            groups.setdefault(one.series_id, []).append(one)
    if series_id is None and len(groups) == 1:
        return next(iter(groups.values()))
    if series_id is None or series_id not in groups:
        held = listed((f"{key or '(no id)'}: {len(group)} {group[0].modality}" for key, group in groups.items()), 8)
        raise ImageError(
            f"{root}: holds {len(groups)} series ({held}). Give the folder of one of them, or "
            "medzoo.data.images.dicom.series.read_series(folder, series_id=...)."
        )
    return groups[series_id]


def _fitting(slices: list[Slice], root: Path) -> list[Plane]:
    """The planes of slices that make a volume."""
    patients = {one.patient_id for one in slices}
    sizes = {one.size for one in slices}
    lost = [one.key for one in slices if one.plane is None]
    planes = [one.plane for one in slices if one.plane is not None]
    if len(patients) > 1:
        raise ImageError(
            f"{root}: one series of {len(patients)} patients ({listed(sorted(patients), 5)}) is a mistake in the files."
        )
    if len(sizes) > 1:
        raise ImageError(
            f"{root}: its slices have {len(sizes)} sizes ({listed(sorted(sizes), 5)}), so they make no volume."
        )
    if lost:
        raise ImageError(
            f"{root}: {len(lost)} slices do not say where they lie (ImagePositionPatient, ImageOrientationPatient): "
            f"{listed(lost, 5)}. Read each file by itself."
        )
    if not parallel(planes):
        raise ImageError(
            f"{root}: its slices have several orientations (a localizer among them?), so they make no volume. Move those apart."
        )
    same = np.flatnonzero(np.diff(heights(planes)) <= SAME)
    if len(same):
        pairs = [f"{slices[at].key} and {slices[at + 1].key}" for at in same]
        raise ImageError(
            f"{root}: {len(same)} pairs of slices lie at one place: {listed(pairs, 5)}. Copies, phases or echoes: keep one of each."
        )
    return planes


def _fitted(root: Path, slices: list[Slice], window: WindowChoice | None, frame: Frame | None) -> WindowChoice | None:
    """The window, found from all slices where a rule looks at the volume."""
    rule = parse_rule(window)
    if rule is None or (frame not in (None, "all") and not rule.series):
        return window
    values = []
    for one in slices:
        path, number = file_and_frame(root / one.key)
        with path.open("rb") as file:
            values.append(frame_values(open_dicom(file, str(path)), number if isinstance(number, int) else 0))
    return rule.fit(np.concatenate(values), "this volume")


def _read(root: Path, key: str, window: WindowChoice | None) -> Pixels:
    path, frame = file_and_frame(root / key)
    with path.open("rb") as file:
        return read_dicom(file, str(path), window=window, frame=frame)
