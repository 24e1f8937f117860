"""Scores of a card: computed from rows, with intervals, only for the weights of the folder."""

import json

import pytest
import timm
from expect import raises
from typer.testing import CliRunner

import medzoo
from medzoo.bench import metrics
from medzoo.bench.results import store as results
from medzoo.bench.results.store import ResultStore
from medzoo.bench.table.card_rows import card_rows
from medzoo.bench.table.table import table
from medzoo.cli import app
from medzoo.errors import ResultError


@pytest.fixture
def folder(tmp_path):
    card = {"name": "test_resnet-own", "license": "apache-2.0", "data": ["own"], "labels": ["a", "b"]}
    return medzoo.save(timm.create_model("test_resnet", num_classes=2), tmp_path / "own", card=card)


@pytest.fixture
def store(tmp_path, make_run, folder):
    """Three seeds of the folder's weights on a task, a diverged run on another task, and another checkpoint."""
    import numpy as np

    sha = json.loads((folder / "config.json").read_text())["medzoo"]["sha256"]
    store = ResultStore(tmp_path / "results")
    labels, classes = np.arange(80) % 2, ("no", "yes")
    for seed in range(3):
        yes = 1 / (1 + np.exp(-(labels + np.random.default_rng(seed).normal(size=80))))
        scores, ids = np.stack([1 - yes, yes], axis=1), [str(i) for i in range(80)]
        identity = make_run(task="phantom_ct", seed=seed, checkpoint__weights_sha256=sha)[0]
        predictions = results.predictions(classes, "binary", ids, ids, labels, scores)
        made = results.make_result(
            identity["identity"], status="ok", metric="auroc", selection={}, environment=identity["environment"],
            metrics=metrics.compute("binary", classes, labels, scores, ids), predictions=predictions, train={},
        )  # fmt: skip
        store.put(made, predictions)
    store.put(*make_run(task="phantom_chest", status="diverged", checkpoint__weights_sha256=sha))
    store.put(*make_run(task="phantom_ct", checkpoint="other-net", value=0.99))
    return store


def test_the_scores_are_those_of_the_table(store, folder):
    found = card_rows(store.root, str(folder))
    made = table(store.root, checkpoints=[str(folder)], tasks=["phantom_ct"])
    cell = made.grid[0][0]
    (row,) = found.rows
    assert (row["task"], row["metric"], row["kind"], row["seeds"]) == ("phantom_ct", "auroc", "multiclass", [0, 1, 2])
    assert row["value"] == cell.mean and row["ci"] == [cell.interval.low, cell.interval.high]
    assert row["n"] == row["patients"] == 80 and row["protocol"] == made.columns[0].how
    assert len(found.left_out) == 1 and "phantom_chest" in found.left_out[0]


def test_without_results_of_these_weights(tmp_path, make_run, folder):
    store = ResultStore(tmp_path / "results")
    store.put(*make_run())
    with raises(ResultError, "no-results-for-table"):
        card_rows(store.root, str(folder))


def test_the_command_writes_and_checks(store, folder, make_run):
    def run(*arguments):
        return CliRunner().invoke(app, ["card", str(folder), "--results", str(store.root), *arguments])

    assert run("--check").exit_code == 1
    written = run("--write")
    assert written.exit_code == 0 and "1 scores" in written.output and run("--check").exit_code == 0
    file = folder / "README.md"
    file.write_text(file.read_text().replace("3 seeds |", "30 seeds |"))
    assert run("--check").exit_code == 1
    assert run().exit_code != 0 and run("--check", "--write").exit_code != 0
