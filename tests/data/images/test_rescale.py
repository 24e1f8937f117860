"""Slope and intercept: whole numbers stay whole and right, whatever they are."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from medzoo.data.images.pixels import Pixels, inverted
from medzoo.data.images.rescale import rescaled, scaled_ends, type_holding

TYPES = st.sampled_from([np.uint8, np.int8, np.uint16, np.int16, np.int32])


@given(TYPES, st.integers(-3000, 3000).filter(bool), st.integers(-70000, 70000), st.data())
def test_whole_numbers_stay_whole(dtype, slope, intercept, data):
    limits = np.iinfo(dtype)
    values = data.draw(st.lists(st.integers(limits.min, limits.max), min_size=1, max_size=9))
    array = rescaled(np.array(values, dtype), slope, intercept)
    assert array.dtype.kind in "ui" and array.tolist() == [value * slope + intercept for value in values]


@given(st.lists(st.integers(0, 4095), min_size=1), st.integers(-2000, 2000))
def test_the_type_does_not_depend_on_the_image(values, intercept):
    array = rescaled(np.array(values, np.uint16), 1, intercept, (0, 4095))
    assert array.dtype == rescaled(np.array([0, 4095], np.uint16), 1, intercept, (0, 4095)).dtype


@given(st.integers(0, 4095), st.floats(0.001, 100), st.floats(-5000, 5000))
def test_fractions_come_out_to_float32(value, slope, intercept):
    found = float(rescaled(np.array([value], np.uint16), slope, intercept)[0])
    wanted = float(Fraction(value) * Fraction(slope) + Fraction(intercept))
    assert abs(found - wanted) <= 1e-6 * max(abs(value * slope), abs(intercept), 1)


@given(st.integers(0, 255), st.integers(-300, 300), st.integers(1, 600))
def test_an_inversion_twice_is_none(value, low, width):
    pixels = Pixels(np.array([[min(max(value, low), low + width)]]).astype(np.int16), (low, low + width), "grey")
    once = inverted(pixels, "a")
    assert once.range == pixels.range and low <= once.array.item() <= low + width
    assert (inverted(once, "b").array == pixels.array).all()


def test_narrow_types():
    assert (
        type_holding(0, 255) == np.uint8 and type_holding(-1, 255) == np.int16 and type_holding(0, 65535) == np.uint16
    )
    assert type_holding(0, 200, np.dtype("int16")) == np.int16 and type_holding(-(2**70), 0) is None
    assert scaled_ends((0, 100), -2, 5) == (-195, 5)
