"""Which of several statements of a header counts: a table before a window, a frame's own before what all frames share."""

import numpy as np
import pytest
from dicom_samples import RAMP, image, lut, window, written
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from medzoo.data.images.read import decode_bytes


def read(header, **options):
    return decode_bytes(written(header), "x", **options)


def test_a_window_of_width_one_is_a_threshold():
    """PS3.3 C.11.2.1.2.1: values above the center minus one half are white, all others black."""
    for center in (100, 100.0):
        pixels = read(image(np.array([[0, 98, 99, 100, 101, 255]], np.uint8).repeat(2, 0), **window(center, 1)))
        low, high = pixels.range
        assert ((pixels.array[0] - low) / (high - low)).tolist() == [0, 0, 0, 1, 1, 1]


def test_a_voi_table_counts_before_a_window():
    table = lut(4095 - np.arange(4096), bits=12)
    pixels = read(image(RAMP, bits=12, VOILUTSequence=Sequence([table]), **window(100, 50)))
    assert (pixels.array == 4095 - RAMP).all() and pixels.range == (0, 4095)


def test_tables_look_up_from_their_first_value_on():
    """Below it the first entry, beyond the last one the last; a first value of a signed image is signed."""
    entries = [10, 20, 40, 80]
    pixels = read(
        image(np.array([[0, 99, 100, 102, 103, 200]], np.uint8), VOILUTSequence=Sequence([lut(entries, 100, 8)]))
    )
    assert pixels.array.tolist() == [[10, 10, 10, 40, 80, 80]] and pixels.range == (0, 127)
    signed = np.array([[-300, -200, -199, -197, 0]], np.int16)
    pixels = read(image(signed, VOILUTSequence=Sequence([lut(entries, -200 % 65536, 8)])))
    assert pixels.array.tolist() == [[10, 10, 20, 80, 80]]


def group(name, **elements):
    inner, outer = Dataset(), Dataset()
    for keyword, value in elements.items():
        setattr(inner, keyword, value)
    setattr(outer, name, Sequence([inner]))
    return outer


@pytest.mark.parametrize(
    ("name", "elements", "header"),
    [
        ("PixelValueTransformationSequence", {"RescaleSlope": 1, "RescaleIntercept": -1000, "RescaleType": "HU"}, {}),
        ("PixelMeasuresSequence", {"PixelSpacing": [0.25, 0.75]}, {"RescaleSlope": 1, "RescaleIntercept": -1024}),
    ],
)
def test_a_frames_own_statement_counts_before_the_shared_one_and_both_before_the_header(name, elements, header):
    """Three ways to say one thing; each frame is asked by its number."""
    shared = {"RescaleSlope": 1, "RescaleIntercept": -500, "RescaleType": "HU", "PixelSpacing": [2, 2]}
    usual = {"RescaleSlope": 1, "RescaleIntercept": 0, "PixelSpacing": [9, 9], **header}
    file = image(np.stack([RAMP % 2000] * 2), modality="CT", **usual)
    file.SharedFunctionalGroupsSequence = Sequence([group(name, **{key: shared[key] for key in elements})])
    file.PerFrameFunctionalGroupsSequence = Sequence([Dataset(), group(name, **elements)])
    first, second = read(file, frame=0), read(file, frame=1)
    if "PixelSpacing" in elements:
        assert first.spacing_mm == (2, 2) and second.spacing_mm == (0.25, 0.75)
    else:
        stored = RAMP.astype(int) % 2000
        assert (first.array == stored - 500).all() and (second.array == stored - 1000).all()
    del file.PerFrameFunctionalGroupsSequence, file.SharedFunctionalGroupsSequence
    assert read(file, frame=1).spacing_mm == (9, 9)


def test_windows_of_single_frames():
    """Of an enhanced MR each frame is shown through its own window."""
    file = image(np.stack([RAMP, RAMP]), modality="MR", bits=12)
    file.PerFrameFunctionalGroupsSequence = Sequence(
        [group("FrameVOILUTSequence", WindowCenter=center, WindowWidth=401) for center in (1000, 2000)]
    )
    assert [read(file, frame=number).range for number in (0, 1)] == [(799.5, 1199.5), (1799.5, 2199.5)]
