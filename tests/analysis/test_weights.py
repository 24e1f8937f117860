"""The analysis of weights: on equal networks, on one changed layer, on networks with nothing in common."""

import pytest
import torch
from compared import compared
from expect import raises
from plotted import check_rows

from medzoo.analysis import weights
from medzoo.errors import NotApplicableError, UsageError


def values(rows, measure, key="layer"):
    return {row[key]: row["value"] for row in rows if row["measure"] == measure}


def test_equal_networks():
    rows = weights.run(compared(), weights.Options(weight_draws=1))
    assert set(values(rows, "distance").values()) <= {0.0, None}  # None where the first network is zero
    assert all(value == pytest.approx(1) for value in values(rows, "reuse").values())
    assert "same weights in both networks" in check_rows(weights, rows)


def test_one_changed_layer_is_the_farthest_and_the_least_reused():
    def change(module):
        generator = torch.Generator().manual_seed(9)
        layer = module.layer3[0].conv1
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
        module.conv1[0].weight[3] = 0

    rows = weights.run(compared(change=change), weights.Options(weight_draws=1))
    reuse, distance = values(rows, "reuse"), values(rows, "distance")
    assert min(reuse, key=reuse.get) == "layer3.0.conv1"
    moved = {name: value for name, value in distance.items() if value}
    assert max(moved, key=moved.get) == "layer3.0.conv1.weight" and set(moved) == {
        "layer3.0.conv1.weight",
        "conv1.0.weight",
    }
    assert values(rows, "dead filters", "role") == {"first": 0, "second": 1}
    sentence = check_rows(weights, rows)
    assert "layer3.0.conv1.weight" in sentence and "Dead filters: 1 in test_resnet-random (2)." in sentence


def test_random_weights_share_nothing():
    def change(module):
        generator = torch.Generator().manual_seed(9)
        for value in module.parameters():
            if value.ndim > 1:
                value.copy_(torch.randn(value.shape, generator=generator))

    sentence = check_rows(weights, weights.run(compared(change=change), weights.Options()))
    assert "No layer agrees more than random weights do" in sentence


def test_other_names_and_shapes_are_rows_with_reasons():
    def change(module):
        module.layer2[0].conv1 = torch.nn.Conv2d(7, 5, 3)  # other shape, and a bias that only the second has

    rows = weights.run(compared(change=change), weights.Options(weight_draws=1))
    shapes = [row for row in rows if row["measure"] == "distance" and row["value"] is None and "shape" in row["reason"]]
    assert [row["layer"] for row in shapes] == ["layer2.0.conv1.weight"]
    assert values(rows, "only in one network", "role") == {"second": 1}
    check_rows(weights, rows)


def test_nothing_in_common():
    with raises(NotApplicableError, "no-common-layers", match="test_vit"):
        weights.run(compared("test_resnet-random", "test_vit-random"), weights.Options())


def test_patch_embedding_of_a_transformer():
    rows = weights.run(compared("test_vit-random", "test_vit-random"), weights.Options(weight_draws=1))
    shown = [row for row in rows if row["measure"] == "filters"]
    assert [row["layer"] for row in shown] == ["patch_embed.proj"] * 2
    assert all(row["channels"] == 3 and len(row["pixels"]) <= 2 * 30_000 for row in shown)
    check_rows(weights, rows)


def test_options_have_limits():
    with raises(UsageError, "option-out-of-range"):
        weights.run(compared(), weights.Options(weight_draws=0))
