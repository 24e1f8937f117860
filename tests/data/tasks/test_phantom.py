import time

import numpy as np
import pytest
from expect import raises

from medzoo.data.synthetic.primitives import generator, smooth
from medzoo.data.task_registry import load_task
from medzoo.errors import UsageError

NAMES = ["phantom_natural", "phantom_chest", "phantom_ct", "phantom_oct"]


@pytest.mark.parametrize("name", NAMES)
def test_drawings_depend_on_name_seed_and_number_alone(name):
    first, larger = load_task(f"{name},n=30"), load_task(f"{name},n=60")
    other = load_task(f"{name},n=30,data_seed=1")
    for row in (29, 3, 17):
        image = first.read("train", row)[0].array
        assert (image == larger.read("train", row)[0].array).all()
        assert not np.array_equal(image, other.read("train", row)[0].array)
    assert (first.read("test", 5)[0].array == larger.read("test", 5)[0].array).all()
    assert len({load_task(f"{name},n=30").fingerprint, larger.fingerprint, other.fingerprint}) == 3
    assert first.name == f"{name},n=30" and load_task(f"{name},data_seed=0").name == name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [32, 65, 128])
def test_any_size_with_masks(name, size):
    task = load_task(f"{name},image_size={size}")
    covered = []
    for row in range(24):
        pixels, label = task.read("train", row)
        mask = task.read_mask("train", row)
        assert pixels.array.shape[:2] == mask.shape == (size, size) and set(np.unique(mask)) <= {0, 1}
        covered.append(mask.any())
        if task.classes[label] in ("none", "normal"):
            assert not mask.any()
    assert np.mean(covered) > 0.4


def test_kinds_and_units():
    natural, ct = load_task("phantom_natural"), load_task("phantom_ct")
    assert natural.read("train", 0)[0].array.shape == (64, 64, 3) and natural.read("train", 0)[0].unit == "rgb"
    pixels = ct.read("train", 0)[0]
    assert pixels.unit == "HU" and pixels.array.dtype == np.int16 and pixels.range == (-160, 240)
    assert "window -160 to 240" in pixels.notes
    assert pixels.array.min() == -160 and pixels.array.max() == 240  # air and bone are clipped
    assert [len(load_task("phantom_chest").tables[split]) for split in ("train", "validation", "test")] == [
        320,
        100,
        400,
    ]


@pytest.mark.parametrize("name", NAMES)
def test_classes_are_even_and_patients_have_several_images(name):
    task = load_task(name)
    counts = list(task.counts("train").values())
    assert max(counts) < 1.5 * min(counts)
    assert len(task.column("train", "id")) / len(set(task.groups("train"))) > 2.5


def test_images_of_one_patient_are_alike():
    task = load_task("phantom_chest,n=120")
    images = np.stack([task.read("train", row)[0].array[::4, ::4].astype(float).ravel() for row in range(120)])
    likeness, groups = np.corrcoef(images), np.array(task.groups("train"))
    same = (groups[:, None] == groups) & ~np.eye(120, dtype=bool)
    assert likeness[same].mean() > likeness[~same & ~np.eye(120, dtype=bool)].mean() + 0.01


@pytest.mark.parametrize("name", NAMES)
def test_drawing_is_fast(name):
    task = load_task(name)
    task.read("train", 0)
    start = time.process_time()
    for row in range(60):
        task.read("train", row)
    assert 60 / (time.process_time() - start) > 200  # images a second; several hundred more on an idle core


def test_smooth_noise_has_unit_variance_at_any_size():
    for size in (32, 64, 200):
        values = np.concatenate([smooth(generator("x", size, n), size, 8).ravel() for n in range(40)])
        assert abs(values.mean()) < 0.1 and abs(values.std() - 1) < 0.1


def test_too_small_to_hold_every_class():
    with raises(UsageError, "phantom-too-small"):
        load_task("phantom_natural,n=9")
    with raises(UsageError, "phantom-too-small", match="16 pixels"):
        load_task("phantom_oct,image_size=8")


@pytest.mark.parametrize(
    "name, mean, spread",
    [
        ("phantom_natural", 104.474, 56.805),
        ("phantom_chest", 123.060, 52.189),
        ("phantom_ct", -56.385, 117.742),
        ("phantom_oct", 51.576, 47.411),
    ],
)
def test_drawings_stay_what_they_are(name, mean, spread):
    """A changed picture is another data set: if this fails on purpose, raise VERSION in tasks/phantom.py."""
    task = load_task(name)
    images = np.stack([task.read("train", row)[0].array.astype(float) for row in range(24)])
    assert images.mean() == pytest.approx(mean, abs=0.02) and images.std() == pytest.approx(spread, abs=0.02)
