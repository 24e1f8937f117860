"""Picture files that Pillow reads otherwise than they mean."""

import io
import struct
import zlib

import numpy as np
import pytest
from dicom_samples import RAMP, jpeg_blocks, jpeg_lossless
from expect import raises
from PIL import Image

from medzoo.data.images.read import decode_bytes
from medzoo.errors import ImageError

GREY = (np.arange(35 * 20) % 256).astype(np.uint8).reshape(20, 35)
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(array, *, photometric=1, bits=None, sign=1, samples=1, order="<", orientation=None):
    """An uncompressed TIFF of one strip; sign is its SampleFormat: 1 unsigned, 2 signed, 3 float."""
    array = array.astype(array.dtype.newbyteorder(order))
    height, width = array.shape[:2]
    bits = bits or array.dtype.itemsize * 8
    data = array.tobytes()
    rows = [(256, 3, width), (257, 3, height), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, None),
            (274, 3, orientation or 1), (277, 3, samples), (278, 4, height), (279, 4, len(data)), (339, 3, sign)]  # fmt: skip
    start = 8 + 2 + 12 * len(rows) + 4
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(rows))
    for tag, kind, value in rows:
        value = start if value is None else value
        out += struct.pack(f"{order}HHI", tag, kind, 1)
        out += struct.pack(f"{order}HH", value, 0) if kind == 3 else struct.pack(f"{order}I", value)
    return out + b"\0\0\0\0" + data


def png(array, colour_type):
    """A PNG of 16 bits a channel."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = array.shape[:2]
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")]
    return b"".join(parts)


@pytest.mark.parametrize("order, dtype", [("<", np.uint8), (">", np.uint8), ("<", np.uint16)])
def test_f33_tiff_with_white_at_zero(order, dtype):
    """Pillow turns 8 bits round and forgets 16 (Pillow 13: TiffImagePlugin.OPEN_INFO)."""
    values = (RAMP % 251).astype(dtype)
    high = np.iinfo(dtype).max
    plain = decode_bytes(tiff(values, order=order), "x")
    white = decode_bytes(tiff(values, photometric=0, order=order), "x")
    assert (plain.array == values).all() and (white.array == high - values).all()
    assert plain.notes == () and white.notes == (("MinIsWhite, inverted",) if dtype == np.uint16 else ())


def test_a_tiff_that_pillow_does_not_know_is_named():
    for data in (tiff(RAMP, photometric=0, order=">"), tiff(RAMP.astype(np.float64), sign=3)):
        with raises(ImageError, "tiff-kind-unsupported"):
            decode_bytes(data, "x")


def test_f33_one_bit_tiff_with_white_at_zero():
    bits = np.tile(np.array([[1, 0, 0, 0, 0, 0, 0, 1]], np.uint8), (4, 1))
    packed = np.packbits(bits, axis=1)
    for photometric, expected in ((1, bits * 255), (0, 255 - bits * 255)):
        data = tiff(packed, photometric=photometric, bits=1)
        data = data.replace(struct.pack("<HHIHH", 256, 3, 1, 1, 0), struct.pack("<HHIHH", 256, 3, 1, 8, 0))
        assert (decode_bytes(data, "x").array == expected).all()


def test_f33_signed_and_wide_tiff():
    signed = (RAMP % 256).astype(np.uint8).view(np.int8)
    pixels = decode_bytes(tiff(signed, sign=2), "x", window=(-128, 127))
    assert pixels.array.dtype == np.int8 and (pixels.array == signed).all()
    with raises(ImageError, "pixel-range-unknown"):
        decode_bytes(tiff(signed, sign=2), "x")
    wide = RAMP.astype(np.uint32) * 2**20
    assert (decode_bytes(tiff(wide), "x", window=(0, 2**32 - 1)).array == wide).all()
    sixteen = RAMP.astype(np.int16) - 2000
    assert (decode_bytes(tiff(sixteen, sign=2), "x", window=(-2000, 3000)).array == sixteen).all()
    floats = decode_bytes(tiff(RAMP.astype(np.float32), sign=3, photometric=0), "x", window=(0, 4095))
    assert np.allclose(floats.array, 4095 - RAMP.astype(float)) and floats.notes[-1] == "MinIsWhite, inverted"


@pytest.mark.parametrize("colour_type, channels", [(2, 3), (6, 4), (4, 2)])
def test_f33_sixteen_bits_a_channel_of_png_are_kept(colour_type, channels):
    values = np.stack([RAMP * np.uint16(n + 3) for n in range(channels)], axis=-1)
    if channels in (2, 4):
        values[..., -1] = 65535
    pixels = decode_bytes(png(values, colour_type), "x")
    wanted = values[..., 0] if channels == 2 else values[..., :3]
    assert pixels.array.dtype == np.uint16 and pixels.range == (0, 65535) and (pixels.array == wanted).all()
    assert pixels.notes == (() if channels == 3 else ("alpha dropped",))
    with pytest.raises(ImageError):
        decode_bytes(png(values, colour_type)[:-60], "x")


def test_f33_greys_in_palettes_and_with_alpha_are_one_channel():
    mask = encoded(Image.fromarray(GREY > 99).convert("P"), "GIF")
    pixels = decode_bytes(mask, "x")
    assert pixels.array.shape == GREY.shape and ((pixels.array > 0) == (GREY > 99)).all() and pixels.unit == "grey"
    film = decode_bytes(encoded(Image.fromarray(GREY).convert("RGBA")), "x")
    assert (film.array == GREY).all() and film.notes == ("alpha dropped", "three equal channels reduced to one")
    assert decode_bytes(encoded(Image.fromarray(GREY).convert("RGB")), "x").array.shape == (20, 35, 3)


def test_f33_a_transparent_colour_is_noted():
    assert decode_bytes(encoded(Image.fromarray(GREY), transparency=7), "x").notes == ("transparent colour ignored",)


def test_f33_cmyk_of_adobe_and_without_its_marker():
    cmyk = Image.fromarray(np.zeros((16, 16, 3), np.uint8) + np.array([250, 20, 40], np.uint8)).convert("CMYK")
    data = encoded(cmyk, "JPEG", quality=95)
    assert b"Adobe" in data
    pixels = decode_bytes(data, "x")
    assert np.abs(pixels.array[8, 8].astype(int) - [250, 20, 40]).max() < 12 and pixels.notes == (
        "CMYK converted to RGB",
    )
    at = data.index(b"\xff\xee")
    plain = data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]
    assert "no Adobe marker" in decode_bytes(plain, "x").notes[0]


@pytest.mark.parametrize(
    "data, said",
    [(jpeg_blocks(np.full((2, 2), 900)), r"12 bits \(DCT\)"), (jpeg_lossless(RAMP, 16), r"16 bits \(lossless\)")],
)
def test_f33_jpegs_of_other_than_8_bits_are_named(data, said):
    with raises(ImageError, "jpeg-kind-unsupported"):
        decode_bytes(data, "x")


def test_baseline_jpeg_of_our_own_encoder_is_read():
    pixels = decode_bytes(jpeg_blocks(np.array([[0, 255], [128, 7]]), bits=8), "x")
    assert (pixels.array == np.kron(np.array([[0, 255], [128, 7]]), np.ones((8, 8)))).all()


def test_f33_orientation_of_tiff_and_deep_png():
    turned = decode_bytes(tiff(RAMP, orientation=6), "x")
    assert (turned.array == np.rot90(RAMP, -1)).all()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_damaged_exif_block_says_nothing():
    data = encoded(Image.fromarray(GREY), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert (decode_bytes(data, "x").array == GREY).all()
