import pytest
import torch
from zoo_samples import small_model

import medzoo
from medzoo.errors import IntegrityError
from medzoo.zoo.folder import read_folder
from medzoo.zoo.golden import check_golden, fixed_inputs


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
    with pytest.raises(IntegrityError, match="other features"):
        check_golden(model, config.facts.golden, 3, 64, "it")
    other = small_model(num_classes=0, seed=1)
    with torch.no_grad(), pytest.raises(IntegrityError, match="other features"):
        check_golden(other, config.facts.golden, 3, 64, "it")
