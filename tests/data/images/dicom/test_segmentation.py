"""DICOM SEG: masks with names, on the images that they were drawn on."""

import numpy as np
import pytest
from dicom_samples import RAMP, image, written
from expect import raises
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from medzoo.data.images.dicom.segmentation import read_dicom_seg
from medzoo.errors import ImageError

AXIAL = [1, 0, 0, 0, 1, 0]
SHAPE = (5, 7)  # 35 pixels: frames do not begin at whole bytes


def items(**elements):
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return Sequence([item])


def ct(folder, number):
    header = image(np.zeros(SHAPE, np.int16), modality="CT", SOPInstanceUID=f"1.9.{number}", FrameOfReferenceUID="1.7",
                   ImagePositionPatient=[0, 0, number], ImageOrientationPatient=AXIAL)  # fmt: skip
    (folder / f"ct{number}.dcm").write_bytes(written(header))
    return folder / f"ct{number}.dcm"


def seg(folder, masks, *, named=True, kind="BINARY", name="seg.dcm", shift=0.0, **elements):
    """A segmentation of (mask, segment, number of the CT slice) rows."""
    array = np.stack([mask for mask, _, _ in masks]).astype(np.uint8)
    header = image(array, modality="SEG", SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4", SegmentationType=kind,
                   FrameOfReferenceUID="1.7", **elements)  # fmt: skip
    if kind == "BINARY":
        header.BitsAllocated, header.BitsStored, header.HighBit = 1, 1, 0
        packed = np.packbits(array.ravel(), bitorder="little").tobytes()
        header.PixelData = packed + b"\0" * (len(packed) % 2)
    header.SegmentSequence = Sequence(
        [items(SegmentNumber=number, SegmentLabel=label)[0] for number, label in ((1, "Liver"), (2, "Lesion"))]
    )
    header.SharedFunctionalGroupsSequence = items(PlaneOrientationSequence=items(ImageOrientationPatient=AXIAL))
    frames = []
    for _, segment, number in masks:
        own = Dataset()
        own.PlanePositionSequence = items(ImagePositionPatient=[shift, 0, number])
        if kind != "LABELMAP":
            own.SegmentIdentificationSequence = items(ReferencedSegmentNumber=segment)
        if named:
            source = items(ReferencedSOPClassUID="1.2", ReferencedSOPInstanceUID=f"1.9.{number}")
            own.DerivationImageSequence = items(SourceImageSequence=source)
        frames.append(own)
    header.PerFrameFunctionalGroupsSequence = Sequence(frames)
    instances = [items(ReferencedSOPInstanceUID=f"1.9.{number}")[0] for number in range(3)]
    header.ReferencedSeriesSequence = items(SeriesInstanceUID="1.2.3", ReferencedInstanceSequence=Sequence(instances))
    (folder / name).write_bytes(written(header))
    return folder / name


LIVER = np.zeros(SHAPE, bool)
LIVER[1:4, 1:5] = True
LESION = np.zeros(SHAPE, bool)
LESION[2, 5] = True


@pytest.mark.parametrize("named", [True, False])
def test_masks_find_their_images_by_reference_or_by_place(tmp_path, named):
    found = read_dicom_seg(seg(tmp_path, [(LIVER, 1, 0), (LIVER[::-1], 1, 1), (LESION, 2, 0)], named=named))
    assert found.segments == {1: "Liver", 2: "Lesion"} and found.patient_id == "P1" and len(found.frames) == 3
    mask = found.mask_for(ct(tmp_path, 0))
    assert (mask == LIVER * 1 + LESION * 2).all() and mask.dtype == np.uint8
    assert (found.mask_for(ct(tmp_path, 1)) == LIVER[::-1]).all()
    assert found.mask_for(ct(tmp_path, 2)).max() == 0  # about this image, and nothing on it
    assert (found.mask_for(ct(tmp_path, 0), segments=[2]) == LESION * 2).all()
    with raises(ImageError, "segmentation-other-image"):
        found.mask_for(ct(tmp_path, 9))
    with raises(ImageError, "segments-unknown"):
        found.mask_for(ct(tmp_path, 0), segments=[3])


def test_two_segments_at_one_pixel_need_a_choice(tmp_path):
    found = read_dicom_seg(seg(tmp_path, [(LIVER, 1, 0), (LIVER, 2, 0)]))
    with raises(ImageError, "segments-overlap"):
        found.mask_for(ct(tmp_path, 0))
    assert (found.mask_for(ct(tmp_path, 0), segments=[2]) == LIVER * 2).all()


def test_fractions_and_label_maps(tmp_path):
    half = LIVER * np.uint8(100) + LESION * np.uint8(99)
    fractional = read_dicom_seg(seg(tmp_path, [(half, 1, 0)], kind="FRACTIONAL", MaximumFractionalValue=200))
    assert (fractional.mask_for(ct(tmp_path, 0)) == LIVER).all() and "one half" in fractional.notes[0]
    labels = read_dicom_seg(seg(tmp_path, [(LIVER * 1 + LESION * 2, 0, 0)], kind="LABELMAP"))
    assert (labels.mask_for(ct(tmp_path, 0)) == LIVER * 1 + LESION * 2).all()
    assert (labels.mask_for(ct(tmp_path, 0), segments=[2]) == LESION * 2).all()


def test_a_mask_that_lies_elsewhere_is_refused(tmp_path):
    with raises(ImageError, "segmentation-position-mismatch"):
        read_dicom_seg(seg(tmp_path, [(LIVER, 1, 0)], shift=3.0)).mask_for(ct(tmp_path, 0))
    with raises(ImageError, "segmentation-size-mismatch"):
        read_dicom_seg(seg(tmp_path, [(np.ones((4, 4), bool), 1, 0)])).mask_for(ct(tmp_path, 0))
    with raises(ImageError, "segments-not-listed"):
        read_dicom_seg(seg(tmp_path, [(LIVER, 7, 0)]))


def test_what_is_no_segmentation(tmp_path):
    with raises(ImageError, "not-a-segmentation"):
        read_dicom_seg(ct(tmp_path, 0))
    (tmp_path / "p.dcm").write_bytes(written(image(RAMP)))
    with raises(ImageError, "not-a-segmentation"):
        read_dicom_seg(tmp_path / "p.dcm")
    with raises(ImageError, "image-cannot-open"):
        read_dicom_seg(tmp_path / "none.dcm")
