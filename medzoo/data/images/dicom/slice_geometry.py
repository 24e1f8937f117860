"""Positions of slices in the patient: along their normal, distances of neighbours, tilt, and whether they make a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medzoo.errors import ImageError, listed

SAME = 1e-3  # mm or cosine; the precision of DICOM's decimal strings
EVEN = 0.01  # largest relative difference between the gaps of an even series


@dataclass(frozen=True)
class Plane:
    """Position and orientation of one slice, as DICOM defines them.

    Args:
        position: centre of the first pixel, mm in the patient's axes (left, back, up).
        along_row: unit vector.
        along_column: unit vector.
    """

    position: tuple[float, ...]
    along_row: tuple[float, ...]
    along_column: tuple[float, ...]

    @property
    def normal(self) -> np.ndarray:
        """Unit vector perpendicular to the slice; for axial slices it points upwards."""
        across = np.cross(self.along_row, self.along_column)
        return across / np.linalg.norm(across)


@dataclass(frozen=True)
class Slice:
    """One slice of a series, from its header.

    Args:
        key: path below the folder; `#frame` follows it in a multi-frame file.
        patient_id: from the header, or "".
        series_id: SeriesInstanceUID, or "".
        image_id: SOPInstanceUID, or "".
        modality: "CT", "MR", ...
        plane: position and orientation; None where the header does not give them.
        size: (rows, columns).
        position_mm: along the normal of its series; None where the header does not give it.
    """

    key: str
    patient_id: str
    series_id: str
    image_id: str
    modality: str
    plane: Plane | None
    size: tuple[int, int]
    position_mm: float | None = None


def plane_of(position: Sequence[float] | None, orientation: Sequence[float] | None) -> Plane | None:
    """A plane from the header's numbers, or None where they are missing or not perpendicular.

    Args:
        position: ImagePositionPatient, 3 numbers in mm.
        orientation: ImageOrientationPatient, 6 cosines.

    >>> plane_of((0, 0, 5), (1, 0, 0, 0, 1, 0)).normal.tolist()
    [0.0, 0.0, 1.0]
    """
    if position is None or orientation is None or len(position) != 3 or len(orientation) != 6:
        return None
    row, column = np.asarray(orientation[:3], float), np.asarray(orientation[3:], float)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > 0.01 or abs(float(row @ column)) > 0.01:
        return None
    return Plane(tuple(position), tuple((row / lengths[0]).tolist()), tuple((column / lengths[1]).tolist()))


def parallel(planes: Sequence[Plane]) -> bool:
    """Whether all slices have the same orientation."""
    first = np.array([planes[0].along_row, planes[0].along_column])
    return all(np.abs(np.array([one.along_row, one.along_column]) - first).max() <= 10 * SAME for one in planes)


def heights(planes: Sequence[Plane]) -> np.ndarray:
    """Positions along the first slice's normal: (N,) mm.

    Args:
        planes: parallel to each other.
    """
    return np.array([one.position for one in planes], float) @ planes[0].normal


def steps(ordered: Sequence[Plane]) -> np.ndarray:
    """Distance of a pixel to the same pixel of the next slice: (N - 1,) mm, rounded to a thousandth.

    Slices of a tilted gantry are shifted, so this distance is larger than the one along the normal.

    Args:
        ordered: planes of neighbouring slices.

    >>> steps([plane_of((0, 0, z), (1, 0, 0, 0, 1, 0)) for z in (0, 4.22, 5.36)]).tolist()
    [4.22, 1.14]
    """
    positions = np.array([one.position for one in ordered], float)
    return np.round(np.linalg.norm(np.diff(positions, axis=0), axis=1), 3)


def uneven(distances: np.ndarray) -> bool:
    """Whether the gaps differ by more than rounding errors.

    >>> uneven(np.array([5.0, 5.01, 5.0])), uneven(np.array([4.22, 1.14, 7.38]))
    (False, True)
    """
    return bool(len(distances) > 1 and np.ptp(distances) > max(EVEN * float(np.median(distances)), 2 * SAME))


def describe_gaps(distances: np.ndarray) -> str:
    """The gaps as text, in order; equal neighbours are counted.

    >>> describe_gaps(np.array([4.2, 4.2, 1.1, 7.4]))
    '2 x 4.2, 1.1, 7.4'
    """
    parts: list[list] = []
    for gap in distances.tolist():
        if parts and abs(parts[-1][1] - gap) <= 2 * SAME:
            parts[-1][0] += 1
        else:
            parts.append([1, gap])
    words = [f"{gap:g}" if count == 1 else f"{count} x {gap:g}" for count, gap in parts]
    return ", ".join(words[:12]) + (f" and {len(words) - 12} more" if len(words) > 12 else "")


def shear_degrees(planes: Sequence[Plane]) -> float:
    """Angle between the slices' normal and the direction from the first to the last slice: not 0 for a tilted gantry.

    Args:
        planes: parallel, in order.
    """
    direction = np.array(planes[-1].position, float) - np.array(planes[0].position, float)
    length = float(np.linalg.norm(direction))
    if length <= SAME:
        return 0.0
    return float(np.degrees(np.arccos(np.clip(abs(float(direction @ planes[0].normal)) / length, 0, 1))))


def volume_planes(slices: list[Slice], root: Path) -> list[Plane]:
    """The planes of the slices, checked to make a volume.

    Args:
        slices: in their order.
        root: their folder, for messages.

    Raises:
        ImageError: if patients, sizes or orientations differ, a position is missing, or two slices have the same position.
    """
    patients = {one.patient_id for one in slices}
    sizes = {one.size for one in slices}
    without_plane = [one.key for one in slices if one.plane is None]
    planes = [one.plane for one in slices if one.plane is not None]
    if len(patients) > 1:
        raise ImageError(
            f"{root}: one series has {len(patients)} patients ({listed(sorted(patients), 5)}): the files are wrong.",
            code="series-several-patients",
        )
    if len(sizes) > 1:
        raise ImageError(
            f"{root}: the slices have {len(sizes)} sizes ({listed(sorted(sizes), 5)}), so they do not make a volume.",
            code="slice-sizes-differ",
        )
    if without_plane:
        raise ImageError(
            f"{root}: {len(without_plane)} slices have no position (ImagePositionPatient, ImageOrientationPatient): "
            f"{listed(without_plane, 5)}. Read each file separately.",
            code="slice-position-missing",
        )
    if not parallel(planes):
        raise ImageError(
            f"{root}: the slices have several orientations (is there a localizer?), so they do not make a volume. Move the "
            "others to another folder.",
            code="slice-orientations-differ",
        )
    same = np.flatnonzero(np.diff(heights(planes)) <= SAME)
    if len(same):
        pairs = [f"{slices[at].key} and {slices[at + 1].key}" for at in same]
        raise ImageError(
            f"{root}: {len(same)} pairs of slices have the same position: {listed(pairs, 5)}. They are copies, phases or "
            "echoes. Keep one of each.",
            code="slice-positions-repeat",
        )
    return planes
