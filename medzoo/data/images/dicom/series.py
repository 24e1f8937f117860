"""Folders of DICOM slices: grouped by patient and series, sorted along their normal, with their real distances.

Positions come from ImagePositionPatient and ImageOrientationPatient only: file names, InstanceNumber and SliceLocation are
not reliable. SliceThickness is not a distance: slices can overlap or leave gaps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.data.images.dicom.file import need_pydicom, open_dicom
from medzoo.data.images.dicom.read import frame_values, plane, read_dicom, stack
from medzoo.data.images.dicom.slice_geometry import (
    Slice,
    describe_gaps,
    heights,
    parallel,
    shear_degrees,
    steps,
    uneven,
    volume_planes,
)
from medzoo.data.images.dicom.tags import Tags
from medzoo.data.images.frame_key import file_and_frame
from medzoo.data.images.pixels import VOLUME_LIMIT, Pixels
from medzoo.data.images.sniff import looks_like_dicom
from medzoo.data.images.window_rules import parse_rule
from medzoo.errors import ImageError, listed
from medzoo.paths import plain_path

if TYPE_CHECKING:
    from medzoo.data.images.ct_windows import WindowChoice
    from medzoo.data.images.frame_key import Frame

_TILTED = 1.0  # degrees between the normal and the direction from slice to slice


def list_dicom_slices(folder: str | os.PathLike[str]) -> list[Slice]:
    """All DICOM slices below a folder, by patient, series and position: the rows of a table of 2D images.

    Args:
        folder: searched with its subfolders; files that are not DICOM images are skipped.

    Raises:
        ImageError: if there is no DICOM image.
        MissingExtraError: if pydicom is not installed.
    """
    root = plain_path(folder).expanduser()
    slices = [one for path in _files(root) for one in _slices(path, root)]
    if not slices:
        raise ImageError(f"{root}: contains no DICOM image. Give the folder of a series.", code="dicom-images-missing")
    groups: dict[tuple[str, str], list[Slice]] = {}
    for one in slices:
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
        folder: contains the slices, in any order and with any names.
        series_id: which series, where the folder contains several.
        window: as in `read_image`.
        frame: one slice of the sorted series, from 0; by default the volume.
        allow_uneven: accept slices whose distances differ; `spacing_mm` then has their median, and a note lists them all.

    Returns:
        (D, H, W) with the distance of neighbouring slices first in `spacing_mm`, or one slice (H, W).

    Raises:
        ImageError: if the folder contains no series or several, or if the slices do not make a volume: their sizes,
            orientations or distances differ, positions are missing, or two slices have the same position.
        MissingExtraError: if pydicom is not installed.

    Source: DICOM PS3.3 C.7.6.2.1.1.

    >>> import shutil, tempfile
    >>> from pydicom import examples
    >>> with tempfile.TemporaryDirectory() as place:
    ...     _ = shutil.copy(examples.get_path("ct"), place)
    ...     read_series(place).array.shape
    (1, 128, 128)
    """
    root = plain_path(folder).expanduser()
    chosen = _select_series(list_dicom_slices(root), root, series_id)
    window = _fit_window(root, chosen, window, frame)
    if frame is not None and frame != "all":
        if not isinstance(frame, int) or not 0 <= frame < len(chosen):
            raise ImageError(
                f"{root}: there is no slice {frame!r}; the series has {len(chosen)}.", code="frame-out-of-range"
            )
        return replace_notes(_read(root, chosen[frame].key, window), f"slice {frame} of {len(chosen)}")
    # Check that the slices make a volume of acceptable size before any pixel is read.
    planes = volume_planes(chosen, root)
    rows, columns = chosen[0].size
    if len(chosen) * rows * columns > VOLUME_LIMIT:
        raise ImageError(
            f"{root}: {len(chosen)} slices of {columns} x {rows} are more than {VOLUME_LIMIT:,} pixels at once.",
            code="volume-too-large",
        )
    distances = steps(planes)
    if uneven(distances) and not allow_uneven:
        raise ImageError(
            f"{root}: the distances between slices differ: {describe_gaps(distances)} mm. Read single slices (frame=0, 1, ...), "
            "or accept the distances with medzoo.data.images.dicom.series.read_series(folder, allow_uneven=True).",
            code="slice-distances-uneven",
        )
    # Read and stack the slices; a tilted gantry shifts each slice against the one before.
    volume = stack([_read(root, one.key, window) for one in chosen], list(planes), str(root))
    tilt = shear_degrees(planes)
    notes = [f"{len(chosen)} slices sorted along their normal"]
    if tilt > _TILTED:
        across = float(np.median(np.diff(heights(planes))))
        notes.append(
            f"slices shifted by {tilt:.1f} degrees (tilted gantry), {across:.3g} mm between them along their normal; "
            "not resampled"
        )
    return replace_notes(volume, *notes)


def distances_mm(folder: str | os.PathLike[str], series_id: str | None = None) -> np.ndarray:
    """The real distances between neighbouring slices of a series.

    Args:
        folder: contains the slices.
        series_id: which series, where the folder contains several.

    Returns:
        (D - 1,) mm from a pixel to the same pixel of the next slice.

    Raises:
        ImageError: as `read_series`.
    """
    root = plain_path(folder).expanduser()
    return steps(volume_planes(_select_series(list_dicom_slices(root), root, series_id), root))


def replace_notes(pixels: Pixels, *notes: str) -> Pixels:
    """The same pixels with more notes in front."""
    return replace(pixels, notes=(*notes, *pixels.notes))


def _files(root: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place) / name for name in sorted(names) if not name.startswith("."))


def _slices(path: Path, root: Path) -> list[Slice]:
    """The slices of a file; none if it is not a DICOM file, or has no image."""
    pydicom = need_pydicom()
    with path.open("rb") as file:
        if not looks_like_dicom(file.read(512)):
            return []
        file.seek(0)
        try:
            header: Any = pydicom.dcmread(file, stop_before_pixels=True, force=True)
        except Exception as error:
            raise ImageError(
                f"{path}: not a complete DICOM file ({type(error).__name__}: {error}).", code="dicom-unreadable"
            ) from error
    tags = Tags(header)
    rows, columns = tags.number("Rows"), tags.number("Columns")
    if rows is None or columns is None:
        if _should_be_image(header, tags):
            raise ImageError(
                f"{path}: an image without Rows and Columns: the file is cut off. Download it again, or remove it.",
                code="dicom-size-missing",
            )
        return []
    key = path.relative_to(root).as_posix()
    frames = int(tags.number("NumberOfFrames") or 1)
    return [
        Slice(
            key=key if frames == 1 else f"{key}#{number}",
            patient_id=tags.text("PatientID"),
            series_id=tags.text("SeriesInstanceUID"),
            image_id=tags.text("SOPInstanceUID"),
            modality=tags.text("Modality"),
            plane=plane(Tags(header, number)),
            size=(int(rows), int(columns)),
        )
        for number in range(min(frames, 100_000))
    ]


def _should_be_image(header: Any, tags: Tags) -> bool:  # noqa: ANN401 - pydicom's FileDataset
    """Whether the SOP class of a file is an image; reports, plans and indexes of files are not."""
    from pydicom.uid import UID

    meta = getattr(header, "file_meta", None) or {}
    known = tags.text("SOPClassUID") or str(meta.get("MediaStorageSOPClassUID") or "")
    return "Image Storage" in UID(known).name if known else False


def _ordered(slices: list[Slice]) -> list[Slice]:
    """The slices by position; if positions are missing or orientations differ, in the order of their keys."""
    planes = [one.plane for one in slices if one.plane is not None]
    if len(planes) < len(slices) or not parallel(planes):
        return slices
    along = heights(planes)
    return [replace(slices[at], position_mm=round(float(along[at]), 4)) for at in np.argsort(along, kind="stable")]


def _select_series(slices: list[Slice], root: Path, series_id: str | None) -> list[Slice]:
    groups: dict[str, list[Slice]] = {}
    for one in slices:
        if one.modality != "SEG":
            groups.setdefault(one.series_id, []).append(one)
    if series_id is None and len(groups) == 1:
        return next(iter(groups.values()))
    if series_id is None or series_id not in groups:
        summary = listed((f"{key or '(no id)'}: {len(group)} {group[0].modality}" for key, group in groups.items()), 8)
        raise ImageError(
            f"{root}: contains {len(groups)} series ({summary}). Give the folder of one of them, or use "
            "medzoo.data.images.dicom.series.read_series(folder, series_id=...).",
            code="series-not-unique",
        )
    return groups[series_id]


def _fit_window(
    root: Path, slices: list[Slice], window: WindowChoice | None, frame: Frame | None
) -> WindowChoice | None:
    """The window; a rule for the volume is fitted to all slices."""
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
