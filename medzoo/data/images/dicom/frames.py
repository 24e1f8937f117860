"""Decode one stored frame of a DICOM file. Sizes are checked before pydicom and its decoders read the data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from medzoo.data.images.dicom.colours import colours_of
from medzoo.data.images.dicom.file import UNDEFINED
from medzoo.data.images.jpeg_header import frame_header
from medzoo.data.images.pillow.truncation import ends_early, missing_from
from medzoo.errors import ImageError, MissingExtraError

if TYPE_CHECKING:
    from medzoo.data.images.dicom.file import DicomFile
    from medzoo.data.images.dicom.tags import DicomFacts

# A fixed order, because decoders differ by one grey level on lossy files.
_DECODERS = ("pylibjpeg", "pyjpegls", "pillow", "gdcm", "pydicom")
_LOSSY = {  # PS3.6 table A-1
    "1.2.840.10008.1.2.4.50": "JPEG baseline", "1.2.840.10008.1.2.4.51": "JPEG extended",
    "1.2.840.10008.1.2.4.81": "JPEG-LS near-lossless", "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.203": "HTJ2K",
}  # fmt: skip
_RLE = "1.2.840.10008.1.2.5"
_VIDEO = "1.2.840.10008.1.2.4.10"  # the prefix of MPEG-2, MPEG-4 and HEVC: .100 to .108
_END = b"\xff\xd9"  # of JPEG, JPEG-LS and JPEG 2000 streams


class StoredFrame(NamedTuple):
    """A decoded frame.

    Args:
        array: (H, W) or (H, W, 3), the stored bits only.
        photometric: photometric interpretation of these numbers.
        cells: as `array`, with all allocated bits.
    """

    array: np.ndarray
    photometric: str
    cells: np.ndarray


def stored_frame(opened: DicomFile, facts: DicomFacts, index: int, notes: list[str]) -> StoredFrame:
    """Decode one frame to its stored numbers; colour becomes RGB.

    Args:
        opened: the file.
        facts: how its pixels are stored.
        index: of the frame, from 0.
        notes: a list; conversions are appended to it.

    Raises:
        ImageError: if sizes disagree, the data are cut off, or no decoder reads them.
        MissingExtraError: if a decoder is not installed.
    """
    decoder = _decoder(opened)
    options = _options(opened, facts)
    source: Any = opened.stream
    # Compressed frames: check the stream and choose decoder and colours. Others: check the length.
    if decoder.is_encapsulated:
        data = _frame_data(opened, facts, index)
        _check_stream(data, opened, facts, index)
        options["decoding_plugin"] = _plugin(decoder, opened)
        if facts.samples == 3 and opened.syntax != _RLE:
            colours = colours_of(data, facts.photometric, opened.where)
            if colours.data is not data:
                source, index = _as_single_frame(colours.data, options), 0
            options["photometric_interpretation"] = colours.photometric
            notes += [colours.note] if colours.note else []
    else:
        _check_length(opened, facts, notes)
        if facts.allocated == 1 and facts.samples == 1:
            bits = _unpacked(opened, facts, index)
            return StoredFrame(bits, facts.photometric, bits)
    opened.stream.seek(opened.start)
    try:
        array, properties = decoder.as_array(source, index=index, raw=False, **options)
    except BaseException as error:  # decoders of untrusted bytes raise anything; the RLE decoder (Rust) a BaseException
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ImageError(
            f"{opened.where}: the pixels cannot be decoded from {decoder.UID.name} ({type(error).__name__}: {error}).",
            code="dicom-pixels-undecodable",
        ) from error
    # Record what the decoder converted, and keep only the stored bits.
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    photometric = str(properties["photometric_interpretation"])
    if photometric != facts.photometric and options["photometric_interpretation"] != photometric:
        notes.append(f"{facts.photometric} converted to {photometric}")
    if opened.syntax in _LOSSY:
        notes.append(f"lossy compression: {_LOSSY[opened.syntax]}")
    if opened.keyword != "PixelData":
        return StoredFrame(array, photometric, array)
    return StoredFrame(_used_bits(array, facts, not decoder.is_encapsulated, notes), photometric, array)


def _decoder(opened: DicomFile) -> Any:  # noqa: ANN401 - pydicom's Decoder
    from pydicom.pixels import get_decoder

    try:
        return get_decoder(opened.syntax)
    except NotImplementedError:
        if opened.syntax.startswith(_VIDEO):
            raise ImageError(
                f"{opened.where}: contains video ({opened.syntax}). Extract the frames, for example with ffmpeg.",
                code="dicom-video",
            ) from None
        raise ImageError(
            f"{opened.where}: pydicom does not decode the transfer syntax {opened.syntax}. Convert the file, for example with "
            "dcmtk's dcmconv or dcmdjpeg.",
            code="transfer-syntax-unsupported",
        ) from None


def _plugin(decoder: Any, opened: DicomFile) -> str:  # noqa: ANN401
    present = [name for name in _DECODERS if name in decoder.available_plugins]
    if not present:
        needed = "; ".join(sorted(set(decoder.missing_dependencies)))
        raise MissingExtraError(f"a decoder ({needed})", "medical", f"{opened.where}: decoding {decoder.UID.name}")
    return present[0]


def _options(opened: DicomFile, facts: DicomFacts) -> dict[str, Any]:
    from pydicom.pixels.utils import as_pixel_options
    from pydicom.uid import UID

    options = as_pixel_options(opened.header, number_of_frames=facts.frames)
    options |= {
        "transfer_syntax_uid": UID(opened.syntax),
        "pixel_keyword": opened.keyword,
        "rows": facts.rows,
        "columns": facts.columns,
        "samples_per_pixel": facts.samples,
        "bits_allocated": facts.allocated,
        "bits_stored": facts.stored,
        "photometric_interpretation": facts.photometric,
        "pixel_representation": int(facts.signed),
        "correct_unused_bits": False,
    }
    if opened.vr:
        options["pixel_vr"] = opened.vr
    if facts.samples == 3:
        options.setdefault("planar_configuration", 0)
    return options


def _check_length(opened: DicomFile, facts: DicomFacts, notes: list[str]) -> None:
    """Check that uncompressed pixels are as long as the header says, and complete."""
    samples = 2 if facts.photometric == "YBR_FULL_422" else facts.samples
    needed = math.ceil(facts.rows * facts.columns * facts.frames * samples * facts.allocated / 8)
    if opened.length == UNDEFINED:
        raise ImageError(
            f"{opened.where}: the pixels are compressed, but the header says they are not (transfer syntax {opened.syntax}).",
            code="pixels-compressed-undeclared",
        )
    available = min(opened.length, _size(opened) - opened.start)
    if available < needed:
        raise ImageError(
            f"{opened.where}: cut off, or its header is wrong: {facts.frames} x {facts.rows} x {facts.columns} pixels of "
            f"{facts.allocated} bits take {needed:,} bytes, but the file has {available:,}.",
            code="pixels-cut-off",
        )
    if available - needed >= needed // facts.frames:
        notes.append(f"{available - needed:,} bytes after the last declared frame ignored")


def _unpacked(opened: DicomFile, facts: DicomFacts, index: int) -> np.ndarray:
    """A frame of single bits. It may begin within a byte, where pydicom 3.0 reads one byte too few."""
    pixels = facts.rows * facts.columns
    first, last = index * pixels // 8, -(-(index + 1) * pixels // 8)
    opened.stream.seek(opened.start + first)
    packed = np.frombuffer(opened.stream.read(last - first), np.uint8)
    bits = np.unpackbits(packed, bitorder="little")
    start = index * pixels % 8
    return bits[start : start + pixels].reshape(facts.rows, facts.columns)


def _size(opened: DicomFile) -> int:
    opened.stream.seek(0, 2)
    return opened.stream.tell()


def _frame_data(opened: DicomFile, facts: DicomFacts, index: int) -> bytes:
    """The compressed data of a frame, its fragments joined."""
    from pydicom.encaps import get_frame

    opened.stream.seek(opened.start)
    tables: Any = (opened.header.get("ExtendedOffsetTable"), opened.header.get("ExtendedOffsetTableLengths"))
    extended = tables if all(tables) else None
    try:
        return get_frame(opened.stream, index, extended_offsets=extended, number_of_frames=facts.frames)
    except Exception as error:
        raise ImageError(
            f"{opened.where}: frame {index} is missing ({type(error).__name__}: {error}).", code="frame-missing"
        ) from error


def _as_single_frame(data: bytes, options: dict[str, Any]) -> bytes:
    """Encapsulate a frame as the only one of its pixel element."""
    from pydicom.encaps import encapsulate

    options["number_of_frames"] = 1
    options.pop("extended_offsets", None)
    return encapsulate([data])


def _check_stream(data: bytes, opened: DicomFile, facts: DicomFacts, index: int) -> None:
    """Check that a compressed frame is complete and has the header's size; decoders allocate memory for the stream's size."""
    if opened.syntax == _RLE:
        most = 2 * facts.samples * facts.allocated // 8 * facts.rows * facts.columns + 1024
        if len(data) > most:
            raise ImageError(
                f"{opened.where}: frame {index} has {len(data):,} bytes of RLE, more than the {most:,} possible for its size.",
                code="rle-too-long",
            )
        return
    header = frame_header(data)
    if header is None:
        raise ImageError(
            f"{opened.where}: frame {index} is not a JPEG, JPEG-LS or JPEG 2000 stream (it begins with {data[:4]!r}).",
            code="frame-stream-unknown",
        )
    if (header.height, header.width, header.channels) != (facts.rows, facts.columns, facts.samples):
        raise ImageError(
            f"{opened.where}: frame {index} is compressed as {header.width} x {header.height} with {header.channels} channels, "
            f"but the header says {facts.columns} x {facts.rows} with {facts.samples}.",
            code="frame-size-mismatch",
        )
    problem = "" if _END in data[-16:] else "it has no end marker"
    if header.coding in ("DCT", "lossless"):
        problem = missing_from(data)
    if not problem and header.coding == "DCT" and ends_early(data):
        problem = "a scan ends early"
    if problem:
        raise ImageError(
            f"{opened.where}: frame {index} is cut off, or its end is damaged ({problem}).", code="frame-cut-off"
        )


def _used_bits(array: np.ndarray, facts: DicomFacts, native: bool, notes: list[str]) -> np.ndarray:
    """The stored bits only: old files keep overlays in the bits above, and some files fill bits from the top."""
    shift = facts.high + 1 - facts.stored if native else 0
    if facts.allocated == 1 or (facts.stored == facts.allocated and not shift):
        return array
    kind = np.dtype(f"u{array.dtype.itemsize}")
    bits = (array.view(kind) >> kind.type(shift)) & kind.type(2**facts.stored - 1)
    if facts.signed:
        top = kind.type(2 ** (facts.stored - 1))
        bits = ((bits ^ top) - top).view(array.dtype)
    if shift:
        notes.append(f"pixels are stored in bits {shift} to {facts.high}")
    elif not np.array_equal(bits, array):
        notes.append(f"bits above the {facts.stored} stored ones dropped")
    return bits
