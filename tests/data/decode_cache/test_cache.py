"""Decoded rows: the images as they are, decoded once for every split, fold and fraction, and as wide as they must be."""

import hashlib

import numpy as np
import pytest
import torch
from cache_samples import colour, grey, part_of, task_of
from data_samples import fake_task, make, rows
from expect import raises
from PIL import Image
from safetensors import safe_open

from medzoo import paths
from medzoo.data.decode_cache import cache, decode, decoder_hash
from medzoo.data.decode_cache.cache import content_key, decoded
from medzoo.data.decode_cache.rows import Rows, to_row
from medzoo.data.images.read import Pixels
from medzoo.data.readers.image_file import FileReader
from medzoo.data.task import Task
from medzoo.data.task_registry import load_task
from medzoo.data.transforms import resample
from medzoo.data.transforms.resample import resize_bytes, resize_taps
from medzoo.errors import ImageError, UsageError

TINY = "phantom_oct,n=70,n_validation=4,n_test=4"


def parts():
    return sorted((paths.home() / "decoded").glob("*/part-*.safetensors"))


def test_rows_are_the_images_in_order():
    task = load_task(TINY)
    data = decoded(task, "train", size=64)
    assert data.images.shape == (70, 64, 64) and data.images.dtype == np.uint8 and data.scale == 255
    for row in (0, 33, 69):
        assert (data.images[row] == task.read("train", row)[0].array).all()
    assert data.ids == task.column("train", "id") and data.groups == task.groups("train")
    assert (data.labels == task.labels("train")).all() and data.masks is None


def test_rows_are_indexed_like_an_array():
    images = decoded(load_task(TINY), "train", size=16).images
    whole = np.asarray(images)
    assert (
        isinstance(images, Rows) and whole.shape == images.shape and images.nbytes == whole.nbytes and len(images) == 70
    )
    for chosen in (3, -1, slice(5, 9), slice(None, None, 7), [4, 4, 0], np.arange(70) % 3 == 1, np.int64(2)):
        assert (images[chosen] == whole[chosen]).all() and images[chosen].flags.c_contiguous
    assert not images[2].flags.writeable  # the store is never changed
    with pytest.raises(IndexError):
        images[70]


def test_the_file_is_safetensors_that_says_how_it_was_made():
    task = load_task(TINY)
    decoded(task, "test", size=24)
    (path,) = parts()
    with safe_open(path, "np") as file:
        assert file.get_tensor("images").shape == (4, 24, 24)
        assert bytes(file.get_tensor("keys")).decode().count("test/") == 4
        facts = file.metadata()
    assert "aspect not kept" in facts["resize"] and facts["golden"] == decoder_hash.golden_hash()
    assert facts["key"] == content_key(task, 24) and facts["schema"] == "medzoo.decoded/2"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_second_time_nothing_is_decoded():
    task = task_of([grey(10), grey(20)])
    first = decoded(task, "train", size=8)
    assert len(task.reader._reads) == 2
    again = decoded(task, "train", size=8)
    assert len(task.reader._reads) == 2 and again.sha256 == first.sha256
    assert decoded(task, "train", size=9).sha256 != first.sha256


def test_a_fraction_decodes_its_rows_only_and_the_whole_the_others():
    task = task_of([grey(n) for n in range(40)])
    few = decoded(part_of(task, [30, 7, 2]), "train", size=8)
    assert sorted(map(int, task.reader._reads)) == [2, 7, 30] and few.images[:, 0, 0].tolist() == [30, 7, 2]
    whole = decoded(task, "train", size=8)
    assert len(task.reader._reads) == 40 and whole.images[:, 0, 0].tolist() == list(range(40))
    again = decoded(part_of(task, [30, 7, 2]), "train", size=8)
    assert len(task.reader._reads) == 40 and again.sha256 == few.sha256 != whole.sha256


def test_folds_fractions_and_seeds_share_one_store():
    for choices in ({"fold": 0}, {"fold": 3}, {"fraction": 0.3}, {"fraction": 0.3, "fold": 1}, {}):
        task = load_task(TINY, **choices)
        for split in task.tables:
            data = decoded(task, split, size=64)
            assert (data.images[-1] == task.read(split, len(data.ids) - 1)[0].array).all()
    (folder,) = (paths.home() / "decoded").iterdir()
    keys = [key for part in cache.store_of(task, 64)._parts() for key in part.row_keys()]
    assert len(keys) == len(set(keys)) == 78 and folder.name.startswith("phantom_oct-64px-")


def test_two_tasks_on_the_same_data_share_it():
    one = task_of([grey(1), grey(2)], name="findings")
    decoded(one, "train", size=8)
    other = Task(one.info.__class__(**{**one.info.__dict__, "name": "others"}), one.tables, one.reader, one.fingerprint)
    decoded(other, "train", size=8)
    assert len(one.reader._reads) == 2 and len(parts()) == 1


def test_an_image_that_stands_in_two_rows_is_decoded_once():
    task = task_of([grey(3), grey(4)])
    columns = {**rows(["a", "b", "c"], [0, 1, 0]), "image": ["1", "0", "1"]}
    twice = Task(task.info, {"train": columns}, task.reader, task.fingerprint)
    data = decoded(twice, "train", size=8)
    assert len(task.reader._reads) == 2 and data.images[:, 0, 0].tolist() == [4, 3, 4]


@pytest.mark.parametrize(
    "change", ["fingerprint", "version", "window", "channels", "reader", "decoder", "golden", "resize"]
)
def test_what_may_change_a_row_changes_the_key(change, monkeypatch):
    task = task_of([grey(1), grey(2)])
    before = content_key(task, 8)
    chosen = {"fingerprint": "e" * 64, "version": "2", "window": (0.0, 9.0), "channels": 1}
    if change in chosen:
        task = task_of([grey(1), grey(2)], **{change: chosen[change]})
    elif change == "reader":
        task.reader.window = "lung"
    elif change == "golden":
        monkeypatch.setattr(cache, "golden_hash", lambda: "0" * 64)
    else:
        monkeypatch.setattr(cache, {"decoder": "DECODER_VERSION", "resize": "RESIZE"}[change], "other")
    assert content_key(task, 8) != before


def test_the_golden_hash_follows_the_decoders(monkeypatch):
    before = decoder_hash.golden_hash()
    decoder_hash.golden_hash.cache_clear()
    assert decoder_hash.golden_hash() == before
    monkeypatch.setattr(
        decoder_hash, "decode_bytes", lambda data, where: Pixels(np.zeros((3, 3), np.uint8), (0, 255), "grey")
    )
    decoder_hash.golden_hash.cache_clear()
    assert decoder_hash.golden_hash() != before
    decoder_hash.golden_hash.cache_clear()


@pytest.mark.parametrize("shape", [(40, 60), (16, 16, 3), (7, 90, 3), (300, 5)])
@pytest.mark.parametrize("size", [1, 16, 45])
def test_resizing_is_antialiased_as_pillow_does_it_to_one_level(shape, size):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    ours = to_row(Pixels(image, (0, 255), "grey"), size).astype(int)
    assert np.abs(ours - np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))).max() <= 1
    assert (
        ours.shape == (size, size, *shape[2:])
        and (np.full_like(ours, 9) == resize_bytes(ours.astype("u1") * 0 + 9, size, size)).all()
    )


def test_resizing_is_closer_to_the_exact_filter_than_a_level():
    image = np.random.default_rng(0).integers(0, 256, (1024, 700), dtype=np.uint8)
    exact = image.astype(np.float64)
    for axis in (0, 1):
        side = exact.shape[axis]
        start, length = torch.zeros(1), torch.full((1,), side)
        index, weight = (value[0].numpy() for value in resize_taps(start, length, side, 224))
        exact = np.moveaxis((np.moveaxis(exact, axis, -1)[..., index] * weight).sum(-1), -1, axis)
    assert np.abs(resize_bytes(image, 224, 224) - exact).max() < 0.6  # half a level is the rounding itself


@pytest.mark.parametrize("shape", [(1, 1), (7, 90), (64, 64), (32, 32, 3), (61, 23, 3), (100, 80, 4), (180, 131)])
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (64, 64), (5, 77), (150, 224)])
def test_both_ways_to_resize_give_the_same_bits(shape, size, monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    image[:: max(1, shape[0] // 3)] = 255
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")  # fewer bits, where a program asks for them
    try:
        made = []
        for limit in (-1, 1 << 40):
            monkeypatch.setattr(resample, "_SMALL", limit)
            made.append(resize_bytes(image, *size))
    finally:
        torch.set_float32_matmul_precision(before)
    assert made[0].shape == (*size, *shape[2:]) and made[1].flags.c_contiguous and (made[0] == made[1]).all()


def test_resizing_gives_the_bits_it_always_gave():
    digest = hashlib.sha256()
    for shape in ((64, 48), (32, 32, 3), (300, 200)):
        image = (np.arange(np.prod(shape)) * 2654435761 % 2**32 >> 24).astype(np.uint8).reshape(shape)
        for size in ((28, 28), (224, 224)):
            digest.update(resize_bytes(image, *size).tobytes())
    assert digest.hexdigest()[:16] == "6af6e0adfbb7af4d"


def test_wider_images_are_linear_over_their_range():
    row = to_row(Pixels(np.array([[-160, 40], [240, 240]], np.int16), (-160, 240), "HU"), 2)
    assert row.dtype == np.uint16 and row.tolist() == [[0, 32768], [65535, 65535]]
    assert to_row(grey(100, dtype=np.uint8, scale=(0, 200)), 4)[0, 0] == 32768


def test_a_mixed_split_becomes_colour_and_wide_without_losing_rows():
    images = [grey(n) for n in range(70)]
    images[66] = colour(200)
    data = decoded(task_of(images), "train", size=6)
    assert data.images.shape == (70, 6, 6, 3) and data.scale == 255
    assert [int(row[0, 0, 0]) for row in data.images] == [200 if n == 66 else n for n in range(70)]
    images[68] = grey(30_000, dtype=np.uint16, scale=(0.0, 65535.0))
    wider = task_of(images, version="2")
    data = decoded(wider, "train", size=6)
    assert data.images.dtype == np.uint16 and data.images.shape == (70, 6, 6, 3) and data.scale == 65535
    assert int(data.images[3, 0, 0, 1]) == 3 * 257 and int(data.images[68, 0, 0, 1]) == 30_000
    narrow = decoded(part_of(wider, [0, 1, 2]), "train", size=6)  # as wide as its own widest row
    assert narrow.images.shape == (3, 6, 6) and narrow.scale == 255 and len(wider.reader._reads) == 70


def test_a_grey_task_keeps_colour_files_at_one_channel():
    assert decoded(task_of([colour(7), colour(9)], channels=1), "train", size=5).images.shape == (2, 5, 5)


def test_masks_keep_their_values_and_lie_beside_their_images():
    rng = np.random.default_rng(0)
    images = [Pixels(rng.integers(0, 256, (12, 20), dtype=np.uint8), (0.0, 255.0), "grey") for _ in range(5)]
    images[3] = colour(9, (12, 20))
    masks = [rng.integers(0, 3, (12, 20), dtype=np.uint8) for _ in range(5)]
    task = task_of(images, masks=masks)
    data = decoded(task, "train", size=16)
    assert data.images.shape == (5, 16, 16, 3) and data.masks.shape == (5, 16, 16) and data.masks.dtype == np.uint8
    for ours, mask in zip(data.masks, masks, strict=True):
        assert (ours == np.asarray(Image.fromarray(mask).resize((16, 16), Image.Resampling.NEAREST))).all()
    same = decoded(part_of(task, [3, 1]), "train", size=16)
    assert (same.masks[0] == data.masks[3]).all() and len(task.reader._reads) == 5
    assert decoded(task_of(images), "train", size=16).masks is None


@pytest.mark.parametrize(
    "wrong", [np.zeros((20, 12), np.uint8), np.zeros((12, 20), np.int64), np.zeros((12, 20, 1), np.uint8)]
)
def test_a_mask_that_does_not_lie_on_its_image_is_named(wrong):
    task = task_of([grey(1, (12, 20))] * 2, masks=[np.zeros((12, 20), np.uint8), wrong])
    with raises(ImageError, "mask-size-mismatch"):
        decoded(task, "train", size=8)


@pytest.mark.parametrize("name", ["chestxray14", "pneumoniamnist", "folder:PATH", "phantom_natural"])
def test_rows_do_not_depend_on_how_many_make_them(name, tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "ALONE_SECONDS", -1.0)  # helpers from the second row on
    task = fake_task(name, tmp_path / "data", n=60)
    assert bool(getattr(task.reader, "apart", False)) == isinstance(task.reader, FileReader)
    one, two, three = (decoded(task, "train", size=20, cache_dir=tmp_path / str(n), workers=n) for n in (1, 2, 3))
    assert one.sha256 == two.sha256 == three.sha256 and (np.asarray(one.images) == np.asarray(three.images)).all()


def test_usage():
    with raises(UsageError, "size-below-one"):
        decoded(load_task(TINY), "test", size=0)
    with raises(UsageError, "split-unknown"):
        decoded(make(train=rows(["a", "b"], [0, 1])), "test", size=8)
