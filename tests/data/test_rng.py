"""Counter-based numbers: known answers, independence of company, uniformity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medzoo.data.rng import noise_seed, order, philox, uniform

# Known answers of philox4x32-10 from the Random123 distribution (kat_vectors)
KNOWN = [
    (0x00000000, (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    (0xFFFFFFFF, (0xFFFFFFFF, 0xFFFFFFFF), "408f276d 41c83b0e a20bc7c6 6d5451fd"),
]


@pytest.mark.parametrize(("word", "key", "expected"), KNOWN)
def test_known_answers(word, key, expected):
    got = philox(np.full((1, 4), word, np.uint64), key)[0]
    assert " ".join(f"{int(value):08x}" for value in got) == expected


@given(seed=st.integers(0, 2**40), epoch=st.integers(0, 2**31), indices=st.lists(st.integers(0, 2**32 - 1), min_size=1))
def test_a_number_does_not_depend_on_its_company(seed, epoch, indices):
    together = uniform("crop", seed, epoch, np.array(indices), 5)
    for row, index in zip(together, indices, strict=True):
        assert (uniform("crop", seed, epoch, np.array([index]), 5)[0] == row).all()


def test_more_numbers_do_not_change_the_first():
    index = np.arange(10)
    assert (uniform("a", 1, 2, index, 30)[:, :3] == uniform("a", 1, 2, index, 3)).all()


@pytest.mark.parametrize("change", [("b", 1, 2), ("a", 2, 2), ("a", 1, 3)])
def test_streams_seeds_and_epochs_differ(change):
    index = np.arange(1000)
    assert abs(np.corrcoef(uniform("a", 1, 2, index, 1)[:, 0], uniform(*change, index, 1)[:, 0])[0, 1]) < 0.12


def test_uniform():
    values = uniform("a", 0, 0, np.arange(20000), 4)
    assert values.min() >= 0 and values.max() < 1
    assert np.abs(values.mean(0) - 0.5).max() < 0.01 and np.abs(values.var(0) - 1 / 12).max() < 0.003


@given(seed=st.integers(0, 2**31), epoch=st.integers(0, 1000), length=st.integers(1, 300))
def test_order_is_a_permutation(seed, epoch, length):
    assert sorted(order(seed, epoch, length)) == list(range(length))


def test_noise_seeds_differ_by_step_and_rank():
    assert len({noise_seed(0, step, rank) for step in range(50) for rank in range(4)}) == 200
