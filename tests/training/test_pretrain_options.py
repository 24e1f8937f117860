"""Options of pre-training that exclude each other are refused before anything is loaded."""

import pytest
from expect import raises

from medzoo.errors import UsageError
from medzoo.training.pretrain_options import PretrainOptions


def options(**changes):
    return PretrainOptions(method="simclr", architecture="resnet18", task="phantom_ct", out="runs/x", **changes)


def test_a_weight_decay_that_begins_at_zero_is_refused():
    """Weights without decay at the start are in the group of biases and norms, whose decay is never changed."""
    with raises(UsageError, "weight-decay-starts-at-zero", match="--final-weight-decay 0.1"):
        options(weight_decay=0.0, final_weight_decay=0.1).check()


@pytest.mark.parametrize(("first", "last"), [(1e-8, 0.1), (0.0, None), (0.0, 0.0), (0.1, 0.0)])
def test_other_weight_decays_are_not(first, last):
    options(weight_decay=first, final_weight_decay=last).check()
