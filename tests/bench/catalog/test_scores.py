"""Scores of a store in the catalog: by the weights of a checkpoint, best first, with intervals."""

from dataclasses import replace
from pathlib import Path

import pytest
from expect import raises

from medzoo.bench.catalog.build import build_catalog
from medzoo.bench.catalog.render import catalog
from medzoo.bench.catalog.scores import registered_name
from medzoo.bench.results.store import ResultStore
from medzoo.bench.table.card_rows import card_rows
from medzoo.errors import ResultError, UsageError
from medzoo.zoo.registry.checkpoint import Hub
from medzoo.zoo.registry.registry import shipped

DEMO = Path(__file__).resolve().parents[3] / "benchmarks" / "tables" / "demo"
SHA = "a" * 64


@pytest.fixture
def store(tmp_path, make_run):
    results = ResultStore(tmp_path / "results")
    for seed in range(2):
        for name, value in (("resnet18-random", 0.6), ("resnet18-imagenet", 0.9), ("resnet18-ours", 0.7)):
            results.put(*make_run(checkpoint=name, value=value, seed=seed))
        results.put(*make_run(checkpoint="resnet18-imagenet", task="our_task", value=0.8, seed=seed))
    return results


def named(entries, name):
    return next(one for one in entries if one.name == name)


def test_a_task_lists_its_checkpoints_best_first(store):
    made = build_catalog(store.root)
    (column,) = named(made.tasks, "phantom_chest").columns
    assert [score.checkpoint for score in column.scores] == ["resnet18-imagenet", "resnet18-ours", "resnet18-random"]
    assert [score.registered for score in column.scores] == ["resnet18-imagenet", "", "resnet18-random"]
    assert column.scores[0].mean == pytest.approx(0.9)
    assert column.metric == "AUROC ↑" and made.runs == 8


def test_intervals_are_those_of_the_table():
    (column,) = named(build_catalog(DEMO).tasks, "phantom_ct").columns
    ours = next(score for score in column.scores if score.registered)
    row = next(row for row in card_rows(DEMO, "resnet10t-random").rows if row["task"] == column.task)
    assert (ours.checkpoint, ours.mean, [ours.low, ours.high]) == ("resnet10t-random", row["value"], row["ci"])
    assert ours.low < ours.mean < ours.high and ours.spread.startswith("[") and ours.count == "3"
    assert [score.mean for score in column.scores] == sorted((score.mean for score in column.scores), reverse=True)
    assert (
        any(score.seen for score in column.scores)
        and column.scores[0].may_be_best
        and not column.scores[-1].may_be_best
    )


def test_a_checkpoint_shows_its_scores(store):
    made = build_catalog(store.root)
    one = named(made.checkpoints, "resnet18-imagenet")
    assert {column.task for column in one.columns} == {"phantom_chest", "our_task"}
    assert named(made.checkpoints, "resnet50-imagenet").columns == ()
    assert [column.task for column in made.other_columns] == ["our_task"]
    plain = next(row for row in made.to_dict()["checkpoints"] if row["name"] == one.name)
    assert [score["checkpoint"] for column in plain["columns"] for score in column["scores"]] == [one.name] * 2


def test_a_lower_value_is_better_for_some_metrics(tmp_path, make_run):
    results = ResultStore(tmp_path / "results")
    for name, value in (("resnet18-random", 0.3), ("resnet18-imagenet", 0.1)):
        results.put(*make_run(checkpoint=name, value=value, metric="brier"))
    (column,) = named(build_catalog(results.root).tasks, "phantom_chest").columns
    assert column.metric.endswith("↓") and column.scores[0].checkpoint == "resnet18-imagenet"


def test_runs_without_a_value_come_last_and_published_numbers_are_left_out(tmp_path, make_run):
    results = ResultStore(tmp_path / "results")
    results.put(*make_run(checkpoint="resnet18-imagenet", status="diverged", reason="loss is NaN"))
    results.put(*make_run(checkpoint="resnet18-random", value=0.5))
    (column,) = named(build_catalog(results.root).tasks, "phantom_chest").columns
    assert [score.mean for score in column.scores] == [0.5, None] and column.scores[1].text == "diverged"
    assert "diverged" in catalog(results.root)


def test_published_weights_decide_about_the_name():
    entries = {entry.name: entry for entry in shipped()}
    assert (
        registered_name("resnet18-imagenet", SHA, entries)
        == registered_name("resnet18-in1k", SHA, entries)
        == "resnet18-imagenet"
    )
    assert registered_name("resnet18-random", None, entries) == "resnet18-random"
    assert registered_name("resnet18-random", SHA, entries) == registered_name("lab/net", SHA, entries) == ""
    pinned = replace(entries["resnet18-imagenet"], hub=Hub("medzoo/x", "0" * 40, "b" * 64, 1))
    entries["resnet18-imagenet"] = pinned
    assert registered_name("resnet18-imagenet", SHA, entries) == ""
    assert registered_name("another-name", "b" * 64, entries) == "resnet18-imagenet"


def test_scores_of_two_weights_of_one_name_are_both_shown(tmp_path, make_run):
    results = ResultStore(tmp_path / "results")
    for number, sha in enumerate((SHA, "b" * 64)):
        results.put(*make_run(checkpoint="resnet18-imagenet", checkpoint__weights_sha256=sha, value=0.6 + number / 10))
    page = catalog(results.root)
    assert page.count(f"sha256 {SHA}") == 1 and "1 of 2" in page and "2 of 2" in page


def test_the_page_has_the_scores(store):
    page = catalog(store.root)
    assert "computed from 8 results" in page and "1 of 3" in page and "This page has no scores" not in page
    assert "Results of another task, our_task" in page and page.count("<svg") == 3


def test_a_store_without_results_and_other_places_are_refused(tmp_path):
    with raises(ResultError, "catalog-without-results"):
        catalog(tmp_path)
    with raises(UsageError, "not-a-result-file"):
        catalog(tmp_path / "nowhere")
    with raises(UsageError, "not-a-path"):
        catalog(3)
