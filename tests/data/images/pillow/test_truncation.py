"""Pictures of which a part is missing are errors with the file's name, in every format that lets one know; whole ones are read."""

import io
import itertools
import re
import struct
import zlib

import numpy as np
import pytest
from dicom_samples import compressed, image
from expect import raises
from jpeg_samples import COLOUR, GREY, cut_scan, encoded, scan_start, without
from PIL import Image, ImageFile
from pydicom import uid

import medzoo
from medzoo.data.images.jpeg_markers import jpeg_stream
from medzoo.data.images.read import decode_bytes, read_image, to_pixels
from medzoo.errors import ImageError

EXIF = (
    b"\xff\xe1" + struct.pack(">H", 2 + 6 + 900) + b"Exif\0\0" + encoded(GREY[:16, :16], quality=20).ljust(900, b"\0")
)
JPEGS = {
    "grey": encoded(GREY, quality=90), "colour 4:2:0": encoded(COLOUR, quality=75), "colour 4:4:4": encoded(COLOUR, subsampling=0),
    "optimised": encoded(COLOUR, optimize=True, quality=30), "progressive": encoded(COLOUR, progressive=True),
    "progressive grey": encoded(GREY, progressive=True, quality=95), "restarts": encoded(GREY, restart_marker_blocks=3),
    "restarts, progressive": encoded(COLOUR, restart_marker_rows=1, progressive=True),
    "inks": encoded(Image.fromarray(COLOUR).convert("CMYK")),
    "thumbnail": encoded(GREY)[:2] + EXIF + encoded(GREY)[2:], "flat": encoded(np.full((40, 40), 128, np.uint8), optimize=True),
    "components of RGB": encoded(COLOUR, keep_rgb=True), "no marker": without(encoded(COLOUR), 0xE0),
    "no marker, RGB names": without(encoded(COLOUR, keep_rgb=True), 0xEE), "4:2:2": encoded(COLOUR, subsampling=1, quality=97),
    "one block": encoded(GREY[:8, :8]), "one pixel": encoded(COLOUR[:1, :1]),
}  # fmt: skip
DAMAGES = {
    "cut off": lambda data, at: data[:at],
    "zeros": lambda data, at: data[:at] + bytes(len(data) - at),
    "ones": lambda data, at: data[:at] + b"\xff" * (len(data) - at),
}  # fmt: skip


def refused(data, **options):
    try:
        decode_bytes(data, "scan.jpg", **options)
    except ImageError as error:
        return str(error).startswith("scan.jpg: ")
    return False


@pytest.mark.parametrize("name", JPEGS)
def test_whole_jpegs_are_read_as_pillow_reads_them(name):
    with Image.open(io.BytesIO(JPEGS[name])) as opened:
        wanted = np.asarray(opened.convert("RGB") if opened.mode == "CMYK" else opened)
    for data in (JPEGS[name], JPEGS[name] + bytes(300), JPEGS[name] + b"SEFT more of a phone \xff\xd8\xff\xe0 " * 9):
        assert (decode_bytes(data, "x").array == wanted).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_turned_as_its_camera_says(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    for array, options in ((GREY, {}), (COLOUR, {"progressive": True})):
        plain = decode_bytes(encoded(array, **options), "x").array
        pixels = decode_bytes(encoded(array, exif=exif, **options), "x")
        turned = {
            1: plain, 2: plain[:, ::-1], 3: plain[::-1, ::-1], 4: plain[::-1], 5: plain.swapaxes(0, 1), 6: np.rot90(plain, -1),
            7: np.rot90(plain, 2).swapaxes(0, 1), 8: np.rot90(plain),
        }[orientation]  # fmt: skip
        assert (pixels.array == turned).all() and bool(pixels.notes) == (orientation != 1)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_without_its_tail_is_refused_at_every_length(name, damage):
    data = JPEGS[name]
    for at in range(1, len(data)):
        assert refused(DAMAGES[damage](data, at)), at


def test_the_end_marker_of_a_thumbnail_is_none():
    data = JPEGS["thumbnail"]
    inner = data.index(b"\xff\xd9") + 2
    assert inner < scan_start(data) and jpeg_stream(data).stop == len(data) - 2
    assert refused(data[: scan_start(data) + 5]) and refused(data[:inner])


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8, 0.95])
@pytest.mark.parametrize(
    "name", ["grey", "colour 4:2:0", "colour 4:4:4", "progressive", "progressive grey", "restarts", "inks"]
)
def test_a_scan_that_ends_early_is_refused_although_an_end_marker_follows(name, share):
    assert refused(cut_scan(JPEGS[name], share))


def test_bytes_between_segments_are_skipped_as_decoders_do():
    data = JPEGS["colour 4:2:0"]
    at = data.index(b"\xff\xdb")
    for junk in (b"\0" * 9, b"\xff" * 5, b"\xff\0ab\xff\xff"):
        filled = data[:at] + junk + data[at:]
        assert (decode_bytes(filled, "x").array == decode_bytes(data, "x").array).all()
        assert refused(filled[:-2]) and refused(filled[:at] + bytes(len(filled) - at))
        header = image(COLOUR, PhotometricInterpretation="RGB")
        inside = decode_bytes(compressed(header, [filled], uid.JPEGBaseline8Bit), "x")
        assert np.abs(inside.array.astype(int) - decode_bytes(data, "x").array).mean() < 3


def test_scans_that_are_missing_are_refused():
    data = JPEGS["progressive"]
    ends, at = [], data.index(b"\xff\xda")
    while (
        found := re.compile(rb"\xff[\xc4\xda\xd9]").search(data, at + 2)
    ) is not None:  # tables, a scan or the end behind a scan
        at = data.find(b"\xff\xda", found.start())
        ends.append(found.start())
        if at < 0:
            break
    assert len(ends) > 5
    for end in ends[:-1]:
        assert refused(data[:end] + b"\xff\xd9"), end
    assert not refused(data[: ends[-1]] + b"\xff\xd9")


def test_restart_intervals_that_are_missing_are_refused():
    data = JPEGS["restarts"]
    places = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", data)]
    assert len(places) > 8
    for first, second in itertools.pairwise(places):  # libjpeg goes on behind a gap, which stays grey
        assert refused(data[:first] + data[second:])
    assert refused(data[: places[-1]] + b"\xff\xd9")


def test_two_images_without_an_end_between_them_are_refused():
    assert refused(JPEGS["grey"][:-2] + JPEGS["grey"]) and refused(JPEGS["grey"][:600] + JPEGS["grey"])


def test_a_program_that_asks_pillow_to_be_lenient_changes_nothing(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for data in (JPEGS["grey"], JPEGS["progressive"]):
        assert refused(data[:-200]) and refused(cut_scan(data, 0.6)) and not refused(data)
    for kind in ("PNG", "BMP", "TIFF", "GIF", "WEBP"):
        assert refused(encoded(GREY, kind)[:-90])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_every_way_in_refuses_a_cut_jpeg(tmp_path):
    whole, cut = JPEGS["grey"], JPEGS["grey"][:-2]
    (tmp_path / "scan.jpg").write_bytes(cut)
    with raises(ImageError, "image-cut-off"):
        read_image(tmp_path / "scan.jpg")
    view = medzoo.transform("resnet18-random", size=32)
    for given in (tmp_path / "scan.jpg", cut, Image.open(tmp_path / "scan.jpg"), Image.open(io.BytesIO(cut))):
        with pytest.raises(ImageError):
            to_pixels(given)
        with pytest.raises(ImageError):
            view(given)
    assert (to_pixels(Image.open(io.BytesIO(whole))).array == decode_bytes(whole, "x").array).all()
    loaded = Image.open(io.BytesIO(whole))
    loaded.load()
    assert to_pixels(loaded).array.shape == GREY.shape


def test_a_cut_jpeg_in_a_table_is_named_with_its_row(tmp_path):
    from datasets import ClassLabel, Dataset, Features
    from datasets import Image as ImageFeature

    cells = [{"bytes": JPEGS["grey"], "path": None}, {"bytes": cut_scan(JPEGS["grey"], 0.7), "path": None}] * 4
    features = Features(image=ImageFeature(), label=ClassLabel(names=["a", "b"]))
    for split in ("train", "validation", "test"):
        table = Dataset.from_dict({"image": cells, "label": [0, 1] * 4}, features=features)
        table.to_parquet(tmp_path / f"{split}.parquet")
    task = medzoo.load_task(f"parquet:{tmp_path}", groups="none")
    assert task.read("train", 0)[0].array.shape == GREY.shape
    with raises(ImageError, "image-cut-off"):
        task.read("train", 1)


@pytest.mark.parametrize("decoder", ["pylibjpeg", "pillow"])
@pytest.mark.parametrize("name", ["grey", "colour 4:2:0", "progressive", "restarts"])
def test_a_cut_jpeg_inside_dicom_is_refused(name, decoder, monkeypatch):
    from medzoo.data.images.dicom import frames as dicom_frames

    monkeypatch.setattr(dicom_frames, "_DECODERS", (decoder,))
    data, array = JPEGS[name], COLOUR if name in ("colour 4:2:0", "progressive") else GREY
    options = {"PhotometricInterpretation": "YBR_FULL_422"} if array.ndim == 3 else {}

    def inside(stream):
        return compressed(image(array, **options), [stream], uid.JPEGBaseline8Bit)

    assert not refused(inside(data)) and not refused(inside(data + bytes(40)))
    for at in range(4, len(data), 31):
        assert all(refused(inside(damage(data, at))) for damage in DAMAGES.values()), at
    assert all(refused(inside(cut_scan(data, share))) for share in (0.2, 0.5, 0.9))


@pytest.mark.parametrize("array", [GREY, COLOUR])
def test_jpeg_strips_of_a_tiff(array):
    """Pillow writes the strips, then the directory, then the tables that the strips share."""
    data = encoded(array, "TIFF", compression="jpeg", quality=90)
    with Image.open(io.BytesIO(data)) as opened:
        wanted = np.asarray(opened)
        strips = list(zip(opened.tag_v2[273], opened.tag_v2[279], strict=True))
        tables = data.index(opened.tag_v2[347])
        strips.append((tables, len(opened.tag_v2[347])))
    assert (decode_bytes(data, "x").array == wanted).all()
    for start, size in strips:
        stop = start + size
        for at in range(start + 4, stop, 13):
            for filler in (b"\0", b"\xff"):
                assert refused(data[:at] + filler * (stop - at) + data[stop:]), at
    start, size = strips[0]
    assert refused(data[:start] + cut_scan(data[start : start + size], 0.5).ljust(size, b"\0") + data[start + size :])


@pytest.mark.parametrize("damage", ["cut off", "zeros", "ones"])
@pytest.mark.parametrize("array", [GREY, COLOUR, GREY.astype(np.uint16) * 200])
def test_a_png_without_its_tail_is_refused_at_every_length(array, damage):
    data = encoded(array, "PNG")
    assert (decode_bytes(data, "x").array == array).all() and not refused(data + b"behind the end")
    for at in range(1, len(data), 3):
        assert refused(DAMAGES[damage](data, at)), at
    for at in range(len(data) - 14, len(data)):
        assert refused(DAMAGES[damage](data, at)), at


def test_a_png_whose_checksum_is_wrong_is_refused():
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = b"".join(b"\0" + row.tobytes() for row in GREY)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 48, 8, 0, 0, 0, 0))
    packed = chunk(b"IDAT", zlib.compress(rows, 0))  # stored: a changed byte is a changed pixel and no error of its own
    whole = b"\x89PNG\r\n\x1a\n" + header + packed + chunk(b"tEXt", b"a\0b") + chunk(b"IEND", b"")
    assert (decode_bytes(whole, "x").array == GREY).all()
    for at in range(len(whole) - 40 - 3000, len(whole) - 60, 97):
        assert refused(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    assert refused(whole[: whole.index(b"tEXt") - 5] + b"?" + whole[whole.index(b"tEXt") - 4 :])  # the checksum itself
    comment = whole.index(b"tEXt") + 5
    assert not refused(whole[:comment] + b"?" + whole[comment + 1 :])  # no picture hangs on it


@pytest.mark.parametrize("damage", ["cut off", "zeros", "ones"])
def test_a_gif_without_its_tail_is_refused_at_every_length(damage):
    frames = [Image.fromarray(GREY).convert("P"), Image.fromarray(GREY[::-1]).convert("P")]
    for data, frame in (
        (encoded(frames[0], "GIF"), None),
        (encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), 1),
    ):
        assert not refused(data, frame=frame)
        for at in range(1, len(data), 7):
            assert refused(DAMAGES[damage](data, at), frame=frame), at
        assert refused(data[:-1], frame=frame)


@pytest.mark.parametrize("kind, options", [("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {}),
                                           ("JPEG2000", {}), ("JPEG2000", {"no_jp2": True}), ("PPM", {})])  # fmt: skip
def test_other_formats_that_are_cut_off_are_refused(kind, options):
    data = encoded(COLOUR, kind, **options)
    assert not refused(data)
    for at in range(9, len(data) - 1, max(1, len(data) // 60)):
        assert refused(data[:at]), at
