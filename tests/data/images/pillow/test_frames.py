"""Picture files of several images: phone JPEGs, animations of 16 bits, and the frames that are asked for."""

import io
import struct
import zlib

import numpy as np
import pytest
from jpeg_samples import COLOUR, GREY, encoded, scan_start
from PIL import Image

import medzoo
from medzoo.data.decode_cache.cache import decoded
from medzoo.data.images.read import decode_bytes, read_image, to_pixels
from medzoo.errors import ImageError

SMALL = COLOUR[::2, ::2]


def phone(first=COLOUR, *others, **options):
    """A JPEG with an index of several images, as phones and stereo cameras write it."""
    others = [Image.fromarray(other) for other in others or (SMALL,)]
    return encoded(Image.fromarray(first), "MPO", save_all=True, append_images=others, **options)


def alone(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def test_the_main_image_of_a_phone_jpeg_is_read_with_a_note():
    main = alone(encoded(COLOUR, "JPEG"))
    for data, count in ((phone(), 2), (phone(COLOUR, GREY), 2), (phone(COLOUR, SMALL, GREY), 3)):
        pixels = decode_bytes(data, "x")
        assert (pixels.array == main).all()
        assert any(f"main image of {count}" in note for note in pixels.notes)
        assert (decode_bytes(data, "x", frame=0).array == main).all()


def test_its_other_images_are_reached_by_number(tmp_path):
    (tmp_path / "a.jpg").write_bytes(phone(COLOUR, SMALL, GREY))
    preview, depth = read_image(tmp_path / "a.jpg#1"), read_image(tmp_path / "a.jpg", frame=2)
    assert (preview.array == alone(encoded(SMALL, "JPEG"))).all() and "image 1 of 3 in the file" in preview.notes
    assert (depth.array == alone(encoded(GREY, "JPEG"))).all() and depth.unit == "grey"
    for frame in (3, -1):
        with pytest.raises(ImageError):
            read_image(tmp_path / "a.jpg", frame=frame)


def test_a_gain_map_that_pillow_does_not_list_is_reached_too():
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x hdrgm:Version="1.0"/>'
    data = phone(COLOUR, GREY)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.n_frames == 2
    # Offsets count from the index, which lies behind the new segment; Pillow then takes the file for a plain JPEG.
    hdr = data[:2] + b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp + data[2:]
    with Image.open(io.BytesIO(hdr)) as opened:
        assert getattr(opened, "n_frames", 1) == 1
    assert any("main image of 2" in note for note in decode_bytes(hdr, "x").notes)
    assert decode_bytes(hdr, "x", frame=1).array.shape == GREY.shape


def test_damage_of_one_image_does_not_hide_the_others():
    data = phone(COLOUR, GREY)
    main = alone(encoded(COLOUR, "JPEG"))
    short = data[:-200]
    assert (decode_bytes(short, "x").array == main).all()
    with pytest.raises(ImageError):
        decode_bytes(short, "x", frame=1)
    edited = data[: data.index(b"\xff\xd9", scan_start(data)) + 2]  # an editor kept the index and not the preview
    assert (decode_bytes(edited, "x").array == main).all() and decode_bytes(edited, "x").notes == ()
    with pytest.raises(ImageError):
        decode_bytes(data[: scan_start(data) + 40], "x")
    index = data.index(b"MPF\0") + 4
    for at in range(index, index + 70):
        assert (decode_bytes(data[:at] + b"\xff" + data[at + 1 :], "x").array == main).all()


def test_a_phone_jpeg_that_pillow_opened_shows_the_frame_it_stands_at():
    opened = Image.open(io.BytesIO(phone(COLOUR, GREY)))
    assert to_pixels(opened).array.shape == COLOUR.shape
    opened.seek(1)
    assert to_pixels(opened).array.shape == GREY.shape


def test_class_folders_of_phone_jpegs(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(10):
            (tmp_path / name / f"{number}.jpg").write_bytes(phone(np.roll(COLOUR, number, 1)))
    task = medzoo.load_task(f"folder:{tmp_path}", groups="none")
    assert len(decoded(task, "train", size=16).images) == 14
    assert any("main image of 2" in note for note in task.read("train", 0)[0].notes)


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def animation(frames, colour_type, *, default=None, blend=0, boxes=None):
    """An animated PNG of 16 bits a channel, which Pillow does not write."""
    height, width = frames[0].shape[:2]

    def packed(array):
        return zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in array))

    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))]
    parts.append(chunk(b"acTL", struct.pack(">II", len(frames), 0)))
    count = 0
    if default is not None:
        parts.append(chunk(b"IDAT", packed(default)))
    for number, frame in enumerate(frames):
        top, left = (boxes or {}).get(number, (0, 0))
        box = struct.pack(">IIII", frame.shape[1], frame.shape[0], left, top)
        parts.append(chunk(b"fcTL", struct.pack(">I", count) + box + struct.pack(">HHBB", 1, 10, 0, blend)))
        count += 1
        if number or default is not None:
            parts.append(chunk(b"fdAT", struct.pack(">I", count) + packed(frame)))
            count += 1
        else:
            parts.append(chunk(b"IDAT", packed(frame)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


DEEP = {
    0: GREY.astype(np.uint16) * 251, 2: COLOUR.astype(np.uint16) * 251,
    4: np.stack([GREY.astype(np.uint16) * 251, np.full(GREY.shape, 65535, np.uint16)], -1),
    6: np.dstack([COLOUR.astype(np.uint16) * 251, np.full(GREY.shape, 65535, np.uint16)]),
}  # fmt: skip


@pytest.mark.parametrize("colour_type", DEEP)
@pytest.mark.parametrize("default", [False, True])
def test_animations_of_16_bits_need_a_choice_and_keep_all_bits(colour_type, default):
    frames = [DEEP[colour_type], DEEP[colour_type][::-1], DEEP[colour_type][:, ::-1]]
    data = animation(frames, colour_type, default=DEEP[colour_type] // 2 * 2 if default else None)
    shown = [DEEP[colour_type] // 2 * 2, *frames] if default else frames
    with pytest.raises(ImageError):
        decode_bytes(data, "x")
    for number, frame in enumerate(shown):
        pixels = decode_bytes(data, "x", frame=number)
        wanted = frame[..., 0] if colour_type == 4 else frame[..., :3] if colour_type == 6 else frame
        assert pixels.array.dtype == np.uint16 and (pixels.array == wanted).all()
        assert pixels.notes[0] == f"frame {number} of {len(shown)}"
    with pytest.raises(ImageError):
        decode_bytes(data, "x", frame=len(shown))


def test_frames_that_are_drawn_over_others_are_refused_and_the_first_is_read():
    part = animation([DEEP[2], DEEP[2][:10, :20]], 2, boxes={1: (3, 5)})
    over = animation([DEEP[6], DEEP[6]], 6, blend=1)
    for data in (part, over):
        assert (decode_bytes(data, "x", frame=0).array == DEEP[2]).all()
        with pytest.raises(ImageError):
            decode_bytes(data, "x", frame=1)
    opaque = animation([DEEP[2], DEEP[2][::-1]], 2, blend=1)
    assert (decode_bytes(opaque, "x", frame=1).array == DEEP[2][::-1]).all()


def test_a_damaged_frame_of_an_animation_is_refused():
    data = animation([DEEP[2], DEEP[2][::-1]], 2)
    at = data.index(b"fdAT") + 40
    with pytest.raises(ImageError):
        decode_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], "x", frame=1)


def test_an_animation_in_a_table_of_files(tmp_path):
    (tmp_path / "deep.png").write_bytes(animation([DEEP[2], DEEP[2][::-1]], 2))
    assert (read_image(tmp_path / "deep.png#1").array == DEEP[2][::-1]).all()
    single = encoded(GREY.astype(np.uint16) * 200, "PNG")
    (tmp_path / "one.png").write_bytes(single)
    assert (read_image(tmp_path / "one.png#0").array == GREY.astype(np.uint16) * 200).all()
    with pytest.raises(ImageError):
        read_image(tmp_path / "one.png", frame=1)


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "PPM"])
@pytest.mark.parametrize("width", [16, 40, 160])
def test_colour_of_8_bits_is_not_taken_for_16(kind, width):
    array = np.zeros((10, width, 3), np.uint8) + np.arange(width, dtype=np.uint8)[:, None] * np.array(
        [1, 2, 3], np.uint8
    )
    pixels = decode_bytes(encoded(array, kind), "x")
    assert (pixels.array == array).all() and pixels.notes == ()
