"""Every transfer syntax gives the stored pixels; sizes inside of a stream are checked before a decoder sees it."""

import io
import warnings

import numpy as np
import pydicom
import pytest
from dicom_samples import RAMP, compressed, image, jpeg_blocks, jpeg_lossless, written
from expect import raises
from PIL import Image
from pydicom import uid

from medzoo.data.images.jpeg_header import frame_header
from medzoo.data.images.read import decode_bytes, read_image
from medzoo.errors import ImageError, MissingExtraError

COLOUR = np.stack([RAMP // 16, 255 - RAMP // 16, RAMP // 32], axis=-1).astype(np.uint8)
BLOCKS = np.array([[0, 4095, 100], [2048, 300, 7]])
FLAT = np.kron(BLOCKS, np.ones((8, 8), int)).astype(np.uint16)


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian,
                                    uid.DeflatedExplicitVRLittleEndian])  # fmt: skip
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_uncompressed_syntaxes(syntax, dtype):
    array = (RAMP - 1000 if dtype == np.int16 else RAMP // (16 if dtype == np.uint8 else 1)).astype(dtype)
    pixels = decode_bytes(written(image(array), syntax), "x", window="full")
    assert pixels.array.dtype == dtype and (pixels.array == array).all() and pixels.notes == ()


def test_uncompressed_colour_by_pixel_by_plane_and_in_odd_bytes():
    assert (decode_bytes(written(image(COLOUR)), "x").array == COLOUR).all()
    planes = image(COLOUR, PlanarConfiguration=1)
    planes.PixelData = np.moveaxis(COLOUR, -1, 0).tobytes()
    assert (decode_bytes(written(planes), "x").array == COLOUR).all()
    odd = COLOUR[:3, :5]
    for syntax in (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian):
        header = image(odd)
        header.PixelData += b"\0"
        assert (decode_bytes(written(header, syntax), "x").array == odd).all()


def test_ybr_full_becomes_rgb_with_a_note():
    ybr = np.asarray(Image.fromarray(COLOUR).convert("YCbCr"))
    pixels = decode_bytes(written(image(ybr, PhotometricInterpretation="YBR_FULL")), "x")
    assert np.abs(pixels.array.astype(int) - COLOUR).max() <= 3
    assert pixels.unit == "rgb" and pixels.notes == ("YBR_FULL converted to RGB",)


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEG2000Lossless])
@pytest.mark.parametrize("array", [RAMP, (RAMP // 16).astype(np.uint8), RAMP.astype(np.int16) - 2000, COLOUR])
def test_lossless_syntaxes_with_an_encoder(syntax, array):
    array = np.tile(array, (4, 3, 1)[: array.ndim])  # JPEG 2000 halves an image five times
    header = image(array)
    if array.ndim == 3 and syntax == uid.JPEG2000Lossless:
        header.PhotometricInterpretation = "YBR_RCT"
    header.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    header.compress(syntax, generate_instance_uid=False)
    pixels = decode_bytes(written(header, syntax), "x", window="full")
    assert pixels.array.dtype == array.dtype and (pixels.array == array).all()
    assert pixels.notes == (("YBR_RCT converted to RGB",) if header.PhotometricInterpretation == "YBR_RCT" else ())


@pytest.mark.parametrize("syntax, predictor", [(uid.JPEGLosslessSV1, 1), (uid.JPEGLossless, 2)])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_jpeg_lossless(syntax, predictor, bits):
    array = (RAMP.astype(int) * 2**bits // 4096).astype(np.uint8 if bits == 8 else np.uint16)
    data = compressed(image(array, bits=bits), [jpeg_lossless(array, bits, predictor)], syntax)
    pixels = decode_bytes(data, "x")
    assert (pixels.array == array).all() and pixels.range == (0, 2**bits - 1) and pixels.notes == ()


def test_jpeg_lossless_of_signed_ct():
    stored = RAMP.astype(np.int16) - 1000
    header = image(stored, modality="CT", RescaleIntercept=0)
    pixels = decode_bytes(compressed(header, [jpeg_lossless(stored.view(np.uint16), 16)], uid.JPEGLosslessSV1), "x")
    assert (pixels.array == np.clip(stored, -1024, 3071)).all()


def test_jpeg_extended_of_12_bits():
    data = compressed(image(FLAT, bits=12), [jpeg_blocks(BLOCKS)], uid.JPEGExtended12Bit)
    pixels = decode_bytes(data, "x")
    assert (pixels.array == FLAT).all() and pixels.range == (0, 4095)
    assert pixels.notes == ("lossy compression: JPEG extended",)


def test_jpeg_baseline_grey_and_colour():
    buffer = io.BytesIO()
    grey = (FLAT // 16).astype(np.uint8)
    Image.fromarray(grey).save(buffer, "JPEG", quality=95)
    pixels = decode_bytes(compressed(image(grey), [buffer.getvalue()], uid.JPEGBaseline8Bit), "x")
    assert np.abs(pixels.array.astype(int) - grey).max() <= 2 and pixels.notes == ("lossy compression: JPEG baseline",)
    buffer = io.BytesIO()
    flat = np.zeros((16, 16, 3), np.uint8) + np.array([200, 30, 60], np.uint8)
    Image.fromarray(flat).save(buffer, "JPEG", quality=95)
    header = image(flat, PhotometricInterpretation="YBR_FULL_422")
    pixels = decode_bytes(compressed(header, [buffer.getvalue()], uid.JPEGBaseline8Bit), "x")
    assert np.abs(pixels.array.astype(int) - flat).max() <= 3 and "YBR_FULL_422 converted to RGB" in pixels.notes


def sample(name):
    """A file that pydicom ships."""
    from pydicom.data import get_testdata_file

    path = get_testdata_file(name, download=False)
    assert path is not None, f"pydicom no longer ships {name}"
    return path


@pytest.mark.parametrize("name", ["MR_small_RLE", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless", "MR_small_implicit",
                                  "MR_small_bigendian", "MR_small_padded"])  # fmt: skip
def test_one_image_in_all_syntaxes_that_pydicom_ships(name):
    plain = read_image(sample("MR_small.dcm"))
    pixels = read_image(sample(f"{name}.dcm"))
    assert (pixels.array == plain.array).all() and pixels.range == plain.range and pixels.spacing_mm == plain.spacing_mm


def test_jpeg_ls_near_lossless_and_colour_lossless():
    assert "lossy compression: JPEG-LS near-lossless" in read_image(sample("JPEGLSNearLossless_16.dcm")).notes
    colour = read_image(sample("SC_rgb_jpeg_gdcm.dcm"))  # JPEG lossless
    assert (colour.array == read_image(sample("SC_rgb_rle.dcm")).array).all()


def test_the_frames_of_a_compressed_file():
    frames = [jpeg_lossless(RAMP + n, 12) for n in range(3)]
    data = compressed(image(np.stack([RAMP] * 3), bits=12), frames, uid.JPEGLosslessSV1)
    assert (decode_bytes(data, "x", frame=2).array == RAMP + 2).all()
    with raises(ImageError, "frame-out-of-range"):
        decode_bytes(data, "x", frame=3)
    assert decode_bytes(data, "x", frame="all").array.shape == (3, 12, 20)


def test_f33_a_stream_of_another_size_than_its_header_is_refused_before_decoding():
    data = compressed(image(RAMP[:6], bits=12), [jpeg_lossless(RAMP, 12)], uid.JPEGLosslessSV1)
    with raises(ImageError, "frame-size-mismatch"):
        decode_bytes(data, "x")
    huge = bytearray(jpeg_lossless(RAMP, 12))
    at = huge.index(b"\xff\xc3") + 5
    huge[at : at + 4] = b"\xff\xff\xff\xff"
    with raises(ImageError, "frame-size-mismatch", match="65535 x 65535"):
        decode_bytes(compressed(image(RAMP, bits=12), [bytes(huge)], uid.JPEGLosslessSV1), "x")
    with warnings.catch_warnings(), raises(ImageError, "frame-stream-unknown"):
        warnings.simplefilter("ignore")
        decode_bytes(compressed(image(RAMP), [b"not a stream at all"], uid.JPEG2000), "x")


@pytest.mark.parametrize("cut", [0.5, 0.9])
@pytest.mark.parametrize("kind", ["lossless", "j2k", "rle"])
def test_f31_cut_streams_are_errors(kind, cut):
    noise = np.random.default_rng(0).integers(0, 4096, (40, 40)).astype(np.uint16)
    header, syntax = image(noise, bits=12), uid.JPEGLosslessSV1
    if kind == "lossless":
        stream = jpeg_lossless(noise, 12)
    else:
        syntax = uid.JPEG2000Lossless if kind == "j2k" else uid.RLELossless
        header.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        header.compress(syntax, generate_instance_uid=False)
        stream = next(pydicom.encaps.generate_frames(header.PixelData, number_of_frames=1))
    with raises(ImageError, ("frame-cut-off", "dicom-pixels-undecodable"), match="x: "):
        decode_bytes(compressed(header, [stream[: int(cut * len(stream))]], syntax), "x")


def test_a_missing_decoder_is_named(monkeypatch):
    from pydicom.pixels import get_decoder

    decoder = get_decoder(uid.JPEGLosslessSV1)
    monkeypatch.setattr(decoder, "_available", {})
    data = compressed(image(RAMP, bits=12), [jpeg_lossless(RAMP, 12)], uid.JPEGLosslessSV1)
    with raises(MissingExtraError, "missing-a-decoder-gdcm-requires-gdcm-3-0-10"):
        decode_bytes(data, "x")


def test_video_and_unknown_syntaxes_are_named():
    header = image((RAMP // 16).astype(np.uint8))
    with raises(ImageError, "dicom-video"):
        decode_bytes(compressed(header, [b"\0" * 8], uid.MPEG4HP41), "x")
    with raises(ImageError, "transfer-syntax-unsupported"):
        decode_bytes(compressed(header, [b"\0" * 8], uid.UID("1.2.840.10008.1.2.4.94")), "x")


def test_compressed_pixels_under_an_uncompressed_name():
    data = compressed(image(RAMP, bits=12), [jpeg_lossless(RAMP, 12)], uid.JPEGLosslessSV1)
    data = data.replace(b"1.2.840.10008.1.2.4.70", b"1.2.840.10008.1.2.1\0\0\0")
    with raises(ImageError, "pixels-compressed-undeclared"):
        decode_bytes(data, "x")


def test_sizes_in_streams():
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).save(buffer, "JPEG2000")
    found = frame_header(buffer.getvalue())
    assert (found.width, found.height, found.channels, found.bits, found.coding) == (20, 12, 3, 8, "JPEG 2000")
    found = frame_header(jpeg_lossless(RAMP, 12))
    assert (found.width, found.height, found.bits, found.coding) == (20, 12, 12, "lossless")
    for broken in (
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xda\0\0",
        b"\xff\xd8\x00\x00\x00\x00",
        b"\xff\x4f\xff\x51",
        b"GIF89a",
    ):
        assert frame_header(broken) is None


def test_f31_damaged_rle_is_an_error_though_its_decoder_panics():
    """pylibjpeg-rle is written in Rust; what it raises on damaged data is no Exception."""
    header = image(np.tile(RAMP, (4, 3)), bits=12)
    header.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    header.compress(uid.RLELossless, generate_instance_uid=False)
    data = written(header, uid.RLELossless)
    start = data.rindex(b"\xfe\xff\x00\xe0") + 8 + 64
    found = 0
    for place in range(start, start + 400, 3):
        damaged = bytearray(data)
        damaged[place] ^= 0x80
        try:
            decode_bytes(bytes(damaged), "x")
        except ImageError:
            found += 1
    assert found
