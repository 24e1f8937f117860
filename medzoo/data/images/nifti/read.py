"""Read a NIfTI file as pixels: a slice, or the volume, turned to the axes of a DICOM scan. Needs `medzoo[medical]`.

Stored axes can have any direction; the affine gives them. Here slices run upwards, rows to the back and columns to the left of
the patient. So an axial slice looks as radiologists view it, and as in the source DICOM file. nibabel reads header and data.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from medzoo.data.images.ct_windows import ANY
from medzoo.data.images.nifti.header import RGB, Scan, opened
from medzoo.data.images.pixels import Pixels, check_size, from_array
from medzoo.data.images.rescale import rescaled
from medzoo.data.images.volume_window import cached_window
from medzoo.data.images.window_rules import FittedWindow, parse_rule
from medzoo.errors import ImageError

if TYPE_CHECKING:
    from medzoo.data.images.ct_windows import WindowChoice
    from medzoo.data.images.frame_key import Frame

# The axis perpendicular to a slice → the axes of its rows and columns. Axis 0 runs to the right, 1 to the front, 2 upwards;
# rows and columns are reversed, so that rows run to the back (or down) and columns to the left (or back).
_ROWS_AND_COLUMNS = {2: (1, 0), 1: (2, 0), 0: (2, 1)}


def read_nifti(file: BinaryIO, where: str, *, window: WindowChoice | None = None, frame: Frame | None = None) -> Pixels:
    """Read a slice or the volume of a .nii or .nii.gz file, NIfTI-1 or NIfTI-2.

    Args:
        file: open for reading bytes.
        where: for messages.
        window: as in `read_image`. NIfTI does not say what its numbers mean: signed integers and floats need a window. The
            name of a CT window means that they are HU.
        frame: slice from 0, counted upwards; "all" for the volume; in four dimensions (volume, slice) or (volume, "all").

    Raises:
        ImageError: if it cannot be read, or the range of its values is unknown.
        MissingExtraError: if nibabel is not installed.

    Source: https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields, https://nipy.org/nibabel/image_orientation.html

    >>> import io, nibabel
    >>> scan = nibabel.Nifti1Image(np.zeros((64, 48, 20), np.uint8), np.diag([1, 2, 3, 1]))
    >>> pixels = read_nifti(io.BytesIO(scan.to_bytes()), "a scan", frame=12)
    >>> pixels.array.shape, pixels.spacing_mm
    ((48, 64), (2.0, 1.0))
    """
    with opened(file, where) as (scan, stream, packed):
        return _pixels(scan, file, stream, packed, where, window, frame)


def _pixels(
    scan: Scan,
    file: BinaryIO,
    stream: Any,  # noqa: ANN401
    packed: bool,
    where: str,
    window: WindowChoice | None,
    frame: Frame | None,
) -> Pixels:
    # Choose the slice before reading: only its part of the file is read.
    perpendicular, volume, number = _choice(scan, where, frame)
    through = scan.axes.index(perpendicular)
    rows, columns = (scan.axes.index(axis) for axis in _ROWS_AND_COLUMNS[perpendicular])
    index: list[Any] = [slice(None)] * 3
    notes = []
    if number != "all":
        count = scan.shape[through]
        index[through] = number if scan.forward[through] else count - 1 - number
        if count > 1:
            notes.append(f"slice {number} of {count}")
        check_size(scan.shape[columns], scan.shape[rows], where)
    if scan.volumes > 1:
        notes.append(f"volume {volume} of {scan.volumes}")
    window = _fit_window(scan, file, where, window, volume if number != "all" else None)
    array = np.asarray(scan.data[(*index, volume)])
    if packed and number == "all" and volume == scan.volumes - 1:
        stream.read(1)  # the checksum is at the end of the stream
    # Turn the axes: slices upwards, rows and columns reversed.
    axes = [through, rows, columns] if number == "all" else [rows, columns]
    array = array.transpose([sorted(axes).index(axis) for axis in axes])
    for position, axis in enumerate(axes):
        reverse = scan.forward[axis] if axis != through else not scan.forward[axis]
        array = np.flip(array, position) if reverse else array
    array = rescaled(_numbers(array), *scan.scale)
    pixels = from_array(array, where, window=window, volume=number == "all")
    spacing = tuple(scan.spacing[axis] for axis in axes)
    return replace(pixels, spacing_mm=spacing, notes=(*notes, *scan.notes, *pixels.notes))


def _fit_window(
    scan: Scan, file: BinaryIO, where: str, window: WindowChoice | None, volume: int | None
) -> WindowChoice | None:
    """The window; a `:series` rule is fitted to the whole volume where a slice is read (volume is not None)."""
    rule = parse_rule(window)
    if rule is None or not rule.series or volume is None:
        return window

    def fit() -> FittedWindow:
        values = rescaled(_numbers(np.asarray(scan.data[..., volume])), *scan.scale)
        return rule.fit(from_array(values, where, window=ANY, volume=values.ndim == 3).array, "this volume")

    return cached_window(file, (str(rule), volume), fit)


def _numbers(array: np.ndarray) -> np.ndarray:
    """Colours as (..., 3), and numbers in native byte order; longer floats become float64."""
    if array.dtype == RGB:
        array = np.stack([array[name] for name in ("R", "G", "B")], axis=-1)
    array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))
    return array.astype(np.float64) if array.dtype.kind == "f" and array.dtype.itemsize > 8 else array


def _choice(scan: Scan, where: str, frame: Frame | None) -> tuple[int, int, Any]:
    """The axis perpendicular to the slices, the volume, and the slice or "all"."""
    perpendicular, volume = 2, 0
    if isinstance(frame, tuple) and (len(frame) != 2 or not isinstance(frame[0], int)):
        raise ImageError(
            f"{where}: frame={frame} should be (volume, slice) or (volume, 'all').", code="frame-type-unsupported"
        )
    flat = [axis for axis, side in zip(scan.axes, scan.shape, strict=True) if side == 1]
    if scan.volumes > 1:
        if not isinstance(frame, tuple):
            raise ImageError(
                f"{where}: has {scan.volumes} volumes of {' x '.join(map(str, scan.shape))}. Choose one with "
                f"frame=(0 to {scan.volumes - 1}, slice), or (volume, 'all'). In a table, add it to the path: #volume,slice.",
                code="frame-required",
            )
        volume, frame = frame
    elif isinstance(frame, tuple):
        volume, frame = frame
    if not 0 <= volume < scan.volumes:
        raise ImageError(
            f"{where}: there is no volume {volume}; the file has {scan.volumes}.", code="frame-out-of-range"
        )
    if frame is None and flat:  # a single slice, in any orientation
        perpendicular, frame = flat[0] if 2 not in flat else 2, 0
    count = scan.shape[scan.axes.index(perpendicular)]
    if frame == "all":
        return perpendicular, volume, frame
    if frame is None:
        raise ImageError(
            f"{where}: has {count} slices. Choose one with frame=0 to {count - 1} (counted upwards), or frame='all' for "
            f"the volume. In a table, add it to the path: #0 to #{count - 1}.",
            code="frame-required",
        )
    if not isinstance(frame, int) or isinstance(frame, bool) or not 0 <= frame < count:
        raise ImageError(
            f"{where}: there is no slice {frame!r}; the file has {count}, counted upwards from 0.",
            code="frame-out-of-range",
        )
    return perpendicular, volume, frame
