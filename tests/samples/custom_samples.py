"""Small data sets of a user's own: tables, folders and DICOM files, written in a line each."""

from pathlib import Path

import numpy as np
from PIL import Image


def png(path, value=0, size=(6, 5)):
    """A grey PNG of one value, and the folders above it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, value % 256, np.uint8)).save(path, "PNG")
    return path


def table(root, header, rows, name="labels.csv", separator=","):
    """Images, named by the first cell of each row, and a table beside them; the task's name."""
    root.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows):
        png(root / str(row[0]), number)
    lines = [separator.join(map(str, row)) for row in [header, *rows]]
    (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"folder:{root}"


def tree(root, paths):
    """Images at these paths; the task's name."""
    for number, path in enumerate(paths):
        png(root / path, number)
    return f"folder:{root}"


def dicom(path, patient="P", series=None, study=None, value=0):
    """A secondary capture of 8 x 8 pixels."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    facts = {
        "SOPClassUID": meta.MediaStorageSOPClassUID, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID, "Modality": "OT",
        "PatientID": patient, "SeriesInstanceUID": generate_uid() if series is None else series,
        "StudyInstanceUID": generate_uid() if study is None else study, "Rows": 8, "Columns": 8, "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
        "PixelRepresentation": 0,
    }  # fmt: skip
    for key, fact in facts.items():
        setattr(data, key, fact)
    data.PixelData = np.full((8, 8), value % 256, np.uint8).tobytes()
    data["PixelData"].VR = "OW"
    data.save_as(path, enforce_file_format=True)
    return path


def words(task):
    """id → split."""
    return {key: split for split in task.tables for key in task.column(split, "id")}
