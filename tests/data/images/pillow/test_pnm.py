"""PGM and PPM files: the header states the scale."""

import io

import numpy as np
import pytest
from PIL import Image

import medzoo
from medzoo.data.images.read import decode_bytes, read_image, to_pixels
from medzoo.errors import ImageError

DEEP = (np.arange(20 * 30) * 6).astype(np.uint16).reshape(20, 30)
COLOUR = np.stack([DEEP, DEEP[::-1], DEEP // 2], -1)


def pnm(array, highest, *, plain=False, head="{kind}\n{width} {height}\n{highest}\n"):
    kind = ("P3" if plain else "P6") if array.ndim == 3 else ("P2" if plain else "P5")
    head = head.format(kind=kind, width=array.shape[1], height=array.shape[0], highest=highest).encode()
    if plain:
        return head + " ".join(map(str, array.ravel())).encode() + b"\n"
    return head + array.astype(">u2" if highest > 255 else "u1").tobytes()


@pytest.mark.parametrize("array", [DEEP, COLOUR])
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("highest", [3594, 4095, 10_000, 65535])
def test_the_highest_value_of_the_header_is_the_range(tmp_path, array, plain, highest):
    (tmp_path / "a.pgm").write_bytes(pnm(array, highest, plain=plain))
    pixels = read_image(tmp_path / "a.pgm")
    assert pixels.array.dtype == np.uint16 and (pixels.array == array).all() and pixels.range == (0, highest)
    assert pixels.unit == ("grey" if array.ndim == 2 else "rgb") and bool(pixels.notes) == (highest != 65535)


@pytest.mark.parametrize("highest", [1, 15, 100, 254, 256])
def test_few_levels(highest):
    array = (DEEP % (highest + 1)).astype(np.uint16)
    pixels = decode_bytes(pnm(array, highest), "x")
    assert (pixels.array == array).all() and pixels.range == (0, highest)


def test_eight_bits_are_as_ever():
    array = (DEEP % 256).astype(np.uint8)
    for plain in (False, True):
        pixels = decode_bytes(pnm(array, 255, plain=plain), "x")
        assert (pixels.array == array).all() and pixels.range == (0, 255) and pixels.notes == ()


def test_comments_and_blanks_in_the_header():
    for head in (
        "{kind} {width} {height} {highest} ",
        "{kind}\n# of a scanner, 99 1 7\n{width} {height}\n# more\n{highest}\n",
        "{kind}\r\n{width}\t{height}\n{highest}\n",
    ):
        assert (decode_bytes(pnm(DEEP, 4095, head=head), "x").array == DEEP).all()


def test_what_the_header_contradicts_is_refused():
    data = pnm(DEEP, 4095)
    text = pnm(DEEP, 4095, plain=True)
    for wrong in (
        data[:-1],
        data[:40],
        text[:-9],
        text.replace(b" 12 ", b" xx "),
        b"P5 0 4 4095 ",
        b"P5 90000 90000 4095 \0\0",
    ):
        with pytest.raises(ImageError):
            decode_bytes(wrong, "x")
    for highest in (3000, 70_000, 0):
        with pytest.raises(ImageError):
            decode_bytes(pnm(DEEP, highest), "x")
    with pytest.raises(ImageError):
        decode_bytes(data, "x", frame=1)


def test_a_window_takes_the_place_of_the_range():
    assert decode_bytes(pnm(DEEP, 4095), "x", window=(10, 2000)).range == (10, 2000)


def test_pillow_s_own_image_of_it_has_the_same_greys():
    opened = to_pixels(Image.open(io.BytesIO(pnm(DEEP, 4095))))
    assert np.allclose(opened.array / opened.range[1], DEEP / 4095, atol=1e-4)


def test_in_a_csv_with_its_scale(tmp_path):
    lines = ["image,label,patient_id"]
    for number in range(12):
        (tmp_path / f"{number}.pgm").write_bytes(pnm(DEEP, 4095))
        lines.append(f"{number}.pgm,{number % 2},p{number}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    task = medzoo.load_task(f"folder:{tmp_path}")
    assert task.read("train", 0)[0].range == (0, 4095)
    view = medzoo.transform("resnet18-random", size=20)
    assert view(tmp_path / "0.pgm").max() > 2  # white, and not a sixteenth of it
