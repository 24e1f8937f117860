"""The command of a run: the parser of its recipe takes it, and its options are those of the identity."""

import shlex

import pytest

from medzoo.bench.cell_options import (
    IN_A_PROBE_ONLY,
    NOT_IN_A_PROBE,
    PROTOCOL_ONLY,
    CellOptions,
    ProbeOptions,
    protocol_of,
)
from medzoo.bench.suites.repeats import RepeatOptions
from medzoo.bench.table.run_command import ROOT, run_command
from medzoo.recipe_args import parse
from medzoo.training.options.protocol import load_protocol
from medzoo.training.options.protocol_options import PROBES


def parsed(result):
    """The options that the recipe reads from a command."""
    words = shlex.split(str(run_command(result)))
    recipe = next(place for place, word in enumerate(words) if word.endswith(".py"))
    if words[recipe] == "recipes/finetune.py":
        options, _ = parse(
            [CellOptions, RepeatOptions], "", words[recipe + 1 :], without=PROTOCOL_ONLY | IN_A_PROBE_ONLY
        )
        mode = "finetune"
    else:
        kinds = [CellOptions, ProbeOptions, RepeatOptions]
        options, head, _ = parse(kinds, "", words[recipe + 1 :], without=NOT_IN_A_PROBE | PROTOCOL_ONLY)
        mode = head.probe
    options.check()
    return words[:recipe], mode, options


@pytest.mark.parametrize("mode", ["finetune", *PROBES])
def test_the_recipe_reads_the_protocol_of_the_result(make_run, mode):
    name = "dinov2_linear" if mode == "head_grid" else "medzoo"
    whole = load_protocol(name, mode, kind="binary", size=32, precision="fp32").hash()
    result, _ = make_run(protocol__id=name, protocol__mode=mode, protocol__hash=whole, protocol__size=32, seed=3)
    launch, read, options = parsed(result)
    assert launch == ["accelerate", "launch"] and read == mode and options.size == 32 and options.seed == 3
    assert (options.checkpoint, options.task) == ("resnet18-imagenet", "phantom_chest")
    assert run_command(result).exact and protocol_of(options, mode, "binary").hash() == whole


def test_the_size_is_said_only_if_the_protocol_needs_it(make_run):
    whole = load_protocol("medzoo", "linear", precision="fp32").hash()
    assert parsed(make_run(protocol__mode="linear", protocol__hash=whole)[0])[2].size is None


def test_other_options_of_the_protocol_make_the_command_inexact(make_run):
    found = run_command(make_run(protocol__hash="0" * 64)[0])
    assert not found.exact and "--size 28" in str(found)
    found = run_command(make_run(protocol__id="own", protocol__hash="0" * 64)[0])
    assert not found.exact and "--protocol own.toml" in str(found)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"fold": 2}, {"fold": 2}),
        ({"training_part": {"per_class": 5, "draw": 4}}, {"per_class": 5, "draw": 4}),
        ({"protocol__label_fraction": 0.1, "training_part": {"draw": 1}}, {"fraction": 0.1, "draw": 1}),
        ({"dataset__label_policy": "soft:0.5:0.8", "task": "chexpert"}, {"label_policy": "soft:0.5:0.8", "root": "DIR"}),
        ({"task": "isic"}, {"root": "DIR"}),
        ({"task": "isic,group=image"}, {"root": "DIR", "task": "isic,group=image"}),
        ({"task": "pneumoniamnist"}, {"root": None}),
        ({"task": "parquet:my scans_224"}, {"root": None, "task": "parquet:my scans_224"}),
        ({"checkpoint": "--seed=9"}, {"checkpoint": "--seed=9", "seed": 0}),
        ({"checkpoint": "a; rm -r x $(y)"}, {"checkpoint": "a; rm -r x $(y)"}),
    ],
)  # fmt: skip
def test_the_parts_of_the_identity_are_options(make_run, tmp_path, monkeypatch, change, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ROOT).mkdir()  # the reader's folder of data
    _, _, options = parsed(make_run(**change)[0])
    assert {name: getattr(options, name) for name in expected} == expected


def test_a_launch_of_several_processes_and_a_repository(make_run):
    result, _ = make_run()
    result["identity"]["processes"] = 4
    result["identity"]["checkpoint"] |= {"repo": "lab/net", "revision": "a" * 40}
    launch, _, options = parsed(result)
    assert launch == ["accelerate", "launch", "--num_processes", "4"]
    assert options.checkpoint == f"hf-hub:lab/net@{'a' * 40}"


def test_the_number_of_folds_of_own_data(make_run):
    result, _ = make_run(fold=7, task="folder:scans")
    result["train"]["folds"] = {"count": 10, "sha256": "0" * 64}
    assert parsed(result)[2].fold_count == 10


def test_a_published_number_has_no_command(make_run):
    assert run_command(make_run(provenance={"origin": "reported"})[0]) is None
