"""Settings of pre-trainings: every file is one that a run can use, and typed options win."""

import dataclasses

import pytest
from expect import raises

from medzoo.errors import UnknownNameError
from medzoo.recipe_args import parse, peek
from medzoo.training.objectives import method
from medzoo.training.options.pretrain_protocol import (
    list_pretrain_protocols,
    pretrain_protocol_file,
    read_pretrain_protocol,
    with_protocol,
)
from medzoo.training.pretrain_options import NOT_FROM_RANDOM, PretrainOptions


def parsed(*arguments):
    given = with_protocol(arguments, peek(arguments, "protocol"))
    types = [PretrainOptions, method(peek(given, "method")).Options]
    return parse(types, "recipe", given, without=NOT_FROM_RANDOM)


@pytest.mark.parametrize("name", list_pretrain_protocols())
def test_every_file_can_be_used_and_typed_options_win(name):
    values = read_pretrain_protocol(name)
    assert {"method", "epochs", "batch_size", "learning_rate", "optimizer", "weight_decay"} <= set(values)
    assert not {"architecture", "checkpoint", "task", "out"} & set(values), "these are the user's"
    usual = ("--protocol", name, "--task", "phantom_ct", "--architecture", "resnet18", "--out", "runs/x")
    options, own = parsed(*usual)
    options.check()
    both = {**dataclasses.asdict(own), **options.as_dict()}
    assert {key: both[key] for key in values} == values and options.protocol == name
    options, _ = parsed(*usual, "--epochs", "3")
    assert options.epochs == 3


@pytest.mark.parametrize("name", list_pretrain_protocols())
def test_every_file_begins_with_what_it_reproduces(name):
    text = pretrain_protocol_file(name).read_text(encoding="utf-8")
    header = text.partition("\nmethod")[0]
    assert max(map(len, text.splitlines())) <= 132
    assert all(line.startswith("#") for line in header.splitlines() if line)
    assert "https://" in header and ("differs here" in header or "evidence" in header.lower())


def test_a_file_of_ones_own(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('method = "simclr"\nepochs = 7\ntemperature = 0.3\n')
    usual = ("--task", "phantom_ct", "--architecture", "resnet18", "--out", "runs/x")
    options, own = parsed("--protocol", str(file), *usual)
    assert (options.epochs, own.temperature) == (7, 0.3)


@pytest.mark.parametrize("name", ["pretrain_simcrl", "medzoo", "mine.toml"])
def test_an_unknown_name_has_a_hint(name):
    with raises(UnknownNameError, "unknown-protocol"):
        pretrain_protocol_file(name)
