"""One image as a stored row: linear over the range of its pixels, values beyond cut off first, masks by the nearest pixel."""

import numpy as np
import pytest
from torchvision.transforms.v2 import functional as tv

from medzoo.data.decode_cache.rows import to_mask_row, to_row, widened
from medzoo.data.images.pixels import Pixels


def test_a_row_is_linear_over_the_range():
    """Numbers by hand: the low end is 0, the high one 65535, the middle rounds to the nearer step."""
    pixels = Pixels(np.array([[-160, 240], [40, -60]], np.int16), (-160.0, 240.0), "HU")
    assert to_row(pixels, 2).tolist() == [[0, 65535], [32768, 16384]]
    thirds = Pixels(np.array([[1.0, 2.0], [0.0, 3.0]], np.float32), (0.0, 3.0), "grey")
    assert to_row(thirds, 2).tolist() == [[21845, 43690], [0, 65535]]


def test_values_beyond_the_range_are_cut_off_before_anything_is_mixed():
    """A metal implant of 20,000 HU does not shine into its neighbours when the image becomes smaller."""
    array = np.zeros((4, 4), np.int16)
    array[0, 0], array[3, 3] = 20_000, -20_000
    cut = Pixels(np.clip(array, -100, 100), (-100.0, 100.0), "HU")
    loud = Pixels(array, (-100.0, 100.0), "HU")
    for size in (2, 4, 3):
        assert (to_row(loud, size) == to_row(cut, size)).all()


@pytest.mark.parametrize("size", [5, 9, 20])
@pytest.mark.parametrize("colour", [False, True])
def test_a_smaller_row_is_antialiased(size, colour):
    """As torchvision's resize with antialiasing, for 8 and 16 bits, grey and colour."""
    import torch

    shape = (24, 30, 3) if colour else (24, 30)
    eight = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    planes = torch.from_numpy(eight.astype(np.float32)).reshape(24, 30, -1).permute(2, 0, 1)
    expected = tv.resize(planes, [size, size], antialias=True).permute(1, 2, 0).numpy().reshape(size, size, *shape[2:])
    row = to_row(Pixels(eight, (0.0, 255.0), "grey"), size)
    assert row.dtype == np.uint8 and np.abs(row - expected).max() <= 1
    wide = to_row(Pixels(eight.astype(np.uint16) * 257, (0.0, 65535.0), "grey"), size)
    assert wide.dtype == np.uint16 and np.abs(wide / 257 - expected).max() < 0.1


def test_a_mask_row_holds_only_values_of_the_mask():
    mask = np.zeros((12, 12), np.uint8)
    mask[3:9, 3:9] = 4
    for size in (5, 7, 31):
        row = to_mask_row(mask, size)
        assert row.shape == (size, size) and set(np.unique(row)) == {0, 4}
        assert abs((row == 4).mean() - 0.25) < 0.15


def test_a_wider_row_has_the_same_values():
    """255 is the top of 8 bits and 65535 that of 16: 255 x 257."""
    narrow = np.array([[0, 1, 128, 255]], np.uint8)
    assert widened(narrow, False, np.dtype("uint16")).tolist() == [[0, 257, 32896, 65535]]
    assert widened(narrow, True, np.dtype("uint8")).tolist() == [[[0] * 3, [1] * 3, [128] * 3, [255] * 3]]
