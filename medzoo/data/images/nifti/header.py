"""The header of a NIfTI file, checked before any data are read: size, type, scale, and how the axes lie in the patient."""

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
_DEFLATE_BEST = 1032  # no deflate stream is longer than that times its packed size
_MM = {"mm": 1.0, "meter": 1000.0, "micron": 0.001}
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


def looks_like_nifti(head: bytes) -> bool:
    """Whether the first bytes of a file, packed by gzip or not, are the header of NIfTI-1 or NIfTI-2.

    Args:
        head: at least the first 352 bytes.

    >>> looks_like_nifti((348).to_bytes(4, "little") + bytes(340) + b"n+1\\0")
    True
    """
    head = _unpacked(head)
    sizes = {int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")}
    if 540 in sizes:
        return head[4:7] in (b"n+2", b"ni2")
    return 348 in sizes and head[344:347] in (b"n+1", b"ni1")


def _unpacked(head: bytes) -> bytes:
    if not head.startswith(_GZIP):
        return head
    try:
        return zlib.decompressobj(31).decompress(head, 540)  # and not to its end: a wrong checksum is for the reader
    except zlib.error:
        return b""


@dataclass(frozen=True)
class Scan:
    """What a header says of its volume; axes in stored order."""

    data: Any
    shape: tuple[int, int, int]
    volumes: int
    axes: tuple[int, int, int]  # which of right, front, up each stored axis runs along
    forward: tuple[bool, bool, bool]
    spacing: tuple[float, float, float]
    scale: tuple[float, float]
    notes: tuple[str, ...]
    length: int  # bytes of the unpacked file, up to its last voxel


def unpacked(file: BinaryIO, where: str, limit: int) -> bytes | None:
    """The content of a .nii.gz file, as long as its header says; its checksum is looked at.

    Args:
        file: open for reading bytes.
        where: for messages.
        limit: bytes.

    Returns:
        None if it is longer than the limit.

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
        stream.read(1)  # the end of the stream holds its checksum
        return data


@contextmanager
def opened(file: BinaryIO, where: str) -> Iterator[tuple[Scan, Any, bool]]:
    """The header, the stream of the unpacked file, and whether it is packed.

    Raises:
        ImageError: if it is cut off, damaged, or of a kind that is not read.
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
            f"{where}: is cut off or damaged ({type(error).__name__}: {error}). Fetch it again."
        ) from error


def _scan(stream: Any, size: int, packed: bool, where: str) -> Scan:  # noqa: ANN401
    """The header, checked before any data are read."""
    import nibabel

    block = stream.read(540)
    second = 540 in (int.from_bytes(block[:4], "little"), int.from_bytes(block[:4], "big"))
    kind = nibabel.Nifti2Header if second else nibabel.Nifti1Header
    length = 540 if second else 348
    if len(block) < length:
        raise ImageError(f"{where}: is cut off in its header ({len(block)} bytes).")
    if bytes(block[4:7] if second else block[344:347]) in (b"ni1", b"ni2"):
        raise ImageError(
            f"{where}: is half of a pair .hdr and .img. Write it as one file .nii, for example with nibabel."
        )
    try:
        header = kind(block[:length], check=False)
        dims = [int(number) for number in header["dim"]]
        dtype = header.get_data_dtype()
        slope, intercept = header.get_slope_inter()
        affine = np.asarray(header.get_best_affine(), float)
        unit = header.get_xyzt_units()[0]
    except Exception as error:  # nibabel raises anything on headers of noise
        raise ImageError(f"{where}: has a damaged NIfTI header ({type(error).__name__}: {error}).") from error
    rank = dims[0]
    if not 1 <= rank <= 7 or min(dims[1 : rank + 1]) < 1:
        raise ImageError(f"{where}: its header says the dimensions {dims}, which no image has.")
    shape = (*dims[1 : rank + 1], 1, 1, 1, 1)[: max(rank, 4)]
    if any(side > 1 for side in shape[4:]):
        raise ImageError(f"{where}: has {rank} dimensions ({shape}); medzoo reads up to four.")
    if dtype.kind not in "uif" and dtype != RGB:
        raise ImageError(f"{where}: holds {dtype}, which is no pixel type.")
    voxels = math.prod(shape[:3])
    if voxels > VOLUME_LIMIT:
        raise ImageError(
            f"{where}: says it is {' x '.join(map(str, shape[:3]))} voxels, more than {VOLUME_LIMIT:,}: a decompression bomb, or a "
            "scan that should be cut first."
        )
    offset = float(header["vox_offset"])
    offset = offset if offset >= length else length + 4
    whole = voxels * shape[3] * dtype.itemsize + offset
    if not math.isfinite(offset) or offset > _OFFSET_LIMIT or whole > (size * _DEFLATE_BEST if packed else size):
        raise ImageError(
            f"{where}: is cut off, or its header is wrong: {shape} of {dtype} behind {offset:g} bytes take {whole:,.0f} bytes, and "
            f"the file has {size:,}{' packed' if packed else ''}."
        )
    axes, forward, spacing, notes = _orientation(header, affine, unit, where)
    proxy = nibabel.arrayproxy.ArrayProxy(stream, (shape[:4], dtype, int(offset), 1.0, 0.0), keep_file_open=True)
    scale = (1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept))
    if scale != (1.0, 0.0):
        notes.append(f"rescale: slope {scale[0]:g}, intercept {scale[1]:g}")
    sides = (shape[0], shape[1], shape[2])
    return Scan(proxy, sides, shape[3], axes, forward, spacing, scale, tuple(notes), int(whole))


def _orientation(
    header: Any,  # noqa: ANN401
    affine: np.ndarray,
    unit: str,
    where: str,
) -> tuple[tuple[int, int, int], tuple[bool, bool, bool], tuple[float, float, float], list[str]]:
    """Where each stored axis runs, the distances along them in mm, and what is odd about it."""
    import nibabel

    matrix = affine[:3, :3]
    if not np.isfinite(affine).all() or abs(float(np.linalg.det(matrix))) < 1e-12:
        raise ImageError(
            f"{where}: its affine puts the axes nowhere ({matrix.round(3).tolist()}). Mend its sform or qform."
        )
    turned = nibabel.io_orientation(affine)
    if not np.isfinite(turned).all():
        raise ImageError(
            f"{where}: its affine says no orientation ({matrix.round(3).tolist()}). Mend its sform or qform."
        )
    axes, forward = tuple(int(row[0]) for row in turned), tuple(bool(row[1] > 0) for row in turned)
    notes = [f"axes {''.join(nibabel.aff2axcodes(affine))} laid out as a scan: upwards, to the back, to the left"]
    q_code, s_code = int(header["qform_code"]), int(header["sform_code"])
    if q_code <= 0 and s_code <= 0:
        notes.append("orientation not stated (qform and sform codes are 0): left and right may be swapped")
    if (
        q_code > 0
        and s_code > 0
        and not np.allclose(header.get_qform()[:3, :3], matrix, atol=0.01 * np.abs(matrix).max())
    ):
        notes.append("qform and sform disagree; sform taken")
    tilt = float(np.degrees(nibabel.affines.obliquity(affine).max()))
    if tilt > 1:
        notes.append(f"oblique by {tilt:.0f} degrees; kept in its own plane")
    if unit not in _MM:
        notes.append("unit of the spacing not stated, taken as mm")
    factor = _MM.get(unit, 1.0)
    spacing = tuple(round(float(side) * factor, 6) for side in nibabel.affines.voxel_sizes(affine))
    return axes, forward, spacing, notes  # type: ignore[return-value]
