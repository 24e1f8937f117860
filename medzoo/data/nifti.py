"""A NIfTI file → pixels: a slice, or the volume, turned to the axes of a DICOM scan. Needs the extra `medzoo[medical]`.

Stored axes run any way; the affine says which. Here slices run upwards, rows to the back and columns to the left of the patient,
so that an axial slice looks as radiologists see it, and as the DICOM file that it was made from. nibabel reads header and data.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from medzoo.data.arrays import VOLUME_LIMIT, Pixels, check_size, from_array
from medzoo.data.dicom_files import Bounded
from medzoo.data.rescale import rescaled
from medzoo.errors import ImageError, MissingExtraError

if TYPE_CHECKING:
    from medzoo.data.keys import Frame
    from medzoo.data.windows import WindowChoice

_GZIP = b"\x1f\x8b"
_OFFSET_LIMIT = 1 << 26  # bytes of header extensions
_DEFLATE_BEST = 1032  # no deflate stream is longer than that times its packed size
_MM = {"mm": 1.0, "meter": 1000.0, "micron": 0.001}
# The axis across → the axes of rows and columns. 0 runs to the right, 1 to the front, 2 upwards; all are shown backwards, so that
# rows run to the back (or down) and columns to the left (or back).
_SHOWN = {2: (1, 0), 1: (2, 0), 0: (2, 1)}
_RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


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
        return zlib.decompressobj(31).decompress(head, 1024)
    except zlib.error:
        return b""


@dataclass(frozen=True)
class _Scan:
    """What a header says of its volume; axes in stored order."""

    data: Any
    shape: tuple[int, int, int]
    volumes: int
    axes: tuple[int, int, int]  # which of right, front, up each stored axis runs along
    forward: tuple[bool, bool, bool]
    spacing: tuple[float, float, float]
    scale: tuple[float, float]
    notes: tuple[str, ...]


def read_nifti(file: BinaryIO, where: str, *, window: WindowChoice | None = None, frame: Frame | None = None) -> Pixels:
    """Read a slice or the volume of a .nii or .nii.gz file, NIfTI-1 or NIfTI-2.

    Args:
        file: open for reading bytes.
        where: for messages.
        window: as in `read_image`. NIfTI does not say what its numbers mean: signed integers and floats need one, and the name
            of a CT window states that they are HU.
        frame: slice from 0, counted upwards; "all" for the volume; in four dimensions (volume, slice) or (volume, "all").

    Raises:
        ImageError: if it cannot be read, or not without a guess.
        MissingExtraError: if nibabel is not installed.

    Source: https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields, https://nipy.org/nibabel/image_orientation.html
    """
    try:
        import nibabel  # noqa: F401
    except ImportError:
        raise MissingExtraError("nibabel", "medical", "Reading NIfTI") from None
    packed = file.read(2) == _GZIP
    size = file.seek(0, 2)
    file.seek(0)
    stream: Any = gzip.GzipFile(fileobj=file) if packed else Bounded(file)
    try:
        scan = _scan(stream, size, packed, where)
        return _pixels(scan, stream, packed, where, window, frame)
    except (EOFError, zlib.error, gzip.BadGzipFile, OSError) as error:
        raise ImageError(
            f"{where}: is cut off or damaged ({type(error).__name__}: {error}). Fetch it again."
        ) from error


def _scan(stream: Any, size: int, packed: bool, where: str) -> _Scan:  # noqa: ANN401
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
    if dtype.kind not in "uif" and dtype != _RGB:
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
    return _Scan(proxy, (shape[0], shape[1], shape[2]), shape[3], axes, forward, spacing, scale, tuple(notes))


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


def _pixels(
    scan: _Scan,
    stream: Any,  # noqa: ANN401
    packed: bool,
    where: str,
    window: WindowChoice | None,
    frame: Frame | None,
) -> Pixels:
    across, volume, number = _choice(scan, where, frame)
    through = scan.axes.index(across)
    rows, columns = (scan.axes.index(axis) for axis in _SHOWN[across])
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
    array = np.asarray(scan.data[(*index, volume)])
    if packed and number == "all" and volume == scan.volumes - 1:
        stream.read(1)  # the end of the stream holds its checksum
    kept = [through, rows, columns] if number == "all" else [rows, columns]
    array = array.transpose([sorted(kept).index(axis) for axis in kept])
    for place, axis in enumerate(kept):
        backwards = scan.forward[axis] if axis != through else not scan.forward[axis]
        array = np.flip(array, place) if backwards else array
    if array.dtype == _RGB:
        array = np.stack([array[name] for name in ("R", "G", "B")], axis=-1)
    array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    pixels = from_array(rescaled(array, *scan.scale), where, window=window, volume=number == "all")
    spacing = tuple(scan.spacing[axis] for axis in kept)
    return replace(pixels, spacing_mm=spacing, notes=(*notes, *scan.notes, *pixels.notes))


def _choice(scan: _Scan, where: str, frame: Frame | None) -> tuple[int, int, Any]:
    """The axis across the slices, the volume, and the slice or "all"."""
    across, volume = 2, 0
    flat = [axis for axis, side in zip(scan.axes, scan.shape, strict=True) if side == 1]
    if scan.volumes > 1:
        if not isinstance(frame, tuple):
            raise ImageError(
                f"{where}: holds {scan.volumes} volumes of {' x '.join(map(str, scan.shape))}; say which one with "
                f"frame=(0 to {scan.volumes - 1}, slice), or (volume, 'all')."
            )
        volume, frame = frame
    elif isinstance(frame, tuple):
        volume, frame = frame
    if not 0 <= volume < scan.volumes:
        raise ImageError(f"{where}: has no volume {volume}; it holds {scan.volumes}.")
    if frame is None and flat:  # a single slice, whichever way it lies
        across, frame = flat[0] if 2 not in flat else 2, 0
    count = scan.shape[scan.axes.index(across)]
    if frame == "all":
        return across, volume, frame
    if frame is None:
        raise ImageError(
            f"{where}: holds {count} slices; say which one with frame=0 to {count - 1} (counted upwards), or frame='all' for "
            "the volume."
        )
    if not isinstance(frame, int) or isinstance(frame, bool) or not 0 <= frame < count:
        raise ImageError(f"{where}: has no slice {frame!r}; it holds {count}, counted upwards from 0.")
    return across, volume, frame
