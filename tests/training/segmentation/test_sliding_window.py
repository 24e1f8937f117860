"""Windows cover the whole image, and a mean over them keeps a network that looks at single pixels."""

from itertools import pairwise

import pytest
import torch
from expect import raises
from hypothesis import given
from hypothesis import strategies as st

from medzoo.errors import UsageError
from medzoo.training.segmentation.sliding_window import slide, window_starts, window_weights


@given(size=st.integers(1, 60), more=st.integers(0, 200), overlap=st.floats(0, 0.9))
def test_windows_cover_every_pixel_and_overlap(size, more, overlap):
    length = size + more
    starts = window_starts(length, size, overlap)
    assert starts[0] == 0 and starts[-1] == length - size and starts == sorted(set(starts))
    steps = [after - before for before, after in pairwise(starts)]
    assert all(step <= max(1, size * (1 - overlap) + 1) and step <= size for step in steps)


def test_an_image_smaller_than_the_window_is_refused():
    with raises(UsageError, "image-smaller-than-window"):
        window_starts(30, 32, 0.5)


@pytest.mark.parametrize("shape", [(40, 40), (41, 67), (32, 50)])
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
def test_a_network_of_single_pixels_gives_the_same_as_on_the_whole_image(shape, overlap):
    images = torch.randn(3, 3, *shape, generator=torch.Generator().manual_seed(0))

    def model(x):
        assert x.shape[-2:] == (32, 32)
        return 2 * x[:, :2] + 1

    whole = torch.cat([2 * images[:, :2] + 1])
    assert torch.allclose(slide(model, images, 32, overlap=overlap, batch_size=5), whole, atol=1e-5)


def test_one_window_is_the_network_bit_for_bit():
    images = torch.randn(5, 3, 32, 32)
    assert torch.equal(slide(lambda x: x.sin(), images, 32, batch_size=2), images.sin())


def test_the_centre_of_a_window_counts_most():
    weights = window_weights(9)
    assert weights.argmax() == 40 and weights.min() > 0 and torch.allclose(weights, weights.flip(0))
