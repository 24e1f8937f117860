"""Medical files that are broken, cut, or say more than they hold: an error that names the file, and no memory taken."""

import time
import tracemalloc
import zlib

import numpy as np
import pytest
from dicom_samples import RAMP, image, window, written
from expect import raises
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom import uid

from medzoo.data.images.dicom import file as dicom_files
from medzoo.data.images.read import decode_bytes, read_image
from medzoo.errors import ImageError, MedzooError

PLAIN = written(image(RAMP, bits=12, **window(1000, 2000)))
CT = written(image(RAMP.astype(np.int16), modality="CT"), uid.ImplicitVRLittleEndian)
BIG = written(image(RAMP, bits=12), uid.ExplicitVRBigEndian)
DEFLATED = written(image(RAMP, bits=12), uid.DeflatedExplicitVRLittleEndian)


@pytest.mark.parametrize("name", ["scan.dcm", "scan.nii.gz", "scan.jpg", "scan"])
@pytest.mark.parametrize("data, cause", [(b"", "image-file-empty"), (b"<html>please log in</html>", "image-is-html"),
                                         (b"no image at all, in words", "image-format-unknown")])  # fmt: skip
def test_f31_empty_files_web_pages_and_words_under_medical_names(tmp_path, name, data, cause):
    (tmp_path / name).write_bytes(data)
    with raises(ImageError, cause) as caught:
        read_image(tmp_path / name)
    assert name in str(caught.value)


@pytest.mark.parametrize("data", [PLAIN, CT, BIG, DEFLATED], ids=["explicit", "implicit", "big endian", "deflated"])
@pytest.mark.filterwarnings("ignore")
def test_f31_a_dicom_file_cut_anywhere_is_an_error(data):
    causes = ("dicom-empty", "dicom-unreadable", "dicom-without-pixels", "pixels-cut-off")
    for cut in [*range(140, len(data) - 2, 7), len(data) - 2]:  # the last byte may be padding
        with raises(ImageError, causes, match=r"^x: "):
            decode_bytes(data[:cut], "x")


def test_f33_sizes_beyond_any_image_are_refused():
    with raises(ImageError, "image-too-large"):
        decode_bytes(written(image(RAMP, Rows=65535, Columns=65535)), "x")
    with raises(ImageError, "pixels-cut-off"):
        decode_bytes(written(image(RAMP, NumberOfFrames=2_000_000)), "x", frame=0)
    with raises(ImageError, "volume-too-large"):
        decode_bytes(written(image(RAMP, NumberOfFrames=100_000_000)), "x", frame="all")


def test_f33_a_deflated_bomb_is_found_without_keeping_it(monkeypatch):
    monkeypatch.setattr(dicom_files, "INFLATED_LIMIT", 50_000_000)
    body_at = DEFLATED.index(b"1.2.840.10008.1.2.1.99")
    start = 144 + int.from_bytes(DEFLATED[140:144], "little")
    assert body_at < start
    plain = zlib.decompress(DEFLATED[start:], -15)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = DEFLATED[:start] + packer.compress(plain) + packer.compress(bytes(80_000_000)) + packer.flush()
    assert len(bomb) < 200_000
    tracemalloc.start()
    try:
        with raises(ImageError, "unpacked-too-large"):
            decode_bytes(bomb, "x")
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_f33_a_length_in_a_header_takes_no_memory():
    """An element that says it is 4 GB long."""
    at = PLAIN.index(b"\x28\x00\x04\x00CS")
    wild = PLAIN[:at] + b"\x09\x00\x01\x10OB\0\0\xf0\xff\xff\xff" + PLAIN[at:]
    tracemalloc.start()
    try:
        with pytest.raises(ImageError):
            decode_bytes(wild, "x")
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


wild_numbers = st.one_of(st.integers(0, 70), st.sampled_from([255, 256, 4095, 32767, 65535]))


@settings(max_examples=150)
@example({"RescaleSlope": 1e-160, "RescaleIntercept": 1.0}, None, None)  # all numbers become the same
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "Rows": wild_numbers, "Columns": wild_numbers, "BitsAllocated": st.sampled_from([0, 1, 7, 8, 12, 16, 32, 64, 999]),
            "BitsStored": wild_numbers, "HighBit": wild_numbers, "PixelRepresentation": st.integers(0, 3),
            "SamplesPerPixel": st.integers(0, 5), "PlanarConfiguration": st.integers(0, 2),
            "NumberOfFrames": st.integers(-1, 2**31 - 1),
            "PhotometricInterpretation": st.sampled_from(
                ["MONOCHROME1", "RGB", "YBR_FULL", "YBR_FULL_422", "PALETTE COLOR", "ARGB"]
            ),
            "RescaleSlope": st.floats(-1e9, 1e9), "RescaleIntercept": st.floats(-1e9, 1e9),
            "WindowCenter": st.floats(-1e9, 1e9), "WindowWidth": st.floats(-1e9, 1e9),
            "VOILUTFunction": st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID", "OTHER"]),
            "Modality": st.sampled_from(["CT", "MR", "PT", "DX", ""]),
            "PixelSpacing": st.sampled_from([[1, 2], [0, 0], [-1, 1], [3]]),
        },
    ),
    st.sampled_from([None, (0.0, 100.0), "full", "lung"]),
    st.sampled_from([None, 0, 1, "all"]),
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_wild_headers_give_an_image_or_an_image_error(elements, chosen, frame):
    """Whatever a header says, what comes back is finite, within its range, and no larger than what was stored."""
    elements = {key: f"{value:.8g}" if isinstance(value, float) else value for key, value in elements.items()}
    data = written(image(RAMP, **elements))
    begun = time.process_time()
    try:
        found = decode_bytes(data, "x", window=chosen, frame=frame)
    except MedzooError as error:
        assert isinstance(error, ImageError) and str(error).startswith("x")
    else:
        low, high = found.range
        values = found.array.astype(np.float64)
        assert low < high and np.isfinite(values).all() and found.array.size <= 8 * RAMP.nbytes * 3
        slack = 1e-3 * max(1, abs(low), abs(high))
        assert low - slack <= values.min() and values.max() <= high + slack
    assert time.process_time() - begun < 5


@settings(max_examples=200)
@given(
    st.sampled_from([PLAIN, CT, BIG, DEFLATED]),
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=6),
)
@pytest.mark.filterwarnings("ignore")
def test_damaged_dicom_gives_an_image_or_an_image_error(data, changes):
    damaged = bytearray(data)
    for place, value in changes:
        damaged[int(place * len(damaged))] = value
    try:
        assert decode_bytes(bytes(damaged), "x").array.size
    except MedzooError as error:
        assert isinstance(error, ImageError) and str(error).startswith("x")
