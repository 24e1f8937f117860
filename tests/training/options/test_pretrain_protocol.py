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


# typed from the studies, and not from the files
STUDIES = {
    "pretrain_jonske_simclr": {
        "method": "simclr", "batch_size": 4096, "epochs": 100, "optimizer": "lars", "learning_rate": 4.8, "weight_decay": 1e-6,
        "temperature": 0.5, "projection": 256, "projection_layers": 3, "last_activation": "sigmoid", "size": 256, "tone": 0.8,
        "hue": 0.2, "grey": 0.2, "blur": 0.0, "input_rule": "per_image_minmax",
    },
    "pretrain_krones_mocov3": {
        "method": "mocov3", "batch_size": 256, "epochs": 100, "optimizer": "adamw", "learning_rate": 5e-4, "weight_decay": 0.04,
        "warmup_epochs": 10.0, "momentum": 0.99, "temperature": 1.0, "projection": 256, "hidden": 4096, "min_area": 0.08,
        "hue": 0.0, "solarize": 0.0,
    },
    "pretrain_krones_sit": {
        "method": "sit", "batch_size": 64, "epochs": 800, "learning_rate": 5e-4, "weight_decay": 0.04, "final_weight_decay": 0.1,
        "warmup_epochs": 10.0, "gradient_clip": 3.0, "temperature": 0.2, "momentum": 0.996, "reconstruction_weight": 5.0,
        "hue": 0.0, "solarize": 0.0,
    },
    "pretrain_krones_gmml": {"method": "gmml", "epochs": 1000},
    "pretrain_radimagenet": {"method": "supervised", "batch_size": 256, "epochs": 30, "size": 256},
    "pretrain_hosseinzadeh_supervised": {
        "method": "supervised", "optimizer": "adam", "learning_rate": 2e-4, "batch_size": 32, "size": 224, "flip": 0.5,
    },
    "pretrain_lejepa": {
        "method": "lejepa", "learning_rate": 5e-4, "weight_decay": 0.05, "final_learning_rate": 5e-7, "grey": 0.0, "hue": 0.0,
        "solarize": 0.0,
    },
    "pretrain_dino": {"method": "dino", "grey": 0.0, "hue": 0.0, "solarize": 0.0},
}  # fmt: skip


@pytest.mark.parametrize("name", STUDIES)
def test_the_numbers_are_those_of_the_study(name):
    values = read_pretrain_protocol(name)
    assert {key: values[key] for key in STUDIES[name]} == STUDIES[name]
