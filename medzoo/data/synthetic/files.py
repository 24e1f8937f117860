"""Tiny image files for the fake data sets of the task families; tests and demos read them like the real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def save_picture(path: Path, rng: np.random.Generator, mode: str = "L", side: int = 32) -> None:
    """Write an image of noise; the suffix gives the format.

    Args:
        path: the file; missing folders are created.
        rng: generator of the noise.
        mode: Pillow's "L", "RGB", or "I;16" for 16-bit grey.
        side: width and height in pixels.
    """
    from PIL import Image

    shape = (side, side, 3) if mode == "RGB" else (side, side)
    wide = mode == "I;16"
    array = rng.integers(0, 65536 if wide else 256, shape, dtype=np.uint16 if wide else np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def save_dicom(
    path: Path,
    rng: np.random.Generator,
    *,
    modality: str,
    photometric: str = "MONOCHROME2",
    bits: int = 12,
    side: int = 32,
    uids: tuple[str, str, str] | None = None,
    **elements: object,
) -> None:
    """Write a valid one-frame DICOM file of noise, explicit little endian.

    Args:
        path: the file; missing folders are created.
        rng: generator of the noise and, if `uids` is None, of the UIDs.
        modality: "DX", "CR" or "CT"; a CT has signed values with an intercept of -1024 HU.
        photometric: "MONOCHROME1" or "MONOCHROME2".
        bits: stored bits: 8, 12 or 16.
        side: width and height in pixels.
        uids: UIDs of study, series and image.
        elements: other elements by keyword, such as PatientSex="F".

    Raises:
        MissingExtraError: if pydicom is not installed.
    """
    from medzoo.data.images.dicom.file import need_pydicom

    need_pydicom("Writing DICOM files")
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, CTImageStorage, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

    base = f"1.2.826.0.1.3680043.8.498.{rng.integers(10**9)}"  # below pydicom's own root
    # Identifiers.
    study, series, image = uids or (f"{base}.1", f"{base}.2", f"{base}.3")
    storage = CTImageStorage if modality == "CT" else DigitalXRayImageStorageForPresentation
    meta, header = FileMetaDataset(), Dataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = storage, UID(image)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta = meta
    header.SOPClassUID, header.SOPInstanceUID = storage, image
    header.StudyInstanceUID, header.SeriesInstanceUID = study, series
    header.Modality, header.PatientID = modality, study
    header.Rows = header.Columns = side
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, photometric
    header.BitsAllocated, header.BitsStored, header.HighBit = (8 if bits == 8 else 16), bits, bits - 1
    # Pixels; a CT has signed values and a rescale to HU.
    signed = modality == "CT"
    header.PixelRepresentation = int(signed)
    values = rng.integers(-1024, 1024, (side, side)) if signed else rng.integers(0, 2**bits, (side, side))
    if signed:
        header.RescaleSlope, header.RescaleIntercept, header.RescaleType = 1, -1024, "HU"
        values = values + 1024
    for keyword, value in elements.items():
        setattr(header, keyword, value)
    header.PixelData = values.astype(np.uint8 if bits == 8 else "<i2" if signed else "<u2").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path, enforce_file_format=True)
