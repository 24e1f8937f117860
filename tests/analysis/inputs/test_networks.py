"""The key of a network: everything that decides its outputs, with the input convention."""

import json
import shutil

import numpy as np
import pytest
import timm
import torch
from compared import compared

import medzoo
from medzoo.analysis.activations.layer_rows import rows_of_layers
from medzoo.analysis.activations.layers import LayerPair

CHEST = "phantom_chest,n=12,n_validation=6,n_test=12,image_size=32"
CARD = {"name": "test_resnet-drawn", "license": "mit", "data": ["x"]}


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    return medzoo.save(timm.create_model("test_resnet", num_classes=0).eval(), tmp_path / "folder", card=CARD)


def changed_input(folder, other, mean, std):
    """A copy with the same weights, whose config has another mean and std."""
    shutil.copytree(folder, other)
    config = json.loads((other / "config.json").read_text())
    config["pretrained_cfg"] |= {"mean": mean, "std": std}
    (other / "config.json").write_text(json.dumps(config))
    return other


def test_the_input_convention_is_part_of_the_key(folder, tmp_path):
    other = changed_input(folder, tmp_path / "other", [0.1] * 3, [0.9] * 3)
    inputs = compared(str(folder), str(other), task=CHEST, images=12)
    one, two = inputs.networks
    assert one.weights == two.weights and one.key != two.key and len(one.key) == 64
    # in memory: each has the features of its own convention
    for outputs in (inputs.outputs, inputs.training_outputs):
        assert not np.allclose(outputs(one), outputs(two), rtol=1e-3)
    assert np.allclose(inputs.outputs(two), inputs.outputs_of(two, inputs.images), atol=1e-5)
    # the same random weights in two conventions are two networks
    assert inputs.random(0, 0).weights == inputs.random(1, 0).weights
    assert inputs.random(0, 0).key != inputs.random(1, 0).key
    # in an identity
    same = compared(str(folder), str(folder), task=CHEST).identity(("networks",))
    assert inputs.identity(("networks",)) != same


def test_a_corrected_mean_is_another_analysis_and_another_baseline(folder, tmp_path):
    """The same folder before and after its config.json was corrected."""
    wrong = changed_input(folder, tmp_path / "place", [0.1] * 3, [0.9] * 3)
    found = []
    for place in (wrong, folder):
        inputs = compared(str(place), str(place), task=CHEST, images=12)
        rows = rows_of_layers(
            inputs,
            [LayerPair("layer1", "layer1", "layer1")],
            samples=2000,
            pooled=False,
            null_draws=0,
            kernel_images=12,
        )
        base = {row["measure"]: row["baseline"] for row in rows}
        found.append((inputs.identity(("networks",)), base["cka_linear"]))
    assert found[0][0] != found[1][0] and found[0][1] != found[1][1]


def test_the_key_is_the_same_in_another_comparison(folder):
    one, two = (compared(str(folder), str(folder), task=CHEST).networks[0] for _ in range(2))
    assert one.key == two.key
