"""Prediction similarity of stored runs: binary, multiclass, multilabel, folds, and what cannot be compared."""

import numpy as np
import pytest
from expect import raises
from stored_samples import StoreMaker

from medzoo.analysis import predictions
from medzoo.bench.analyses.record import put_analysis
from medzoo.errors import NotApplicableError, ResultError


@pytest.fixture
def make(tmp_path):
    def one(kind="binary", seeds=3, **options):
        made = StoreMaker(tmp_path / kind, kind, **options)
        for seed in range(seeds):
            made.put("net-a", seed, 1.2)
            made.put("net-b", seed, 0.8)
        return made

    return one


def analysed(made, first="net-a", second="net-b", threshold="0.5", **options):
    rows = predictions.run(made.inputs(first, second, **options), predictions.Options(threshold))
    assert predictions.sentence(rows)
    predictions.plot(rows)
    return rows


def row_of(rows, measure="similarity", pairs="between", label="", first=None):
    found = [
        row
        for row in rows
        if (row["measure"], row["pairs"], row["label"]) == (measure, pairs, label) and first in (None, row["first"])
    ]
    assert len(found) == 1
    return found[0]


def right_of(made, name):
    """(S, N) whether each run of a checkpoint is right, from the stored files."""
    from medzoo.bench.statistics.stored import read_run

    runs = [
        read_run(path, result) for path, result in made.store.all() if result["identity"]["checkpoint"]["id"] == name
    ]
    return np.stack(
        [(run.scores.argmax(axis=1) if run.scores.ndim == 2 else run.scores > 0.5) == run.labels for run in runs]
    )


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_the_value_is_the_mean_over_all_pairs_of_runs(make, kind):
    made = make(kind)
    rows = analysed(made)
    a, b = right_of(made, "net-a"), right_of(made, "net-b")
    every = np.mean([[np.mean(one == other) for other in b] for one in a])
    row = row_of(rows)
    assert row["value"] == pytest.approx(every) and row["low"] < every < row["high"]
    assert (row["runs_a"], row["runs_b"], row["n_images"], row["n_patients"]) == (3, 3, 80, 40)
    expected = np.mean([[x * y + (1 - x) * (1 - y) for y in b.mean(axis=1)] for x in a.mean(axis=1)])
    assert row["expected"] == row_of(rows, "expected")["value"] == pytest.approx(expected)
    own = np.mean([np.mean(a[i] == a[j]) for i, j in ((0, 1), (0, 2), (1, 2))])
    assert row_of(rows, pairs="within", first="net-a")["value"] == pytest.approx(own)
    assert row_of(rows, "accuracy", "within", first="net-b")["value"] == pytest.approx(b.mean())
    agreement = row_of(rows, "class_agreement")["value"]
    assert agreement == pytest.approx(row["value"]) if kind == "binary" else agreement < row["value"]


def test_each_label_and_their_mean(make):
    rows = analysed(make("multilabel"))
    labels = [row_of(rows, label=name)["value"] for name in ("edema", "mass", "nodule")]
    assert row_of(rows, label=predictions.MEAN)["value"] == pytest.approx(np.mean(labels))


def test_rows_can_be_stored(make, tmp_path):
    rows = analysed(make("multilabel"))
    content = {
        "identity": {"analysis": "predictions", "task": {"id": "t", "version": "1"}, "subjects": [], "options": {}, "inputs": {}},
        "title": "", "question": "", "sentence": "", "rows": rows, "environment": {},
    }  # fmt: skip
    assert put_analysis(tmp_path, content, {}).rows == rows


def test_one_run_of_each_has_no_ceiling_and_says_so(make):
    rows = analysed(make(seeds=1))
    assert row_of(rows)["low"] is not None and "1 run" in row_of(rows)["reason"]
    assert row_of(rows, pairs="within", first="net-a")["value"] is None
    assert "no ceiling" in predictions.sentence(rows)


def test_folds_are_units(tmp_path):
    made = StoreMaker(tmp_path / "results")
    for fold in range(4):
        made.put("net-a", fold=fold)
        if fold < 3:
            made.put("net-b", fold=fold)
    rows = analysed(made)
    row = row_of(rows)
    assert (row["folds"], row["n_images"], row["runs_a"]) == (3, 240, 3) and "folds" in row["reason"]
    assert any("folds that another checkpoint lacks (3)" in one["reason"] for one in rows if one["pairs"] == "left_out")
    single = [row_of(analysed(made, fold=fold))["value"] for fold in range(3)]
    assert row["value"] == pytest.approx(np.mean(single))


def test_only_common_images_are_compared(tmp_path):
    made = StoreMaker(tmp_path / "results")
    made.put("net-a", keep=np.arange(0, 60))
    made.put("net-b", keep=np.arange(20, 80))
    rows = analysed(made)
    assert row_of(rows)["n_images"] == 40
    assert any(one["reason"].startswith("40 images") for one in rows if one["pairs"] == "left_out")


def test_no_common_image_is_an_error(tmp_path):
    made = StoreMaker(tmp_path / "results")
    made.put("net-a", keep=np.arange(0, 40))
    made.put("net-b", keep=np.arange(40, 80))
    with raises(NotApplicableError, "no-common-images"):
        analysed(made)
    folds = StoreMaker(tmp_path / "folds")
    folds.put("net-a", fold=0)
    folds.put("net-b", fold=1)
    with raises(NotApplicableError, "no-common-images", match="net-a: 0; net-b: 1"):
        analysed(folds)


def test_other_labels_for_the_same_images_are_an_error(tmp_path):
    made = StoreMaker(tmp_path / "results")
    made.put("net-a")
    made.put("net-b", relabelled=1)
    with raises(ResultError, "labels-differ"):
        analysed(made)


def test_stored_thresholds(tmp_path):
    made = StoreMaker(tmp_path / "results")
    made.put("net-a", thresholds={"yes": 0.2})
    made.put("net-b", thresholds={"yes": 0.9})
    half, stored = (row_of(analysed(made, threshold=rule)) for rule in ("0.5", "stored"))
    assert half["rule"] == "threshold 0.5" and stored["rule"] == "threshold stored"
    assert stored["value"] < half["value"]
    made.put("net-a", seed=1)
    with raises(NotApplicableError, "no-stored-thresholds"):
        analysed(made, threshold="stored")


def test_labels_without_a_stored_threshold_are_left_out(tmp_path):
    made = StoreMaker(tmp_path / "results", "multilabel")
    made.put("net-a", thresholds={"edema": 0.3, "mass": 0.4})
    made.put("net-b", thresholds={"edema": 0.6, "mass": 0.4, "nodule": 0.5})
    rows = analysed(made, threshold="stored")
    assert {row["label"] for row in rows if row["pairs"] == "between"} == {predictions.MEAN, "edema", "mass"}
    assert any("no stored threshold: nodule" in row["reason"] for row in rows if row["pairs"] == "left_out")


def test_a_task_without_classes(make):
    with raises(NotApplicableError, "task-without-classes"):
        analysed(make("regression"))


def test_runs_that_decide_for_one_class(tmp_path):
    made = StoreMaker(tmp_path / "results")
    for name in ("net-a", "net-b"):
        for seed in range(3):
            made.put(name, seed, scores=lambda labels: np.full(len(labels), 0.1) + 1e-3 * labels)
    rows = analysed(made)
    assert row_of(rows, "constant_decisions")["value"] == 1 and row_of(rows, "error_kappa")["value"] is None
    assert "All runs decide for one class" in predictions.sentence(rows)


def test_the_sentence_says_what_can_be_concluded(make):
    text = predictions.sentence(analysed(make(seeds=5)))
    assert "coincide more often than independent ones: excess" in text and "Two runs of the same checkpoint" in text
    independent = make(kind="multiclass", seeds=0)
    for seed in range(3):
        independent.put("net-a", seed, own=30.0)
        independent.put("net-b", seed, own=30.0)
    assert "cannot be concluded" in predictions.sentence(analysed(independent))
