import io
import struct
import zlib

import numpy as np
import pytest
from expect import raises
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medzoo.data.images import pixels as arrays
from medzoo.data.images.read import Pixels, decode_bytes, read_image, to_pixels, with_channels
from medzoo.errors import ImageError, MedzooError

RAMP = np.arange(256 * 256, dtype=np.uint16).reshape(256, 256)
GREY = (np.arange(35 * 20) % 256).astype(np.uint8).reshape(20, 35)
NOISE = np.random.default_rng(0).integers(0, 255, (90, 90), np.uint8)
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_f33_sixteen_bit_png_keeps_every_level(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "ramp.png")
    pixels = read_image(tmp_path / "ramp.png")
    assert pixels.array.dtype == np.uint16 and (pixels.array == RAMP).all()
    assert pixels.range == (0, 65535) and pixels.unit == "grey"


def test_sixteen_bit_tiff_of_either_byte_order_keeps_every_level(tmp_path):
    for mode in ("I;16", "I;16B"):
        data = RAMP.astype("<u2" if mode == "I;16" else ">u2").tobytes()
        Image.frombytes(mode, (256, 256), data).save(tmp_path / "ramp.tif")
        array = read_image(tmp_path / "ramp.tif").array
        assert array.dtype == np.dtype("uint16") and (array == RAMP).all()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_give_the_stored_grey_or_colour(kind):
    colour = decode_bytes(encoded(Image.fromarray(COLOUR), kind, **({"lossless": True} if kind == "WEBP" else {})), "x")
    assert (colour.array == COLOUR).all() and colour.unit == "rgb" and colour.range == (0, 255) and colour.notes == ()
    if kind != "WEBP":  # which has no grey
        grey = decode_bytes(encoded(Image.fromarray(GREY), kind), "x")
        assert (grey.array == GREY).all() and grey.unit == "grey"


def test_jpeg_grey_stays_one_channel():
    assert decode_bytes(encoded(Image.fromarray(GREY), "JPEG"), "x").array.shape == (20, 35)


def test_one_bit_becomes_0_and_255_with_a_note():
    pixels = decode_bytes(encoded(Image.fromarray(GREY > 99)), "x")
    assert set(np.unique(pixels.array)) == {0, 255} and "1 bit" in pixels.notes[0]


@pytest.mark.parametrize("order", ["array", "tensor"])
def test_a_fourth_channel_is_alpha(order):
    """Of an array (H, W, 4) and of a tensor (4, H, W): the colours stay, and a note says what went."""
    import torch

    four = np.dstack([COLOUR, GREY])
    pixels = to_pixels(four if order == "array" else torch.from_numpy(four).permute(2, 0, 1))
    assert (pixels.array == COLOUR).all() and pixels.unit == "rgb" and pixels.notes == ("alpha dropped",)
    one = to_pixels(GREY[:, :, None] if order == "array" else torch.from_numpy(GREY[None]))
    assert (one.array == GREY).all() and one.unit == "grey"


@pytest.mark.parametrize("mode, channels", [("LA", 1), ("RGBA", 3)])
def test_alpha_is_dropped_with_a_note_that_says_whether_it_mattered(mode, channels):
    image = Image.fromarray(COLOUR).convert(mode)
    opaque = decode_bytes(encoded(image), "x")
    assert opaque.array.ndim == (2 if channels == 1 else 3) and opaque.notes == ("alpha dropped",)
    image.putalpha(Image.fromarray(GREY))
    assert "not opaque" in decode_bytes(encoded(image), "x").notes[0]


def test_f33_palette_and_cmyk_become_rgb_with_a_note():
    palette = decode_bytes(encoded(Image.fromarray(COLOUR).quantize(8)), "x")
    assert palette.array.shape == (20, 35, 3) and palette.notes == ("palette applied",)
    cmyk = decode_bytes(encoded(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"), "x")
    assert cmyk.array.shape == (20, 35, 3) and cmyk.notes == ("CMYK converted to RGB",)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_f33_exif_orientation_is_applied(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode_bytes(encoded(Image.fromarray(GREY), "PNG", exif=exif), "x")
    expected = {
        1: GREY, 2: GREY[:, ::-1], 3: GREY[::-1, ::-1], 4: GREY[::-1], 5: GREY.T, 6: np.rot90(GREY, -1),
        7: np.rot90(GREY, 2).T, 8: np.rot90(GREY),
    }[orientation]  # fmt: skip
    assert (pixels.array == expected).all()
    assert bool(pixels.notes) == (orientation != 1)


def test_f33_several_frames_need_a_choice(tmp_path):
    frames = [Image.fromarray(GREY // (n + 1)) for n in range(3)]
    frames[0].save(tmp_path / "stack.tif", save_all=True, append_images=frames[1:])
    with raises(ImageError, "frame-required"):
        read_image(tmp_path / "stack.tif")
    assert (read_image(tmp_path / "stack.tif", frame=2).array == GREY // 3).all()
    with raises(ImageError, "frame-out-of-range"):
        read_image(tmp_path / "stack.tif", frame=3)


def bomb():
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 30_000, 4_000, 8, 0, 0, 0, 0)  # between Pillow's warning and its error
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    "data, cause",
    [
        (b"", "image-file-empty"),
        (b"  <!DOCTYPE html><html>please log in", "image-is-html"),
        (b"not an image at all", "image-format-unknown"),
        (encoded(Image.fromarray(GREY))[:-40], "image-cut-off"),
        (encoded(Image.fromarray(NOISE), "JPEG")[:2000], "image-cut-off"),
        (b"\0" * 128 + b"DICM", "dicom-empty"),
        (b"\x5c\1\0\0" + b"\0" * 340 + b"n+1\0", "nifti-header-damaged"),
        (bomb(), "image-too-large"),
    ],
)  # fmt: skip
def test_f31_broken_files_name_file_and_cause(tmp_path, data, cause):
    (tmp_path / "scan.jpg").write_bytes(data)
    with raises(ImageError, cause) as caught:
        read_image(tmp_path / "scan.jpg")
    assert "scan.jpg" in str(caught.value)


def test_a_missing_file_is_clear(tmp_path):
    for name in ("none.png", "none.nii.gz", "none.nii.gz#3"):
        with raises(ImageError, "image-cannot-open"):
            read_image(tmp_path / name)


def test_f33_floats_need_a_range(tmp_path):
    Image.fromarray(GREY.astype(np.float32) - 20).save(tmp_path / "f.tif")
    with raises(ImageError, "pixel-range-unknown"):
        read_image(tmp_path / "f.tif")
    pixels = read_image(tmp_path / "f.tif", window=(-10, 50))
    assert pixels.array.dtype == np.float32 and pixels.range == (-10, 50)
    assert pixels.array.min() == -10 and pixels.array.max() == 50
    with raises(ImageError, "pixels-not-finite", match="NaN"):
        to_pixels(np.full((3, 3), np.nan), window=(0, 1))


def test_npy_files(tmp_path):
    np.save(tmp_path / "a.npy", RAMP)
    assert (read_image(tmp_path / "a.npy").array == RAMP).all()
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-7])
    with raises(ImageError, "npy-damaged"):
        read_image(tmp_path / "cut.npy")
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object), allow_pickle=True)
    with raises(ImageError, "npy-has-objects", match="pickle"):
        read_image(tmp_path / "o.npy")


def test_to_pixels_takes_what_people_have(tmp_path):
    import torch

    data = encoded(Image.fromarray(COLOUR))
    (tmp_path / "a.png").write_bytes(data)
    for thing in (
        Image.fromarray(COLOUR), COLOUR, tmp_path / "a.png", str(tmp_path / "a.png"), data,
        torch.from_numpy(COLOUR), torch.from_numpy(np.moveaxis(COLOUR, -1, 0).copy()), Pixels(COLOUR, (0, 255), "rgb"),
    ):  # fmt: skip
        assert (to_pixels(thing).array == COLOUR).all()
    assert to_pixels(GREY[..., None]).array.shape == GREY.shape
    for wrong in (
        None,
        3,
        np.zeros(4, np.uint8),
        np.zeros((2, 5, 5), np.uint8),
        np.zeros((4, 4), complex),
        np.zeros((0, 4)),
    ):
        with pytest.raises(ImageError):
            to_pixels(wrong)


def test_a_grey_task_reduces_equal_channels_and_notes_unequal_ones():
    same = with_channels(to_pixels(np.repeat(GREY[..., None], 3, 2)), 1)
    assert (same.array == GREY).all() and same.unit == "grey" and "equal" in same.notes[0]
    luma = with_channels(to_pixels(COLOUR), 1)
    assert np.abs(luma.array.astype(int) - np.asarray(Image.fromarray(COLOUR).convert("L")).astype(int)).max() <= 1
    assert "converted to grey" in luma.notes[0]
    assert with_channels(to_pixels(GREY), 3).array.ndim == 2


def test_a_window_clips_and_becomes_the_range():
    pixels = arrays.apply_window(Pixels(np.array([[-1000, 40, 900]], np.int16), (-1024, 3071), "HU"), (-160, 240))
    assert pixels.array.tolist() == [[-160, 40, 240]] and pixels.array.dtype == np.int16 and pixels.range == (-160, 240)
    with raises(ImageError, "window-invalid"):
        arrays.apply_window(pixels, (5, 5))
    with raises(ImageError, "window-outside-type"):
        arrays.apply_window(to_pixels(GREY), (-50, -20))


VALID = [encoded(Image.fromarray(COLOUR), kind) for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF")]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(VALID), st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=6))
@pytest.mark.filterwarnings("ignore")
def test_damaged_bytes_give_an_image_or_an_image_error(data, changes):
    damaged = bytearray(data)
    for place, value in changes:
        damaged[int(place * len(damaged))] = value
    try:
        assert decode_bytes(bytes(damaged), "x").array.size
    except MedzooError as error:
        assert isinstance(error, ImageError) and str(error).startswith("x")
