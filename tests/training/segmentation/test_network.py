"""The network's parts: every decoder, and errors of sizes and decoders. tests/zoo/loading/test_uses.py has every architecture."""

import pytest
import torch
from expect import raises

import medzoo
from medzoo.errors import IntegrityError, UsageError
from medzoo.training.segmentation.network import HEAD, decoder_state, fill_encoder
from medzoo.zoo.folder.facts import TrainedDecoder

NETS = {"resnet18_cifar-random": 32, "unet-scratch": 32, "deit_tiny-imagenet": 224}


@pytest.mark.parametrize("name", ["resnet18_cifar-random", "unet-scratch"])
@pytest.mark.parametrize("decoder", ["unet", "upernet", "linear"])
def test_every_decoder_gives_the_size_of_the_image(name, decoder):
    net = medzoo.segmenter(name, 3, decoder=decoder)
    assert net(torch.rand(2, 3, 48, 48)).shape == (2, 3, 48, 48) and net.decoder_name == decoder
    assert {key.partition(".")[0] for key in decoder_state(net)} <= set(HEAD)
    with raises(UsageError, "decoder-does-not-fit"):
        medzoo.segmenter(name, 3, decoder="dpt")


def test_a_plain_transformer_has_dpt_or_a_linear_head():
    net = medzoo.segmenter("vit_small-random", 1, decoder="linear", size=64)
    assert net(torch.rand(1, 3, 64, 64)).shape == (1, 1, 64, 64)
    assert medzoo.segmenter("vit_small-random", 1, decoder="linear", size=48).size == 48
    with raises(UsageError, "size-not-a-multiple"):
        medzoo.segmenter("vit_small-random", 1, size=48)  # dpt: a multiple of 32
    with raises(UsageError, "size-not-a-multiple"):
        medzoo.segmenter("vit_small-random", 1, decoder="linear", size=50)
    with raises(UsageError, "decoder-does-not-fit"):
        medzoo.segmenter("vit_small-random", 1, decoder="unet")


def test_a_checkpoint_without_a_trained_decoder_needs_classes():
    with raises(UsageError, "classes-missing"):
        medzoo.segmenter("resnet18_cifar-random")


def one_less(state):
    state.pop("segmentation_head.0.bias")


def one_more(state):
    state["decoder.extra.weight"] = torch.zeros(2)


def of_the_encoder(state):
    state["encoder.model.bn1.weight"] = torch.zeros(64)


def another_shape(state):
    state["segmentation_head.0.bias"] = torch.zeros(2)


@pytest.mark.parametrize("change", [one_less, one_more, of_the_encoder, another_shape, dict.clear])
def test_a_decoder_with_other_tensors_is_refused(tmp_path, change):
    """Its file is intact: another version of a decoder may have other tensors, which must not stay random."""
    net, whole = medzoo.segmenter("resnet10t-random", 1, size=64), medzoo.load("resnet10t-random")
    fill_encoder(whole, net)
    card = {"name": "resnet10t-vessels", "license": "mit", "data": ["drive"], "input": {"size": 64}}
    state = decoder_state(net)
    facts = TrainedDecoder("unet", ("vessel",), 64, "0" * 64)
    intact = medzoo.save(whole, tmp_path / "intact", card=card, decoder=(facts, state))
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(medzoo.segmenter(str(intact))(x), net(x))
    change(state)
    folder = medzoo.save(whole, tmp_path / "changed", card=card, decoder=(facts, state))
    with raises(IntegrityError, "decoder-does-not-match"):
        medzoo.segmenter(str(folder))


@pytest.mark.parametrize("name", ["unet-scratch", "resnet18_cifar-random", "vit_small-random"])
def test_the_encoder_goes_back_into_the_whole_network(name):
    net = medzoo.segmenter(name, 1)
    whole = medzoo.load(name)
    fill_encoder(whole, net)
    x = torch.rand(1, 3, net.size, net.size)
    maps = net.encoder(x)
    deepest = maps[0][-1] if isinstance(maps, tuple) else maps[-1]
    if name.startswith("vit"):
        expected = whole.forward_intermediates(x, indices=1, intermediates_only=True)[-1]
    else:
        expected = whole.forward_features(x)
    assert torch.equal(expected, deepest)
