import threading

import numpy as np
import pytest
from data_samples import INFO, make, rows
from PIL import Image
from safetensors import safe_open

from medzoo import paths
from medzoo.data import cache
from medzoo.data.cache import decoded, to_row
from medzoo.data.pixels import Pixels
from medzoo.data.task import Task, load_task
from medzoo.errors import DataContractError, ImageError, UsageError

TINY = "phantom_oct,n=70,n_validation=4,n_test=4"


class Given:
    """Images handed over as arrays."""

    def __init__(self, images):
        self.images, self.reads = images, 0

    def read(self, key):
        self.reads += 1
        image = self.images[int(key)]
        if isinstance(image, Exception):
            raise image
        return image


def task_of(images, channels=None, **other):
    ids = [str(n) for n in range(len(images))]
    info = INFO.__class__(**{**INFO.__dict__, "channels": channels, "groups": "none: made up", **other})
    return Task(info, {"train": rows(ids, [n % 2 for n in range(len(ids))])}, Given(images), "f" * 64)


def grey(value, size=(9, 7), dtype=np.uint8, scale=(0.0, 255.0)):
    return Pixels(np.full(size, value, dtype), scale, "grey")


def colour(value):
    return Pixels(np.full((5, 5, 3), value, np.uint8), (0.0, 255.0), "rgb")


def test_rows_are_the_images_in_order():
    task = load_task(TINY)
    data = decoded(task, "train", size=64)
    assert data.images.shape == (70, 64, 64) and data.images.dtype == np.uint8 and data.scale == 255
    for row in (0, 33, 69):
        assert (data.images[row] == task.read("train", row)[0].array).all()
    assert data.ids == task.column("train", "id") and data.groups == task.groups("train")
    assert (data.labels == task.labels("train")).all()
    assert isinstance(data.images, np.memmap) and not data.images.flags.writeable


def test_the_file_is_safetensors_that_says_how_it_was_made():
    decoded(load_task(TINY), "test", size=24)
    (path,) = (paths.home() / "decoded").glob("*.safetensors")
    with safe_open(path, "np") as file:
        assert file.get_tensor("images").shape == (4, 24, 24)
        assert "aspect not kept" in file.metadata()["resize"]
    assert len(list(path.parent.iterdir())) == 1


def test_the_second_time_nothing_is_decoded():
    task = task_of([grey(10), grey(20)])
    first = decoded(task, "train", size=8)
    assert task.reader.reads == 2
    again = decoded(task, "train", size=8)
    assert task.reader.reads == 2 and again.sha256 == first.sha256
    assert decoded(task, "train", size=9).sha256 != first.sha256


def test_resizing_is_antialiased_as_pillow_does_it():
    image = np.random.default_rng(0).integers(0, 256, (40, 60), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(image).resize((16, 16), Image.Resampling.BILINEAR))
    assert (to_row(Pixels(image, (0, 255), "grey"), 16) == expected).all()
    wide = to_row(Pixels(image.astype(np.uint16) * 257, (0, 65535), "grey"), 16)
    assert wide.dtype == np.uint16 and np.abs(wide / 257 - expected).max() <= 1


def test_wider_images_are_linear_over_their_range():
    row = to_row(Pixels(np.array([[-160, 40], [240, 240]], np.int16), (-160, 240), "HU"), 2)
    assert row.dtype == np.uint16 and row.tolist() == [[0, 32768], [65535, 65535]]
    assert to_row(grey(100, dtype=np.uint8, scale=(0, 200)), 4)[0, 0] == 32768


def test_a_mixed_split_becomes_colour_and_wide_without_losing_rows():
    images = [grey(n) for n in range(70)]
    images[66] = colour(200)
    data = decoded(task_of(images), "train", size=6)
    assert data.images.shape == (70, 6, 6, 3)
    assert [int(row[0, 0, 0]) for row in data.images] == [200 if n == 66 else n for n in range(70)]
    images[68] = grey(30_000, dtype=np.uint16, scale=(0.0, 65535.0))
    data = decoded(task_of(images, version="2", title="x").with_tables(task_of(images).tables), "train", size=7)
    assert data.images.dtype == np.uint16 and data.images.shape == (70, 7, 7, 3) and data.scale == 65535
    assert int(data.images[3, 0, 0, 1]) == 3 * 257 and int(data.images[68, 0, 0, 1]) == 30_000


def test_a_grey_task_keeps_colour_files_at_one_channel():
    assert decoded(task_of([colour(7), colour(9)], channels=1), "train", size=5).images.shape == (2, 5, 5)


@pytest.mark.parametrize("damage", ["truncate", "header", "empty", "other"])
def test_f32_a_damaged_file_is_built_again(damage):
    task = load_task(TINY)
    good = np.array(decoded(task, "test", size=16).images)
    (path,) = (paths.home() / "decoded").glob("*.safetensors")
    content = path.read_bytes()
    path.write_bytes(
        {
            "truncate": content[:-9],
            "header": b"\xff" * 16 + content[16:],
            "empty": b"",
            "other": content.replace(decoded(task, "test", size=16).sha256.encode(), b"0" * 64),
        }[damage]
    )
    assert (decoded(task, "test", size=16).images == good).all()


def test_an_unreadable_image_stops_the_build_and_leaves_nothing():
    task = task_of([grey(1), ImageError("scan7.png: is empty (0 bytes)."), grey(3)])
    with pytest.raises(ImageError, match=r"scan7.png"):
        decoded(task, "train", size=8)
    assert list((paths.home() / "decoded").iterdir()) == []


def test_several_builders_do_not_harm_each_other():
    task, found = load_task(TINY), []
    threads = [threading.Thread(target=lambda: found.append(decoded(task, "train", size=20))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all((data.images == found[0].images).all() for data in found)
    assert len(list((paths.home() / "decoded").iterdir())) == 1


def test_usage():
    with pytest.raises(UsageError, match="at least 1 pixel"):
        decoded(load_task(TINY), "test", size=0)
    with pytest.raises(UsageError, match="no split"):
        decoded(make(train=rows(["a", "b"], [0, 1])), "test", size=8)


def test_f28_a_full_disk_is_a_clear_error_and_leaves_nothing(monkeypatch):
    def full(self, at, given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache._Rows, "_write", full)
    with pytest.raises(DataContractError, match=r"cannot be written \(No space left on device\)"):
        decoded(load_task(TINY), "test", size=16)
    assert list((paths.home() / "decoded").iterdir()) == []
