"""Runs of probes on tokens, layers and masks: results, one file of tokens, and clear refusals before anything is loaded."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from expect import raises

from medzoo import paths
from medzoo.bench.probing.checks import check_probe
from medzoo.bench.results import store as results
from medzoo.bench.run import CellOptions, CellRun, run_cell
from medzoo.data.tasks import busi, drive
from medzoo.errors import UsageError
from medzoo.training.options.protocol import load_protocol

OCT = "phantom_oct,n=60,n_validation=24,n_test=40"


@pytest.fixture
def options(tiny_hub, tmp_path):
    def make(**changes) -> CellOptions:
        usual = {
            "checkpoint": "lab/tiny", "hub": str(tiny_hub), "task": OCT, "size": 32, "batch_size": 16, "device": "cpu",
            "out": str(tmp_path / "run"), "results": str(tmp_path / "results"),
        }  # fmt: skip
        return CellOptions(**{**usual, **changes})

    return make


def stored(outcome):
    result = json.loads(outcome.path.read_text())
    results.validate(result)
    return result


def token_files():
    return {path.name: path.stat().st_mtime_ns for path in (paths.home() / "features").glob("*.safetensors")}


def test_an_attentive_probe_leaves_a_result_and_the_seed_decides_its_number(options, tmp_path):
    def run(name, **changes):
        own = {"out": str(tmp_path / name), "results": str(tmp_path / f"{name} results")}
        return stored(run_cell(options(set="steps=20, learning_rates=[1e-3, 1e-2]", **own, **changes), "attentive"))

    one = run("a")
    files = token_files()
    assert one["status"] == "ok" and one["identity"]["protocol"]["mode"] == "attentive"
    assert one["selection"]["n_candidates"] == 2 and one["selection"]["learning_rate"] in (1e-3, 1e-2)
    again, other = run("b"), run("c", seed=1)
    assert again["predictions"]["sha256"] == one["predictions"]["sha256"] != other["predictions"]["sha256"]
    part = run("d", fraction=0.5)
    assert part["train"]["counts"]["train"] < 60 and part["run_id"] != one["run_id"]
    assert token_files() == files and len(files) == 3  # train, validation, test: for all seeds and fractions


def test_a_fraction_reads_its_own_images(options, monkeypatch):
    """The tokens of a fraction are those of its images, although the file has all."""
    from medzoo.bench.probing.steps import Frozen
    from medzoo.training.tokens import attentive_probe

    seen = {}
    original = attentive_probe.fit_attentive_probe
    monkeypatch.setattr(
        attentive_probe,
        "fit_attentive_probe",
        lambda train, *a, **k: (seen.update(train=train), original(train, *a, **k))[1],
    )
    run_cell(options(set="steps=2", fraction=0.5), "attentive")
    cell = CellRun(options(fraction=0.5), "attentive")
    cell.load()
    whole = CellRun(options(), "attentive").task
    frozen = Frozen(cell.options, cell.protocol, whole, cell.model, cell.size)
    frozen.options.fraction = 1.0
    every, data = frozen.tokens(frozen.rows("train"), dense=False), frozen.rows("train")
    place = [data.ids.index(name) for name in cell.task.column("train", "id")]
    tokens, labels = seen["train"]
    assert np.array_equal(tokens[slice(0, len(place))].numpy(), every[np.array(place)].numpy())
    assert np.array_equal(labels, data.labels[place])


def test_the_grid_of_heads_runs_with_its_protocol(options):
    outcome = run_cell(options(protocol="dinov2_linear", set="steps=20, last_layers=[1, 3]"), "head_grid")
    result = stored(outcome)
    assert result["identity"]["protocol"]["id"] == "dinov2_linear" and result["selection"]["n_candidates"] == 26
    assert result["selection"]["input"] in ("1 layer", "3 layers")


@pytest.mark.parametrize("mode", ["dense", "dense_knn"])
def test_a_dense_probe_gives_the_rows_of_a_segmentation(options, tmp_path, mode):
    import pyarrow.parquet as pq

    from medzoo.bench.metrics.masks.rows import MaskRows, mask_scores

    busi.fake(tmp_path / "busi", 6)
    outcome = run_cell(options(task="busi_seg", root=str(tmp_path / "busi"), size=256), mode)
    result = stored(outcome)
    assert result["metric"] == "dice" and result["selection"]["metric"] == "dice"
    assert {row["name"] for row in result["metrics"]} >= {"dice", "dice_pooled", "iou"}
    table = pq.read_table(results.predictions_path(outcome.path))
    assert table.num_rows > 2 and mask_scores(MaskRows.from_table(table)) == result["metrics"]
    assert ("neighbours" if mode == "dense_knn" else "regularisation") in result["selection"]


@pytest.mark.parametrize(
    ("task", "mode", "code"),
    [
        (OCT, "dense", "probe-needs-masks"),
        (OCT, "dense_knn", "probe-needs-masks"),
        ("drive", "linear", "task-kind-not-supported"),
        ("drive", "attentive", "task-kind-not-supported"),
    ],
)
def test_a_probe_that_does_not_fit_the_task_is_refused_before_anything_is_loaded(options, tmp_path, task, mode, code):
    root = {}
    if task == "drive":
        drive.fake(tmp_path / "drive", 4)
        root = {"root": str(tmp_path / "drive")}
    with raises(UsageError, code):
        CellRun(options(task=task, **root), mode)


@pytest.mark.parametrize("mode", ["linear", "knn", "attentive", "head_grid"])
def test_numbers_need_ridge(mode):
    task = SimpleNamespace(name="knee", kind="regression")
    check_probe(task, load_protocol("medzoo", "ridge"))
    with raises(UsageError, "probe-needs-classes"):
        check_probe(task, load_protocol("dinov2_linear" if mode == "head_grid" else "medzoo", mode))


def test_a_protocol_without_values_is_refused(options, tmp_path):
    protocol = tmp_path / "own.toml"
    protocol.write_text("[attentive]\nsteps = 3\n")
    with raises(UsageError, "probe-values-missing", match="learning_rates"):
        CellRun(options(protocol=str(protocol)), "attentive")


def test_too_many_tokens_are_refused(options):
    with raises(UsageError, "tokens-too-large"):
        run_cell(options(token_gb=1e-9), "attentive")


@pytest.mark.parametrize("mode", ["linear", "knn"])
def test_seeds_share_the_solution_of_a_probe_and_give_the_numbers_of_a_run_alone(options, tmp_path, monkeypatch, mode):
    from medzoo.bench.probing import steps

    solved, original = [], steps._fit_pooled
    monkeypatch.setattr(steps, "_fit_pooled", lambda *a: (solved.append(1), original(*a))[1])
    steps._FITTED.clear()

    def run(name, **changes):
        own = {"out": str(tmp_path / name), "results": str(tmp_path / f"{name} results")}
        return stored(run_cell(options(**own, **changes), mode))["predictions"]["sha256"]

    together = [run(f"seed {seed}", seed=seed) for seed in (0, 1)]
    assert len(solved) == 1
    part = run("part", fraction=0.5)
    assert len(solved) == 2 and part not in together
    steps._FITTED.clear()
    assert run("alone", seed=1) == together[1]
    for name, change in {
        "other values": {"set": "regularisation=[3.0]" if mode == "linear" else "neighbours=[3]"}
    }.items():
        run(name, **change)
    run("random", checkpoint="resnet10t-random")
    assert len(solved) == 5
