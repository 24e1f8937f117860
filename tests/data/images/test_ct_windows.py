"""Named windows, and numbers in their place."""

import numpy as np
import pytest
from expect import raises

import medzoo
from medzoo.data.images.ct_windows import HU_SCALE, WINDOWS, limits_of, parse_window, window_named
from medzoo.data.images.pixels import Pixels, apply_window
from medzoo.data.images.read import read_image, to_pixels
from medzoo.errors import ImageError, UsageError


def test_windows_are_what_their_source_says():
    """Width and level as https://radiopaedia.org/articles/windowing-ct lists them."""
    stated = {
        "lung": (1500, -600), "mediastinum": (350, 50), "heart": (600, 200), "abdomen": (400, 50), "liver": (150, 30),
        "spine": (250, 50), "bone": (1800, 400), "brain": (80, 40),
    }  # fmt: skip
    for name, (width, level) in stated.items():
        assert (WINDOWS[name].width, WINDOWS[name].level) == (width, level)
        assert window_named(name) == (level - width / 2, level + width / 2)
    assert HU_SCALE == (-1024, 3071) and all(row.source.startswith("https://") for row in WINDOWS.values())


def test_names_and_numbers():
    assert parse_window("lung") == "lung" and parse_window("-160:240") == (-160, 240)
    for wrong in ("lungs", "1:", "3:3", "a:b", "1:2:3", "", "nan:1"):
        with pytest.raises(UsageError):
            parse_window(wrong)
    for wrong in ((3, 3), (1,), (1, 2, 3), (float("nan"), 1), (0, float("inf")), 5, None):
        with raises(ImageError, "window-invalid"):
            limits_of(wrong)


def test_a_named_window_states_that_arrays_are_hu(tmp_path):
    values = np.linspace(-2000, 2000, 100).astype(np.int16).reshape(10, 10)
    pixels = to_pixels(values, window="bone")
    assert pixels.unit == "HU" and pixels.range == (-500, 1300) and pixels.array.min() == -500
    np.save(tmp_path / "ct.npy", values)
    assert (read_image(tmp_path / "ct.npy", window="bone").array == pixels.array).all()
    with raises(ImageError, "window-needs-hu"):
        to_pixels(values.astype(np.uint8), window="bone")
    assert apply_window(Pixels(values, HU_SCALE, "HU"), "brain").notes == ("window brain, 0 to 80",)


def test_a_transform_takes_a_name():
    values = np.array([[-2000, -600], [-600, 900]], np.int16).repeat(20, 0).repeat(20, 1)
    view = medzoo.transform("resnet18-random", size=40, window="lung")
    same = medzoo.transform("resnet18-random", size=40, window=(-1350, 150))
    assert (view(values) == same(values)).all()
    with pytest.raises(UsageError):
        medzoo.transform("resnet18-random", window="lungs")
