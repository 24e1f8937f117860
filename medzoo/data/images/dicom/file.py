"""Open a DICOM file: read the header, and leave the pixels in the file until a frame is read."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from medzoo.data.images.bounded_file import Bounded
from medzoo.data.images.pixels import VOLUME_LIMIT
from medzoo.errors import ImageError, MissingExtraError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

DEFLATED = "1.2.840.10008.1.2.1.99"
IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
INFLATED_LIMIT = VOLUME_LIMIT  # bytes
UNDEFINED = 0xFFFFFFFF  # the length of encapsulated pixels
_PIXELS = {0x0008: "FloatPixelData", 0x0009: "DoubleFloatPixelData", 0x0010: "PixelData"}
_LONG_VRS = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN")
_DIRECTORY = "1.2.840.10008.1.3.10"


@dataclass(frozen=True)
class DicomFile:
    """An opened DICOM file.

    Args:
        header: all elements before the pixels.
        stream: the open file, at any position.
        start: where the value of the pixel element begins in the stream.
        length: of the value in bytes, or `UNDEFINED`.
        keyword: "PixelData", "FloatPixelData" or "DoubleFloatPixelData"; "" if there are no pixels.
        vr: value representation of the pixels, "OB" or "OW"; "" where the syntax does not say.
        syntax: transfer syntax UID.
        where: for messages.
        notes: what was assumed to open it.
    """

    header: Dataset
    stream: BinaryIO
    start: int
    length: int
    keyword: str
    vr: str
    syntax: str
    where: str
    notes: tuple[str, ...] = ()


def need_pydicom(purpose: str = "Reading DICOM") -> Any:  # noqa: ANN401 - a module
    """The module pydicom.

    Raises:
        MissingExtraError: with the command that installs it.
    """
    try:
        import pydicom
    except ImportError:
        raise MissingExtraError("pydicom", "medical", purpose) from None
    return pydicom


def open_dicom(file: BinaryIO, where: str) -> DicomFile:
    """Read the header of a DICOM file.

    Args:
        file: seekable, at any position; it must stay open while frames are read.
        where: for messages.

    Raises:
        ImageError: if it is not a DICOM file, is cut off, or unpacks to too many bytes.
        MissingExtraError: if pydicom is not installed.
    """
    pydicom = need_pydicom()
    bounded = Bounded(file)
    _check_deflated(bounded, where)
    bounded.seek(0)
    try:
        header = pydicom.dcmread(bounded, stop_before_pixels=True, force=True)
    except Exception as error:  # parsers of untrusted bytes raise anything
        raise ImageError(
            f"{where}: not a complete DICOM file ({type(error).__name__}: {error}).", code="dicom-unreadable"
        ) from error
    meta = getattr(header, "file_meta", None) or {}
    if _DIRECTORY in (str(meta.get("MediaStorageSOPClassUID", "")), str(header.get("SOPClassUID", ""))):
        raise ImageError(
            f"{where}: a DICOMDIR, which is an index of files. Give the folder or the files that it lists.",
            code="dicomdir-not-image",
        )
    syntax = str(meta.get("TransferSyntaxUID") or "")
    notes: tuple[str, ...] = ()
    if not syntax:
        implicit, little = header.original_encoding
        syntax = IMPLICIT if implicit else EXPLICIT if little else BIG_ENDIAN
        notes = (f"no transfer syntax in the header; detected {'implicit' if implicit else 'explicit'} VR",)
    stream: Any = header.buffer if syntax == DEFLATED else bounded
    start, length, keyword, vr = _pixel_element(stream, ">" if syntax == BIG_ENDIAN else "<")
    if not len(header) and not keyword:
        raise ImageError(f"{where}: not a DICOM file, or cut off before its first element.", code="dicom-empty")
    return DicomFile(header, stream, start, length, keyword, vr, syntax, where, notes)


def _pixel_element(stream: BinaryIO, order: str) -> tuple[int, int, str, str]:
    """Start, length, keyword and VR of the pixel element that begins at the position of the stream."""
    head = stream.read(12)
    nothing = 0, 0, "", ""
    if len(head) < 8:
        return nothing
    group, element = struct.unpack(f"{order}HH", head[:4])
    explicit = head[4:6] in _LONG_VRS
    if group != 0x7FE0 or element not in _PIXELS or (explicit and len(head) < 12):
        return nothing
    (length,) = struct.unpack(f"{order}I", head[8:12] if explicit else head[4:8])
    start = stream.tell() - len(head) + (12 if explicit else 8)
    return start, length, _PIXELS[element], head[4:6].decode() if explicit else ""


def _check_deflated(file: Bounded, where: str) -> None:
    """Unpack a deflated data set once without storing it, so that a decompression bomb does not fill the memory."""
    file.seek(0)
    head = file.read(4096)
    at = head.find(DEFLATED.encode())
    if at < 0 or head[132:140] != b"\x02\x00\x00\x00UL\x04\x00":
        if at >= 0 and head[128:132] == b"DICM":
            raise ImageError(
                f"{where}: the file is deflated, and its file header does not give its own length.",
                code="deflated-header-length-missing",
            )
        return
    file.seek(144 + int.from_bytes(head[140:144], "little"))
    if at > file.tell():
        return  # the UID occurs in the data, not in the file header
    count_inflated(file, INFLATED_LIMIT, where)


def count_inflated(file: BinaryIO | Bounded, limit: int, where: str) -> int:
    """The number of bytes that a raw deflate stream unpacks to.

    Args:
        file: at the start of the stream.
        limit: bytes; more is an error.
        where: for messages.

    Raises:
        ImageError: if it unpacks to more than the limit, or is damaged.
    """
    unpacker, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    try:
        while not unpacker.eof and (chunk := unpacker.unconsumed_tail or file.read(1 << 16)):
            total += len(unpacker.decompress(chunk, 1 << 20))
            if total > limit:
                raise ImageError(
                    f"{where}: unpacks to more than {limit:,} bytes, which may be a decompression bomb. If the file is correct, "
                    "store it uncompressed.",
                    code="unpacked-too-large",
                )
    except zlib.error as error:
        raise ImageError(f"{where}: the deflated data are damaged ({error}).", code="deflated-data-damaged") from error
    return total
