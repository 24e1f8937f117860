"""Filters as text and back."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from medzoo.analysis.weight_space.filters import filter_pixels, filter_row, filter_sheet, pixels_of_row


@given(st.integers(1, 50), st.sampled_from([1, 3, 4]), st.integers(1, 40))
def test_the_text_gives_the_pixels(count, channels, side):
    weights = torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(0))
    found = filter_pixels("conv", weights)
    row = filter_row(found)
    assert len(row["pixels"]) <= 2 * max(30_000, 3 * side * side)
    assert np.array_equal(pixels_of_row(row), found.pixels)
    restored = row["low"] + (row["high"] - row["low"]) * found.pixels / 255
    expected = weights[: len(found.pixels), : found.pixels.shape[1]].numpy()
    assert abs(restored - expected).max() <= (row["high"] - row["low"]) / 255 + 1e-5


def test_sheet_is_six_by_six_in_reading_order():
    pixels = np.arange(36, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 2, 2), np.uint8)
    sheet = filter_sheet(pixels, colour=True)
    assert sheet.shape == (17, 17, 3)
    assert sheet[0, 3, 0] == 1 and sheet[3, 0, 0] == 6 and sheet[0, 2, 0] == 255
