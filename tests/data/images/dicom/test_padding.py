"""Padding of DICOM images, also where the stated value does not fit into the stored bits."""

import numpy as np
import pytest
from dicom_samples import compressed, image, jpeg_lossless, written
from pydicom import uid

from medzoo.data.images.dicom.padding import spans
from medzoo.data.images.read import decode_bytes

PADDED = np.zeros((6, 8), bool)
PADDED[:, :2] = True
TISSUE = np.linspace(24, 1800, 48).astype(int).reshape(6, 8)  # stored; HU with the intercept -1024


def header(cells, value, *, limit=None, vr=None, **elements):
    """A CT whose padding columns hold `cells`, with padding stated as `value` (to `limit`) in a VR of its own."""
    dtype = elements.pop("dtype", np.uint16)
    shift = elements.get("HighBit", elements.get("bits", 16) - 1) + 1 - elements.get("bits", 16)
    array = np.where(PADDED, 0, TISSUE << shift).astype(dtype)
    array[PADDED] = np.resize(np.asarray(cells), PADDED.sum()).astype(dtype)
    made = image(array, modality="CT", **elements)
    for keyword, number in (("PixelPaddingValue", value), ("PixelPaddingRangeLimit", limit)):
        if number is not None:
            made.add_new(keyword, vr or ("SS" if number < 0 else "US"), number)
    return made


def check(pixels, tissue=TISSUE - 1024):
    assert pixels.unit == "HU" and (pixels.array[PADDED] == -1024).all(), pixels.array
    assert (pixels.array[~PADDED] == tissue[~PADDED]).all()
    assert f"{PADDED.sum()} padding pixels set to the lowest value" in pixels.notes


@pytest.mark.parametrize(
    "cells, value, options",
    [
        (63536, 63536, {"bits": 12}),  # masked it would be 2096: 1072 HU
        (63536, -2000, {"bits": 12}),  # SS in an unsigned image
        (63536, 63536, {}),
        (-2000, -2000, {"dtype": np.int16}),
        (-2000, 63536, {"dtype": np.int16}),
        (-2000, -2000, {"dtype": np.int16, "bits": 12}),
        (-32768, -32768, {"dtype": np.int16, "bits": 12}),  # masked it would be 0
        (-4096, 61440, {"dtype": np.int16, "bits": 12}),
        (4096, 4096, {"bits": 12}),
        (63536, 63536, {"bits": 12, "HighBit": 15}),
        (0xFFFF, 0xFFFF, {"bits": 12, "HighBit": 13}),
        (16 * 4000, 4000, {"bits": 12, "HighBit": 15}),  # within the stored bits: in stored values
    ],
)
def test_padding_is_black_wherever_its_bits_lie(cells, value, options):
    check(decode_bytes(written(header(cells, value, **options)), "x"))


@pytest.mark.parametrize(
    "cells, value, limit, options",
    [
        ([63536, 63600, 65535], 63536, 65535, {"bits": 12}),
        ([63536, 63600, 65535], 65535, 63536, {"bits": 12}),
        ([63536, 63600, 65535], -2000, -1, {"bits": 12}),
        ([63536, 65535, 0, 5], -2000, 5, {"bits": 12}),
        ([4000, 4095, 4096, 9000], 4000, 9000, {"bits": 12}),  # on both sides of the highest stored value
        ([-2000, -1500, -1024], -2000, -1024, {"dtype": np.int16}),
        ([-2000, -1500, -1024], -1024, -2000, {"dtype": np.int16}),
        ([-2000, -1500, -1024], 63536, 64512, {"dtype": np.int16}),
        ([-2000, -1, 0, 3], 63536, 3, {"dtype": np.int16}),
        ([-9000, -2048, -1024], -9000, -1024, {"dtype": np.int16, "bits": 12}),
        ([0, 1, 2, 20], 0, 20, {}),
        ([0, 1, 2, 20], 20, 0, {}),
    ],
)
def test_a_range_of_padding_holds_both_ends(cells, value, limit, options):
    check(decode_bytes(written(header(cells, value, limit=limit, **options)), "x"))


def test_without_its_limit_only_the_value_is_padding():
    made = header([63536, 65535], 63536, limit=65535)
    del made.PixelPaddingRangeLimit
    pixels = decode_bytes(written(made), "x", window=(-1024, 70_000))
    assert (pixels.array[PADDED].reshape(-1, 2) == [-1024, 64511]).all()


def test_overlays_above_the_stored_bits_hide_no_padding_and_make_none():
    made = header(0, 0, bits=12)
    cells = np.frombuffer(made.PixelData, "<u2") | np.tile(np.array([0x8000, 0, 0x1000], np.uint16), 16)
    made.PixelData = cells.tobytes()
    check(decode_bytes(written(made), "x"))
    tissue = header(63536, 63536, bits=12)
    cells = np.frombuffer(tissue.PixelData, "<u2").reshape(6, 8).copy()
    cells[3, 4] = 2096 | 0x8000  # the value that the padding becomes when it is masked, under an overlay
    cells[4, 4] = 2096
    tissue.PixelData = cells.tobytes()
    pixels = decode_bytes(written(tissue), "x")
    assert (pixels.array[PADDED] == -1024).all() and (pixels.array[3:5, 4] == 1072).all()


def test_padding_of_every_frame_in_every_syntax():
    one = header(63536, 63536, bits=12)
    cells = np.frombuffer(one.PixelData, "<u2").reshape(6, 8)
    for syntax in (uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.DeflatedExplicitVRLittleEndian):
        check(decode_bytes(written(header(63536, 63536, bits=12), syntax), "x"))
    frames = image(np.stack([cells, cells]), modality="CT", bits=12, PixelPaddingValue=63536)
    frames["PixelPaddingValue"].VR = "US"
    volume = decode_bytes(written(frames), "x", frame="all")
    assert (volume.array[:, PADDED] == -1024).all() and (volume.array[:, ~PADDED] == (TISSUE - 1024)[~PADDED]).all()
    check(decode_bytes(compressed(one, [jpeg_lossless(cells, 16)], uid.JPEGLosslessSV1), "x"))
    lossless = header(63536, 63536, bits=12)
    lossless.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    lossless.compress(uid.RLELossless, generate_instance_uid=False)
    check(decode_bytes(written(lossless, uid.RLELossless), "x"))


def test_padding_of_films_and_windows():
    film = image(np.where(PADDED, 255, 100 + TISSUE // 20).astype(np.uint8), PhotometricInterpretation="MONOCHROME1")
    film.add_new("PixelPaddingValue", "US", 255)
    film.add_new("PixelPaddingRangeLimit", "US", 250)
    pixels = decode_bytes(written(film), "x")
    assert (pixels.array[PADDED] == 0).all() and (pixels.array[~PADDED] == 155 - (TISSUE // 20)[~PADDED]).all()
    lung = decode_bytes(written(header(63536, 63536, bits=12)), "x", window="lung")
    assert (lung.array[PADDED] == -1350).all() and lung.array.max() == 150


def test_a_value_that_no_pixel_can_hold_is_no_padding():
    film = image((TISSUE // 8).astype(np.uint8))
    film.add_new("PixelPaddingValue", "SS", -2000)  # 48 in the lower byte
    pixels = decode_bytes(written(film), "x")
    assert (pixels.array == TISSUE // 8).all() and pixels.notes == ()
    assert spans(300, 300, 8, signed=False) == [] and spans(250, 300, 8, signed=False) == [(250, 255)]


def test_float_pixels_have_padding_of_their_own():
    made = image(TISSUE.astype(np.uint16), modality="MR", PixelPaddingValue=24)
    made["PixelPaddingValue"].VR = "US"
    values = np.where(PADDED, -1e30, TISSUE / 10).astype(np.float32)
    del made.PixelData, made.BitsStored, made.HighBit, made.PixelRepresentation
    made.BitsAllocated, made.FloatPixelData, made.FloatPixelPaddingValue = 32, values.tobytes(), -1e30
    pixels = decode_bytes(written(made), "x", window=(-50, 200))
    assert (pixels.array[PADDED] == -50).all() and "12 padding pixels set to the lowest value" in pixels.notes
