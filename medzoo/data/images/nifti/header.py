"""The header of a NIfTI file, checked before data are read: size, type, scale, and the directions of the axes."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from medzoo.data.images.bounded_file import Bounded
from medzoo.data.images.pixels import VOLUME_LIMIT
from medzoo.errors import ImageError, MissingExtraError

_GZIP = b"\x1f\x8b"
_OFFSET_LIMIT = 1 << 26  # bytes of header extensions
_DEFLATE_BEST = 1032  # the largest factor by which deflate can shrink data
_MM = {"mm": 1.0, "meter": 1000.0, "micron": 0.001}
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


@dataclass(frozen=True)
class Scan:
    """The header's description of the volume; axes in stored order."""

    data: Any
    shape: tuple[int, int, int]
    volumes: int
    axes: tuple[int, int, int]  # direction of each stored axis: 0 right-left, 1 front-back, 2 up-down
    forward: tuple[bool, bool, bool]  # whether each stored axis runs to the right, the front, up
    spacing: tuple[float, float, float]
    scale: tuple[float, float]
    notes: tuple[str, ...]
    length: int  # bytes of the unpacked file, up to its last voxel


def unpacked(file: BinaryIO, where: str, limit: int) -> bytes | None:
    """The content of a .nii.gz file, up to the length that its header gives; the checksum is verified.

    Args:
        file: open for reading bytes.
        where: for messages.
        limit: bytes.

    Returns:
        None if the content is longer than the limit.

    Raises:
        ImageError: if it is cut off or damaged.
        MissingExtraError: if nibabel is not installed.
    """
    with opened(file, where) as (scan, stream, _):
        if scan.length > limit:
            return None
        stream.seek(0)
        data = stream.read(scan.length)
        if len(data) < scan.length:
            raise EOFError(f"{len(data):,} of {scan.length:,} bytes")
        stream.read(1)  # the checksum is at the end of the stream
        return data


@contextmanager
def opened(file: BinaryIO, where: str) -> Iterator[tuple[Scan, Any, bool]]:
    """Open a file: gives its header, the unpacked stream, and whether it is packed.

    Raises:
        ImageError: if it is cut off, damaged, or of a kind that medzoo does not read.
        MissingExtraError: if nibabel is not installed.
    """
    try:
        import nibabel  # noqa: F401
    except ImportError:
        raise MissingExtraError("nibabel", "medical", "Reading NIfTI") from None
    file.seek(0)
    packed = file.read(2) == _GZIP
    size = file.seek(0, 2)
    file.seek(0)
    stream: Any = gzip.GzipFile(fileobj=file) if packed else Bounded(file)
    try:
        yield _scan(stream, size, packed, where), stream, packed
    except (EOFError, zlib.error, OSError) as error:
        raise ImageError(
            f"{where}: cut off or damaged ({type(error).__name__}: {error}). Download it again.",
            code="nifti-cut-off",
        ) from error


def _scan(stream: Any, size: int, packed: bool, where: str) -> Scan:  # noqa: ANN401
    """Read and check the header; no data are read."""
    import nibabel

    # NIfTI-1 or NIfTI-2, in one file.
    block = stream.read(540)
    second = 540 in (int.from_bytes(block[:4], "little"), int.from_bytes(block[:4], "big"))
    kind = nibabel.Nifti2Header if second else nibabel.Nifti1Header
    length = 540 if second else 348
    if len(block) < length:
        raise ImageError(f"{where}: cut off in its header ({len(block)} bytes).", code="nifti-cut-off")
    if bytes(block[4:7] if second else block[344:347]) in (b"ni1", b"ni2"):
        raise ImageError(
            f"{where}: one half of a pair .hdr and .img. Write it as one .nii file, for example with nibabel.",
            code="nifti-pair-unsupported",
        )
    try:
        header = kind(block[:length], check=False)
        dims = [int(number) for number in header["dim"]]
        dtype = header.get_data_dtype()
        slope, intercept = header.get_slope_inter()
        affine = np.asarray(header.get_best_affine(), float)
        unit = header.get_xyzt_units()[0]
    except Exception as error:  # nibabel raises anything on random headers
        raise ImageError(
            f"{where}: damaged NIfTI header ({type(error).__name__}: {error}).", code="nifti-header-damaged"
        ) from error
    # Dimensions and type must be ones that medzoo reads, and the data must fit into memory and into the file.
    rank = dims[0]
    if not 1 <= rank <= 7 or min(dims[1 : rank + 1]) < 1:
        raise ImageError(
            f"{where}: the header says the dimensions {dims}, which are not possible.", code="nifti-header-damaged"
        )
    shape = (*dims[1 : rank + 1], 1, 1, 1, 1)[: max(rank, 4)]
    if any(side > 1 for side in shape[4:]):
        raise ImageError(
            f"{where}: has {rank} dimensions ({shape}); medzoo reads up to four.", code="nifti-dimensions-unsupported"
        )
    if dtype.kind not in "uif" and dtype != RGB:
        raise ImageError(f"{where}: contains {dtype}, which is not a type of pixels.", code="pixel-type-unsupported")
    voxels = math.prod(shape[:3])
    if voxels > VOLUME_LIMIT:
        raise ImageError(
            f"{where}: the header says {' x '.join(map(str, shape[:3]))} voxels, more than {VOLUME_LIMIT:,}. It may be a "
            "decompression bomb. If the file is correct, cut the scan into parts first.",
            code="volume-too-large",
        )
    offset = float(header["vox_offset"])
    offset = offset if offset >= length else length + 4
    needed = voxels * shape[3] * dtype.itemsize + offset
    if not math.isfinite(offset) or offset > _OFFSET_LIMIT or needed > (size * _DEFLATE_BEST if packed else size):
        raise ImageError(
            f"{where}: cut off, or its header is wrong: {shape} of {dtype} after {offset:g} bytes take {needed:,.0f} bytes, but "
            f"the file has {size:,}{' packed' if packed else ''}.",
            code="nifti-cut-off",
        )
    # Orientation and scale.
    axes, forward, spacing, notes = _orientation(header, affine, unit, where)
    proxy = nibabel.arrayproxy.ArrayProxy(stream, (shape[:4], dtype, int(offset), 1.0, 0.0), keep_file_open=True)
    scale = (1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept))
    if scale != (1.0, 0.0):
        notes.append(f"rescale: slope {scale[0]:g}, intercept {scale[1]:g}")
    sides = (shape[0], shape[1], shape[2])
    return Scan(proxy, sides, shape[3], axes, forward, spacing, scale, tuple(notes), int(needed))


def _orientation(
    header: Any,  # noqa: ANN401
    affine: np.ndarray,
    unit: str,
    where: str,
) -> tuple[tuple[int, int, int], tuple[bool, bool, bool], tuple[float, float, float], list[str]]:
    """The direction of each stored axis, the distances along them in mm, and notes on what is unusual."""
    import nibabel

    matrix = affine[:3, :3]
    if not np.isfinite(affine).all() or abs(float(np.linalg.det(matrix))) < 1e-12:
        raise ImageError(
            f"{where}: the affine is not invertible or not finite ({matrix.round(3).tolist()}). Fix the sform or qform.",
            code="nifti-affine-invalid",
        )
    orientation = nibabel.io_orientation(affine)
    if not np.isfinite(orientation).all():
        raise ImageError(
            f"{where}: the affine has no orientation ({matrix.round(3).tolist()}). Fix the sform or qform.",
            code="nifti-affine-invalid",
        )
    axes, forward = tuple(int(row[0]) for row in orientation), tuple(bool(row[1] > 0) for row in orientation)
    notes = [
        f"axes {''.join(nibabel.aff2axcodes(affine))} reordered: slices upwards, rows to the back, columns to the left"
    ]
    # Contradictions in the header are notes, not errors.
    q_code, s_code = int(header["qform_code"]), int(header["sform_code"])
    if q_code <= 0 and s_code <= 0:
        notes.append("orientation unknown (qform and sform codes are 0): left and right may be swapped")
    tolerance = 0.01 * np.abs(matrix).max()
    if q_code > 0 and s_code > 0 and not np.allclose(header.get_qform()[:3, :3], matrix, atol=tolerance):
        notes.append("qform and sform disagree; sform used")
    tilt = float(np.degrees(nibabel.affines.obliquity(affine).max()))
    if tilt > 1:
        notes.append(f"oblique by {tilt:.0f} degrees; not resampled")
    if unit not in _MM:
        notes.append("unit of the spacing missing; mm assumed")
    factor = _MM.get(unit, 1.0)
    spacing = tuple(round(float(side) * factor, 6) for side in nibabel.affines.voxel_sizes(affine))
    return axes, forward, spacing, notes  # type: ignore[return-value]
