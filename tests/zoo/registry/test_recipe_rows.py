"""Checkpoints that nobody published: the recipes accept the command of each, for the network and the method of its facts."""

import re
import shlex

import pytest

import medzoo
from medzoo.recipe_args import parse, peek
from medzoo.training.objectives import method
from medzoo.training.options.pretrain_protocol import with_protocol
from medzoo.training.pretrain_options import NOT_FROM_CHECKPOINT, NOT_FROM_RANDOM, PretrainOptions
from medzoo.zoo.registry.registry import list_models

ROWS = [name for name in list_models() if (source := medzoo.info(name).upstream) and source.access == "recipe"]


def command_of(name):
    return shlex.split(re.search(r"`(accelerate launch recipes/[^`]*)`", medzoo.info(name).upstream.instructions)[1])


@pytest.mark.parametrize("name", ROWS)
def test_the_command_is_accepted_and_makes_this_checkpoint(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, _, recipe, *typed = command_of(name)
    given = with_protocol(typed, peek(typed, "protocol"))
    module = method(peek(given, "method"))
    without = NOT_FROM_RANDOM if recipe == "recipes/pretrain.py" else NOT_FROM_CHECKPOINT
    options, own = parse([PretrainOptions, module.Options], "recipe", given, without=without)
    options.check()
    facts = medzoo.info(name)
    assert (
        options.name == name
        and options.method == facts.pretraining.method
        and options.epochs == facts.pretraining.epochs
    )
    base = options.checkpoint or f"{options.architecture}-random"
    assert medzoo.info(base).architecture == facts.architecture
    network = medzoo.load(f"{facts.architecture}-random")  # the weights of a base may not be on this machine
    module.check(network, own, options.size, options.batch_size)


def test_there_are_such_rows():
    assert len(ROWS) == 8
