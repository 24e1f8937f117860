"""Masks beside images: unions, partners by name, sizes."""

import numpy as np
from expect import raises
from PIL import Image

from medzoo.data.files.csv_rows import read_list
from medzoo.data.problems import collecting
from medzoo.data.readers.masks import MaskReader, by_stem, check_sizes, header_size, need_partners, read_pairs
from medzoo.errors import DataContractError, ImageError


def draw(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, dtype=np.uint8)).save(path)
    return path


def test_the_mask_of_several_files_is_their_union(tmp_path):
    draw(tmp_path / "a.png", [[0, 255], [0, 0]])
    draw(tmp_path / "b.gif", [[0, 0], [255, 0]])
    assert MaskReader(tmp_path).read_mask("a.png|b.gif").tolist() == [[0, 1], [1, 0]]
    assert MaskReader(tmp_path).read_mask("a.png").dtype == np.uint8
    draw(tmp_path / "c.png", [[0, 255, 0]])
    with raises(ImageError, "file-sizes-differ"):
        MaskReader(tmp_path).read_mask("a.png|c.png")


def test_grey_colour_palette_and_one_bit_masks_are_alike(tmp_path):
    array = np.zeros((4, 6), np.uint8)
    array[1:3, 2:5] = 255
    image = Image.fromarray(array)
    for name, mode in (("l.png", "L"), ("rgb.png", "RGB"), ("rgba.png", "RGBA"), ("p.gif", "P"), ("one.png", "1")):
        image.convert(mode).save(tmp_path / name)
        assert np.array_equal(MaskReader(tmp_path).read_mask(name), array // 255), name
    Image.fromarray(array // 255).save(tmp_path / "ones.png")  # 0 and 1 look black and are a mask
    assert MaskReader(tmp_path).read_mask("ones.png").sum() == 6


def test_masks_of_another_size_are_all_named(tmp_path):
    for name, shape in (("i1", (4, 5)), ("m1", (4, 5)), ("i2", (4, 5)), ("m2", (5, 4)), ("m3", (4, 6))):
        draw(tmp_path / f"{name}.png", np.zeros(shape))
    check_sizes(tmp_path, ["i1.png"], ["m1.png"], "t")
    with raises(DataContractError, "mask-size-mismatch"):
        check_sizes(tmp_path, ["i1.png", "i2.png"], ["m1.png", "m2.png|m3.png"], "t")


def test_a_turned_photograph_has_the_size_that_is_read(tmp_path):
    image, exif = Image.new("RGB", (6, 4)), Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert header_size(tmp_path / "turned.jpg") == (6, 4)
    (tmp_path / "no.png").write_bytes(b"x")
    assert header_size(tmp_path / "no.png") is None


def test_pairs_of_folders_with_and_without_splits(tmp_path):
    assert read_pairs(tmp_path, (".png",), "t") is None
    for name in ("a", "b"):
        draw(tmp_path / "images" / f"{name}.png", np.zeros((4, 4)))
        draw(tmp_path / "masks" / f"{name}.png", np.zeros((4, 4)))
    columns, splits = read_pairs(tmp_path, (".png",), "t")
    assert splits is None and columns["id"] == ["a", "b"] and columns["mask"] == ["masks/a.png", "masks/b.png"]
    other = tmp_path / "other"
    for folder, name in (("train", "a"), ("valid", "b"), ("test", "c")):
        for kind in ("images", "masks"):
            draw(other / folder / kind / f"{name}.png", np.zeros((4, 4)))
    columns, splits = read_pairs(other, (".png",), "t")
    assert dict(zip(columns["id"], splits, strict=True)) == {"a": "train", "b": "validation", "c": "test"}


def test_images_without_masks_and_masks_without_images_are_both_heard(tmp_path):
    draw(tmp_path / "images" / "a.png", np.zeros((4, 4)))
    draw(tmp_path / "images" / "b.png", np.zeros((4, 4)))
    draw(tmp_path / "masks" / "b.png", np.zeros((4, 4)))
    draw(tmp_path / "masks" / "c.png", np.zeros((4, 4)))
    with collecting() as found:
        columns, _ = read_pairs(tmp_path, (".png",), "t")
    assert columns["id"] == ["b"]
    assert "1 of 2 images have no image (there is only a mask)" in str(found[0]) and ": c." in str(found[0])
    assert "1 of 2 images have no mask" in str(found[1]) and ": a." in str(found[1])


def test_two_files_of_one_name_are_refused():
    with raises(DataContractError, "file-names-repeat"):
        by_stem(["x/a.png", "y/a.gif", "y/b.png"], "t")
    with raises(DataContractError, "partner-files-missing"):
        need_partners({"a"}, ["a", "b"], "t", "mask", "here", ".png")


def test_lists_of_names_with_blanks(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("benign (1).png\nnormal (22).png\n")
    assert read_list(path) == [["benign (1).png"], ["normal (22).png"]]
    path.write_text("a.png 0 1\nb.png b_mask.png\nbenign (1).png,2\n")
    assert read_list(path) == [["a.png", "0", "1"], ["b.png", "b_mask.png"], ["benign (1).png", "2"]]
