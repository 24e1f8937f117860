"""A file as Keras writes it, made from a network by hand: the converted network answers to RGB as Keras' own to BGR."""

import pytest
import timm
import torch
from keras_file import write_keras
from zoo_samples import draw_statistics

import medzoo

ENTRY = """
architecture = "densenet121_keras"
[input]
size = 32
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
[pretraining]
data = ["x"]
[upstream]
format = "keras-densenet121"
access = "manual"
instructions = "Ask."
[license]
id = "mit"
redistributable = true
"""


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return draw_statistics(timm.create_model("densenet121", num_classes=0).eval())


@pytest.fixture
def converted(network, configs, tmp_path):
    (configs / "densenet121-keras_drawn.toml").write_text(ENTRY)
    write_keras(network, tmp_path / "weights.h5")
    return medzoo.convert(tmp_path / "weights.h5", "densenet121-keras_drawn", out=tmp_path / "folder")


def test_a_keras_file_by_hand(network, converted):
    loaded, batch = medzoo.load(str(converted)), torch.randn(2, 3, 32, 32)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1.001e-5  # as keras.applications sets it
    with torch.inference_mode():
        keras, ours, unturned = network(batch.flip(1)), loaded(batch), loaded(batch.flip(1))
    off, wrong = (float((made - keras).abs().max() / keras.abs().max()) for made in (ours, unturned))
    assert off < 1e-4 and wrong > 20 * off
    stem = loaded.features.conv0.weight
    assert torch.equal(stem[:, 0], network.features.conv0.weight[:, 2])  # red is the last channel of BGR
