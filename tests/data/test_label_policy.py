import numpy as np
import pytest
from expect import raises
from hypothesis import given
from hypothesis import strategies as st

from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.label_policy import LabelPolicy, draw_soft, parse_policy, settle
from medzoo.data.transforms.apply import Augmentation, InputConvention
from medzoo.errors import UsageError
from medzoo.training.inputs.batches import Batches

LABELS = np.array([[1, -1, np.nan], [0, 1, -1]], np.float32)


@pytest.mark.parametrize(
    "text", ["mean", "soft:", "soft:0.5", "soft:0.8:0.2", "soft:0:2", "zero:0:1", "soft:a:b", "", " mask"]
)
def test_other_spellings_are_refused(text):
    if text == "":
        assert parse_policy(text) == LabelPolicy()
        return
    with raises(UsageError, "label-policy-unknown"):
        parse_policy(text)


@pytest.mark.parametrize("text", ["mask", "zero", "one", "soft:0.55:0.85", "soft:0:0.3"])
def test_a_policy_is_spelled_as_it_is_read(text):
    assert str(parse_policy(text)) == text


def test_known_labels_and_blanks_stay_under_every_policy():
    for kind, value in (("mask", np.nan), ("zero", 0), ("one", 1), ("soft", np.nan)):
        settled, uncertain = settle(LABELS, LabelPolicy(kind))
        assert uncertain.tolist() == [[False, True, False], [False, False, True]]
        assert np.array_equal(settled[~uncertain], [1, np.nan, 0, 1], equal_nan=True)
        assert np.array_equal(settled[uncertain], [value, value], equal_nan=True)


@given(st.integers(0, 2**31), st.integers(0, 500), st.floats(0, 0.4), st.floats(0.5, 1))
def test_soft_labels_depend_on_seed_epoch_and_row_alone(seed, epoch, low, high):
    policy, rows = LabelPolicy("soft", low, high), np.arange(20)
    labels, uncertain = np.full((20, 3), np.nan, np.float32), np.tile([True, False, True], (20, 1))
    labels[:, 1] = 1
    drawn = draw_soft(labels, uncertain, policy, seed=seed, epoch=epoch, indices=rows)
    assert (
        (drawn[:, 1] == 1).all() and (drawn[uncertain] >= low - 1e-6).all() and (drawn[uncertain] <= high + 1e-6).all()
    )
    some = rows[[7, 3, 19]]  # in another batch, in another order
    again = draw_soft(labels[some], uncertain[some], policy, seed=seed, epoch=epoch, indices=some)
    assert np.array_equal(again, drawn[some])
    other = draw_soft(labels, uncertain, policy, seed=seed, epoch=epoch + 1, indices=rows)
    assert not np.array_equal(other, drawn)


def test_the_draws_fill_the_interval_evenly():
    uncertain = np.ones((4000, 1), bool)
    drawn = draw_soft(
        np.full((4000, 1), np.nan, np.float32), uncertain, LabelPolicy("soft"), seed=0, epoch=0, indices=np.arange(4000)
    )
    counts, _ = np.histogram(drawn, bins=10, range=(0.55, 0.85))
    assert counts.sum() == 4000 and counts.min() > 300


def test_training_batches_hold_the_drawn_labels_and_no_nan_for_them():
    settled, uncertain = settle(LABELS, LabelPolicy("soft"))
    images = np.zeros((2, 8, 8), np.uint8)
    data = Decoded(
        images, settled, ["a", "b"], ["a", "b"], 255.0, "0" * 64, uncertain=uncertain, policy=LabelPolicy("soft")
    )
    batches = Batches(data, Augmentation(), InputConvention(), size=8, batch_size=2, seed=3)
    first, order = batches[0]["label"].numpy(), batches[0]["index"]
    assert ((first[uncertain[order]] >= 0.55) & (first[uncertain[order]] < 0.85)).all()
    assert np.isnan(first[np.isnan(LABELS)[order]]).all()
    batches.set_epoch(1)
    second, later = batches[0]["label"].numpy(), batches[0]["index"]
    assert not np.array_equal(first[np.argsort(order)], second[np.argsort(later)], equal_nan=True)
    batches.set_epoch(0)
    assert np.array_equal(batches[0]["label"].numpy(), first, equal_nan=True)
