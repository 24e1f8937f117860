"""Filling outside the field of view: one value or a range of them, both ends included, black whatever else is done."""

import numpy as np
import pytest
from dicom_samples import image, written

from medzoo.data.images.read import decode_bytes


def read(array, value, limit=None, signed=False, **elements):
    header = image(np.asarray(array), **elements)
    for keyword, number in (("PixelPaddingValue", value), ("PixelPaddingRangeLimit", limit)):
        if number is not None:
            setattr(header, keyword, number)
            header[keyword].VR = "SS" if signed else "US"
    return decode_bytes(written(header), "x")


RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize(("value", "limit"), [(250, 255), (255, 250), (100, 120), (7, 7), (7, None), (0, 3)])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_every_value_of_the_range_is_padding(value, limit, photometric):
    """In whichever order its ends are given; after the inversion, so that filling never turns white."""
    pixels = read(RAMP, value, limit, PhotometricInterpretation=photometric)
    low, high = sorted((value, value if limit is None else limit))
    inside = np.isin(RAMP, range(low, high + 1))
    shown = 255 - RAMP if photometric == "MONOCHROME1" else RAMP
    assert (pixels.array[inside] == 0).all() and (pixels.array[~inside] == shown[~inside]).all()
    assert any("padding" in note for note in pixels.notes)


def test_a_range_in_a_ct():
    """Signed stored values: filling at and below -1500 is the lowest HU, air beside it stays air."""
    stored = np.array([[-2000, -1800, -1500, -1499], [-1000, 0, 40, 1000]], np.int16).repeat(4, 0).repeat(4, 1)
    pixels = read(stored, -2000, -1500, signed=True, modality="CT", RescaleIntercept=0)
    expected = np.where(stored <= -1500, -1024, np.maximum(stored, -1024))
    assert pixels.unit == "HU" and (pixels.array == expected).all()
    assert any(note.startswith("48 padding pixels") for note in pixels.notes)
    upper = read(stored, 900, 1000, signed=True, modality="CT", RescaleIntercept=0)  # filling that would look like bone
    assert (upper.array[stored == 1000] == -1024).all() and (upper.array[stored == 40] == 40).all()


def test_without_a_padding_value_nothing_is_filling():
    """A limit alone means nothing (PS3.3 C.7.5.1.1.2), and a value that no pixel has changes none."""
    assert (read(RAMP, None, 100).array == RAMP).all()
    untouched = read(RAMP // 2, 200, 220)
    assert (untouched.array == RAMP // 2).all() and not any("padding" in note for note in untouched.notes)


def test_filling_is_the_lowest_of_a_window():
    """Also where the window's lower end is above what is stored."""
    stored = np.array([[0, 50, 100, 150, 200, 250]], np.uint8).repeat(6, 0)
    pixels = read(stored, 250, WindowCenter=150, WindowWidth=101)
    low, high = pixels.range
    assert (low, high) == (99.5, 199.5) and (pixels.array[stored == 250] == 100).all()
    assert (pixels.array[stored == 200] == 199).all()
