from dataclasses import replace

import pytest
import torch
from expect import raises
from zoo_samples import small_model

import medzoo
from medzoo.errors import IntegrityError
from medzoo.zoo.folder.read_write import read_folder
from medzoo.zoo.models.golden import check_golden, fixed_inputs


def test_inputs_are_the_same_everywhere():
    rows = fixed_inputs(3, 8)
    assert rows.shape == (3, 3, 8, 8) and rows[0, 0, 0, 0] == pytest.approx(1.7640524)  # numpy's RandomState(0)


def test_a_network_that_computes_something_else(folder):
    model, config = medzoo.load(str(folder)), read_folder(folder)
    check_golden(model, config.facts.golden, 3, 64, "it")
    check_golden(
        medzoo.load(str(folder), num_classes=5, in_chans=None).eval() and model, config.facts.golden, 3, 64, "it"
    )
    model.bn1.eps = 0.1  # right weights, wrong function
    with raises(IntegrityError, "golden-features-differ"):
        check_golden(model, config.facts.golden, 3, 64, "it")
    other = small_model(num_classes=0, seed=1)
    with torch.no_grad(), raises(IntegrityError, "golden-features-differ"):
        check_golden(other, config.facts.golden, 3, 64, "it")


def golden_of(folder):
    return medzoo.load(str(folder)), read_folder(folder).facts.golden


@pytest.mark.parametrize("share", [1e-3, 3e-4])
@pytest.mark.parametrize("what", ["one feature", "norm", "a sign"])
def test_a_part_in_a_thousand_is_another_network(folder, what, share):
    """Wrong padding or another eps moves features by that little; rounding of another machine by far less."""
    model, golden = golden_of(folder)
    first, norm = [list(row) for row in golden.first], list(golden.norm)
    if what == "norm":
        norm[2] *= 1 + share
    elif what == "one feature":
        first[1][15] += share * max(map(abs, first[1]))
    else:
        first[0][0] *= -1
    changed = replace(golden, first=tuple(map(tuple, first)), norm=tuple(norm))
    with pytest.raises(IntegrityError):
        check_golden(model, changed, 3, 64, "it")


def test_rounding_is_not_another_network(folder):
    model, golden = golden_of(folder)
    rounded = replace(
        golden, first=tuple(tuple(value * (1 + 1e-6) for value in row) for row in golden.first),
        norm=tuple(value * (1 - 1e-6) for value in golden.norm),
    )  # fmt: skip
    check_golden(model, rounded, 3, 64, "it")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_answers_that_are_no_numbers_are_no_match(folder, value):
    model, golden = golden_of(folder)
    with torch.no_grad():
        model.bn1.bias[0] = value
    with pytest.raises(IntegrityError):
        check_golden(model, golden, 3, 64, "it")


def test_the_inputs_are_three_different_ones():
    one, two, three = fixed_inputs(3, 8)
    assert two[0, 0, 0] == pytest.approx(1.6243454) and three[0, 0, 0] == pytest.approx(
        -0.41675785
    )  # RandomState(1), (2)
    assert not torch.equal(one, two) and not torch.equal(two, three)
