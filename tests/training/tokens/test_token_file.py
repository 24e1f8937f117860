"""Tokens on the disk: one safetensors file, computed once, announced before, limited, and equal to the network's."""

import shutil
from collections import namedtuple

import numpy as np
import pytest
import torch
from expect import raises
from safetensors.numpy import load_file
from tiny import decoded_rows

from medzoo import paths
from medzoo.data.transforms.apply import InputConvention
from medzoo.errors import DataContractError, DiskFullError, UsageError
from medzoo.training.inputs.evaluate import evaluate_rows
from medzoo.training.tokens.token_file import stored_tokens


class Patches(torch.nn.Module):
    """An image → a class token of ones and 4 patches of 6 numbers."""

    has_class_token = True
    factor = 1.0

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, images):
        self.calls += 1
        patches = torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(2).transpose(1, 2).repeat(1, 1, 2)
        return torch.cat([torch.ones(len(images), 1, 6), patches], 1) * self.factor


def ask(network, data=None, **changes):
    usual = {
        "network_key": "n", "size": 16, "device": torch.device("cpu"), "batch_size": 5, "most_gb": 1.0, "split": "train",
        "class_token": True,
    }  # fmt: skip
    data = decoded_rows() if data is None else data
    return stored_tokens(network, data, InputConvention(), **{**usual, **changes})


def files():
    return list((paths.home() / "features").glob("*")) if (paths.home() / "features").is_dir() else []


def test_the_file_is_safetensors_with_the_rounded_tokens_of_the_network():
    network, data = Patches(), decoded_rows()
    tokens = ask(network)
    expected = evaluate_rows(network, data, InputConvention(), size=16, device=torch.device("cpu"))
    assert tokens.shape == (22, 5, 6) and len(tokens) == 22
    assert np.array_equal(tokens[slice(0, 22)].numpy(), expected.astype(np.float16).astype(np.float32))
    assert np.array_equal(tokens[np.array([3, 20])].numpy(), tokens[slice(0, 22)].numpy()[[3, 20]])
    (file,) = files()
    assert np.array_equal(load_file(file)["tokens"], expected.astype(np.float16))


def test_the_same_tokens_are_computed_once_and_read_with_and_without_class_token():
    network = Patches()
    whole = ask(network)
    calls = network.calls
    patches = ask(network, class_token=False)
    assert network.calls == calls == 5 and len(files()) == 1
    assert patches.shape == (22, 4, 6) and torch.equal(patches[slice(0, 9)], whole[slice(0, 9)][:, 1:])
    for change in ({"network_key": "other"}, {"size": 8}, {"data": decoded_rows(10)}):
        if "data" in change:
            change = {"data": type(decoded_rows())(**{**vars(decoded_rows(10)), "sha256": "1" * 64})}
        ask(network, **change)
    assert len(files()) == 4
    with torch.autocast("cpu", torch.bfloat16):
        ask(network)
    assert len(files()) == 5


def test_a_subset_reads_rows_of_the_same_file():
    tokens = ask(Patches())
    some = tokens.subset(np.array([7, 2, 9]))
    assert some.shape == (3, 5, 6) and torch.equal(some[slice(1, 3)], tokens[np.array([2, 9])])
    assert torch.equal(some.subset(np.array([2]))[slice(0, 1)], tokens[np.array([9])])


def test_the_size_is_said_and_too_much_is_refused_before_anything_is_written(monkeypatch, capsys):
    size = 22 * 5 * 6 * 2
    with raises(UsageError, "tokens-too-large", match="22 images x 5 tokens x 6"):
        ask(Patches(), most_gb=(size - 1) / 1e9)
    disk = namedtuple("disk", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: disk(10**6, 10**6, size - 1))
        with pytest.raises(DiskFullError):
            ask(Patches())
    assert not files()
    ask(Patches(), most_gb=size / 1e9)
    assert len(files()) == 1 and "22 images x 5 tokens x 6" in capsys.readouterr().err


def test_numbers_that_float16_does_not_hold_are_refused():
    network = Patches()
    for factor, code in ((1e5, "tokens-outside-float16"), (float("nan"), "features-not-finite")):
        network.factor = factor
        with raises(DataContractError, code):
            ask(network)
    assert not files()


def test_a_cut_file_is_refused():
    ask(Patches())
    (file,) = files()
    file.write_bytes(file.read_bytes()[:-2])
    with raises(DataContractError, "token-file-damaged"):
        ask(Patches())
