"""DICOM files written on the spot, and two encoders that no library of ours has: JPEG lossless, and JPEG of 12 bits."""

import io

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, CTImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

RAMP = (np.arange(12 * 20) * 17 % 4096).astype(np.uint16).reshape(12, 20)


def image(array, *, modality="DX", bits=None, **elements):
    """A data set of one frame (H, W), several (N, H, W), or colour (H, W, 3) and (N, H, W, 3); None leaves an element out."""
    array = np.asarray(array)
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.SOPClassUID = CTImageStorage if modality == "CT" else SecondaryCaptureImageStorage
    header.SOPInstanceUID = "1.2.3.4"
    header.Modality, header.PatientID, header.SeriesInstanceUID = modality, "P1", "1.2.3"
    colour = array.ndim > 2 and array.shape[-1] == 3
    several = array.ndim == (4 if colour else 3)
    header.SamplesPerPixel = 3 if colour else 1
    header.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        header.PlanarConfiguration = 0
    header.Rows, header.Columns = array.shape[1:3] if several else array.shape[:2]
    if several:
        header.NumberOfFrames = len(array)
    header.BitsAllocated = array.dtype.itemsize * 8
    header.BitsStored = bits or header.BitsAllocated
    header.HighBit = header.BitsStored - 1
    header.PixelRepresentation = int(array.dtype.kind == "i")
    if modality == "CT":
        header.RescaleSlope, header.RescaleIntercept, header.PixelSpacing = 1, -1024, [0.5, 0.5]
    for keyword, value in elements.items():
        if value is None:
            if keyword in header:
                delattr(header, keyword)
        else:
            setattr(header, keyword, value)
    header.PixelData = array.tobytes()
    header["PixelData"].VR = "OW" if header.BitsAllocated > 8 else "OB"
    return header


def written(header, syntax=ExplicitVRLittleEndian, **options):
    """The bytes of a file."""
    header.file_meta.TransferSyntaxUID = UID(syntax)
    header.file_meta.MediaStorageSOPClassUID = header.get("SOPClassUID", "1.2.3")
    header.file_meta.MediaStorageSOPInstanceUID = header.get("SOPInstanceUID", "1.2.3.4")
    if syntax == ExplicitVRBigEndian and header.BitsAllocated == 16:
        header.PixelData = np.frombuffer(header.PixelData, "<u2").astype(">u2").tobytes()
    buffer = io.BytesIO()
    header.save_as(buffer, enforce_file_format=True, implicit_vr=None, **options)
    return buffer.getvalue()


def compressed(header, frames, syntax):
    """The bytes of a file whose frames were encoded elsewhere."""
    header.PixelData = encapsulate(frames)
    header["PixelData"].VR = "OB"
    header["PixelData"].is_undefined_length = True
    return written(header, syntax)


def window(center, width, **more):
    return {"WindowCenter": center, "WindowWidth": width, **more}


def lut(entries, first=0, bits=16):
    """An item of a modality or VOI LUT sequence."""
    item = Dataset()
    item.LUTDescriptor = [len(entries) % 65536, first, bits]
    item.LUTData = [int(value) for value in entries]
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    item.ModalityLUTType = "US"
    return item


class _Bits:
    """Bits after one another, as JPEG wants them."""

    def __init__(self):
        self.text = []

    def put(self, value, count):
        if count:
            self.text.append(f"{value:0{count}b}")

    def number(self, value):
        """A signed number: its size as a code of five bits, then its bits."""
        size = int(abs(value)).bit_length()
        self.put(size, 5)
        self.put(value if value > 0 else value + 2**size - 1, size if size < 16 else 0)

    def data(self):
        text = "".join(self.text)
        text += "1" * (-len(text) % 8)
        raw = int(text, 2).to_bytes(len(text) // 8, "big")
        return raw.replace(b"\xff", b"\xff\x00")


def _segment(marker, body):
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def _codes_of_five_bits(kind, count):
    """A Huffman table in which the code of a size is that size, five bits long."""
    return _segment(0xC4, bytes([kind, 0, 0, 0, 0, count] + [0] * 11) + bytes(range(count)))


def jpeg_lossless(array, bits, predictor=1):
    """ITU-T T.81 H: each sample minus its neighbour (1 left, 2 above)."""
    height, width = array.shape
    out = _Bits()
    values = array.astype(int)
    for y in range(height):
        for x in range(width):
            if y == 0:
                guess = values[0, x - 1] if x else 2 ** (bits - 1)
            elif x == 0:
                guess = values[y - 1, 0]
            else:
                guess = values[y, x - 1] if predictor == 1 else values[y - 1, x]
            out.number((int(values[y, x]) - int(guess) + 32768) % 65536 - 32768)
    frame = bytes([bits]) + height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes([1, 1, 0x11, 0])
    scan = bytes([1, 1, 0, predictor, 0, 0])
    parts = [
        b"\xff\xd8",
        _segment(0xC3, frame),
        _codes_of_five_bits(0, 17),
        _segment(0xDA, scan),
        out.data(),
        b"\xff\xd9",
    ]
    return b"".join(parts)


def jpeg_blocks(means, bits=12):
    """A DCT JPEG (baseline of 8 bits, extended of 12) whose 8 x 8 blocks are flat, so that nothing is lost.

    Args:
        means: grey of each block.
        bits: a sample.
    """
    height, width = (8 * side for side in means.shape)
    out, before = _Bits(), 0
    for mean in means.ravel().tolist():
        level = 8 * (mean - 2 ** (bits - 1))
        out.number(level - before)
        out.put(0, 1)  # end of block
        before = level
    frame = bytes([bits]) + height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes([1, 1, 0x11, 0])
    parts = [
        b"\xff\xd8", _segment(0xDB, bytes([0]) + bytes([1]) * 64), _segment(0xC0 if bits == 8 else 0xC1, frame),
        _codes_of_five_bits(0, 16 if bits == 12 else 12), _segment(0xC4, bytes([0x10, 1] + [0] * 15) + b"\0"),
        _segment(0xDA, bytes([1, 1, 0, 0, 63, 0])), out.data(), b"\xff\xd9",
    ]  # fmt: skip
    return b"".join(parts)
