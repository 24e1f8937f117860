"""Representation similarity of two networks on images: identity, references, bad input, and the setting of Juodelyte 2023."""

import json

import numpy as np
import pytest
import torch
from expect import raises
from matplotlib.figure import Figure

from medzoo.analysis import representation
from medzoo.analysis.activations import layer_rows
from medzoo.analysis.activations.accumulate import accumulate
from medzoo.analysis.inputs.images import check_differ
from medzoo.analysis.inputs.inputs import ComparedInputs
from medzoo.analysis.inputs.options import CompareOptions
from medzoo.errors import NotApplicableError, UnknownNameError, UsageError
from medzoo.paths import home

TASK = "phantom_oct,n=8,n_validation=4,n_test=80"


def inputs_of(*names, task=TASK, **options):
    return ComparedInputs(CompareOptions(checkpoints=list(names), task=task, **{"size": 32, "images": 80, **options}))


@pytest.fixture(scope="module")
def rows():
    """A network with itself: every similarity is 1, except for references."""
    inputs = inputs_of("resnet18-random", "resnet18-random")
    return representation.run(inputs, representation.Options(layers=["layer1", "layer2"], samples=2000))


def test_a_network_is_like_itself(rows):
    paired = [row for row in rows if row["paired"]]
    assert {row["measure"] for row in paired} == set(representation.SHORT)
    assert all(row["value"] == pytest.approx(1, abs=1e-6) for row in paired if row["measure"] != "cknna")
    for row in paired:
        assert 0 < row["baseline"] < 1 and row["null"] < 0.9 * row["value"] and row["samples"] >= 80, row


def test_rows_are_plain_and_drawn(rows):
    assert rows == json.loads(json.dumps(rows))
    assert len([row for row in rows if not row["paired"]]) == 2
    figure = representation.plot(rows)
    assert isinstance(figure, Figure) and len(figure.axes) == 5  # four panels and a colour bar
    assert len(representation.table(rows)) == 20
    text = representation.sentence(rows)
    assert "layer1" in text and "1.00" in text and "2 of 2 layers" in text and "Undefined" not in text


def test_the_same_comparison_gives_the_same_rows(rows):
    inputs = inputs_of("resnet18-random", "resnet18-random", batch_size=64)
    again = representation.run(inputs, representation.Options(layers=["layer1", "layer2"], samples=2000))
    assert again == rows


def test_random_networks_are_measured_once_for_all_checkpoints(monkeypatch):
    options = representation.Options(layers=["layer1"], samples=200)
    first = representation.run(inputs_of("resnet18-random", "resnet18-random", images=20), options)
    drawn = []
    monkeypatch.setattr(
        layer_rows,
        "accumulate",
        lambda networks, *rest, **more: drawn.append(networks) or accumulate(networks, *rest, **more),
    )
    again = representation.run(inputs_of("resnet18-random", "resnet18-random", images=20), options)
    assert again == first and len(drawn) == 1  # only the two checkpoints
    representation.run(inputs_of("resnet18-random", "resnet18-random", images=19), options)
    assert len(drawn) == 3  # other images
    for file in home().rglob("baseline-*.json"):
        file.write_text("{broken")
    assert representation.run(inputs_of("resnet18-random", "resnet18-random", images=20), options) == first


def test_the_features_of_the_pass_are_those_of_the_networks():
    inputs = inputs_of("resnet18-random", "resnet18-random", images=20)
    representation.run(inputs, representation.Options(layers=["layer1"], samples=200))
    kept = inputs.outputs(inputs.networks[0])
    assert np.allclose(kept, inputs.outputs_of(inputs.networks[0], inputs.images), atol=1e-5) and len(kept) == 20


def test_too_few_samples_are_a_row_with_a_reason():
    inputs = inputs_of("resnet18-random", "resnet34-random", images=20)
    rows = representation.run(inputs, representation.Options(layers=["layer4"], samples=20))
    by_name = {row["measure"]: row for row in rows}
    assert by_name["mean_cca"]["value"] is None and "samples" in by_name["mean_cca"]["reason"]
    assert by_name["cka_debiased"]["value"] is not None
    assert "Undefined: mean CCA of layer4" in representation.sentence(rows)


def test_the_setting_of_juodelyte():
    inputs = inputs_of("resnet18-random", "resnet34-random")
    options = representation.Options(setting="juodelyte2023", layers=["act1", "layer1"], null_draws=1)
    rows = representation.run(inputs, options)
    assert [(row["layer"], row["measure"], row["units"]) for row in rows] == [
        ("act1", "mean_cca", 64),
        ("layer1", "mean_cca", 64),
    ]
    # 16 x 16 positions: 39 images; 8 x 8: 156 images, and there are 80
    assert [(row["images"], row["samples"]) for row in rows] == [(39, 39 * 256), (80, 80 * 64)]
    assert all(0 < row["null"] < row["value"] < 1 and row["sd"] > 0 and row["baseline"] for row in rows)
    assert representation.run(inputs, options) == rows  # its seed is the seed of the comparison


def test_a_layer_without_64_channels_has_a_reason():
    inputs = inputs_of("vit_tiny_patch16_224-random", "resnet18-random", images=12)
    options = representation.Options(setting="juodelyte2023", layers=["blocks.1=layer1"])
    with raises(NotApplicableError, "no-measure-defined", match="192 and 64 channels"):
        representation.run(inputs, options)


def test_constant_images_are_an_error():
    data = inputs_of("resnet18-random", "resnet18-random", images=12).images
    check_differ(data)
    flat = type(data)(np.zeros_like(data.images), data.labels, data.ids, data.groups, data.scale, "flat")
    with raises(NotApplicableError, "images-identical", match="12"):
        check_differ(flat)


def test_bad_input():
    inputs = inputs_of("resnet18-random", "resnet18-random", images=4)
    with raises(UnknownNameError, "unknown-layer", match="layer4"):
        representation.run(inputs, representation.Options(layers=["layer5"]))
    with raises(UsageError, "option-out-of-range"):
        representation.run(inputs, representation.Options(samples=1))
    with torch.no_grad():
        next(inputs.networks[1].module.layer1.parameters()).fill_(float("nan"))
    with raises(UsageError, "activations-not-finite", match="layer1 of resnet18-random"):
        representation.run(inputs, representation.Options(layers=["layer1"]))
