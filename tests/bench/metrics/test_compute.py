"""medzoo.bench.metrics against scikit-learn, against published numbers, and where metrics are undefined."""

import csv
import warnings

import numpy as np
import pytest
from expect import raises
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from medzoo.bench import metrics
from medzoo.errors import ResultError, UnknownNameError


def rows_by_name(rows, label=None):
    return {row["name"]: row for row in rows if row["label"] == label}


def drawn(seed, n, classes):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    labels[:classes] = np.arange(classes)
    scores = np.round(rng.random((n, classes)) + 0.3 * np.eye(classes)[labels], 1)  # rounding makes many ties
    return labels, scores / np.maximum(scores.sum(axis=1, keepdims=True), 1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=40))
def test_ranking_metrics_equal_scikit_learn_with_ties(pairs):
    labels = np.array([pair[0] for pair in pairs], dtype=int)
    scores = np.array([pair[1] for pair in pairs]) / 6
    if 0 < labels.sum() < len(labels):
        assert metrics.auroc(labels, scores) == pytest.approx(oracle.roc_auc_score(labels, scores), abs=1e-12)
        assert metrics.auprc(labels, scores) == pytest.approx(oracle.average_precision_score(labels, scores), abs=1e-12)
        assert metrics.auroc(labels, scores) == pytest.approx(metrics.auroc(labels, np.exp(scores)), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_binary_equals_scikit_learn(seed):
    labels, scores = drawn(seed, 80, 2)
    rows = rows_by_name(metrics.compute("binary", ("a", "b"), labels, scores, [str(i // 4) for i in range(80)]))
    said = scores[:, 1] > 0.5
    assert rows["auroc"]["value"] == pytest.approx(oracle.roc_auc_score(labels, scores[:, 1]), abs=1e-12)
    assert rows["accuracy"]["value"] == pytest.approx(oracle.accuracy_score(labels, said))
    assert rows["balanced_accuracy"]["value"] == pytest.approx(oracle.balanced_accuracy_score(labels, said))
    assert rows["brier"]["value"] == pytest.approx(oracle.brier_score_loss(labels, scores[:, 1]))
    assert (rows["auroc"]["n"], rows["auroc"]["n_pos"], rows["auroc"]["n_patients"]) == (80, labels.sum(), 20)
    assert metrics.compute("binary", ("a", "b"), labels, scores) == metrics.compute(
        "binary", "ab", labels, scores[:, 1]
    )


@pytest.mark.parametrize("seed", range(3))
def test_multiclass_equals_scikit_learn(seed):
    labels, scores = drawn(seed, 90, 4)
    rows = metrics.compute("multiclass", "abcd", labels, scores)
    whole = rows_by_name(rows)
    assert whole["auroc"]["value"] == pytest.approx(oracle.roc_auc_score(labels, scores, multi_class="ovr"), abs=1e-12)
    assert whole["auroc"]["n_labels"] == 4
    assert whole["accuracy"]["value"] == pytest.approx(oracle.accuracy_score(labels, scores.argmax(axis=1)))
    balanced = oracle.balanced_accuracy_score(labels, scores.argmax(axis=1))
    assert whole["balanced_accuracy"]["value"] == pytest.approx(balanced)
    assert rows_by_name(rows, "c")["auroc"]["n_pos"] == (labels == 2).sum()


def test_multiclass_without_one_class_says_so_and_averages_the_others():
    labels, scores = drawn(0, 60, 3)
    labels[labels == 2] = 0
    rows = metrics.compute("multiclass", "abc", labels, scores)
    missing = rows_by_name(rows, "c")["auroc"]
    assert missing["value"] is None and missing["undefined"] == "no positive case"
    others = [rows_by_name(rows, name)["auroc"]["value"] for name in "ab"]
    assert rows_by_name(rows)["auroc"]["value"] == pytest.approx(np.mean(others))
    assert rows_by_name(rows)["auroc"]["n_labels"] == 2


def test_balanced_accuracy_is_over_the_classes_that_occur():
    """By hand: recalls 1/2, 1 and 1/3; a class without cases has no recall, also where something was called so."""
    labels = np.array([0, 0, 1, 3, 3, 3])
    said = np.array([0, 2, 1, 3, 2, 2])
    rows = rows_by_name(metrics.compute("multiclass", "abcd", labels, np.eye(4)[said]))
    assert rows["balanced_accuracy"]["value"] == pytest.approx((1 / 2 + 1 + 1 / 3) / 3)
    assert rows["balanced_accuracy"]["n_labels"] == 3
    assert rows["accuracy"]["value"] == pytest.approx(3 / 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn tells that a class was predicted and never occurs
        assert rows["balanced_accuracy"]["value"] == pytest.approx(oracle.balanced_accuracy_score(labels, said))
    alone = rows_by_name(metrics.compute("multiclass", "abcd", labels[:2], np.eye(4)[said[:2]]))
    assert alone["balanced_accuracy"]["value"] is None and alone["balanced_accuracy"]["undefined"]


def test_answers_at_the_threshold():
    """As MedMNIST's evaluator counts: one half is no for one label, and yes for several."""
    half = np.array([0.5, 0.5, 0.5, 0.5])
    rows = rows_by_name(metrics.compute("binary", "ab", np.array([0, 0, 0, 1]), half))
    assert rows["accuracy"]["value"] == 0.75 and rows["balanced_accuracy"]["value"] == 0.5
    several = metrics.compute("multilabel", ("a",), np.array([[0.0], [0], [0], [1]]), half[:, None])
    assert rows_by_name(several, "a")["accuracy"]["value"] == 0.25


@pytest.mark.parametrize("seed", range(2))
def test_precision_recall_of_every_class_and_their_mean(seed):
    labels, scores = drawn(seed, 70, 3)
    rows = metrics.compute("multiclass", "abc", labels, scores)
    each = [oracle.average_precision_score(labels == k, scores[:, k]) for k in range(3)]
    for k, name in enumerate("abc"):
        assert rows_by_name(rows, name)["auprc"]["value"] == pytest.approx(each[k], abs=1e-12)
        aurocs = oracle.roc_auc_score(labels == k, scores[:, k])
        assert rows_by_name(rows, name)["auroc"]["value"] == pytest.approx(aurocs, abs=1e-12)
    assert rows_by_name(rows)["auprc"]["value"] == pytest.approx(np.mean(each), abs=1e-12)


def test_every_row_counts_its_cases_positives_and_patients():
    """By hand, for each kind; of several labels only the annotated cases of each."""
    patients = ["a", "a", "b", "c"]
    rows = metrics.compute("binary", "ny", np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.4, 0.3]), patients)
    assert {(row["n"], row["n_pos"], row["n_patients"], row["n_labels"]) for row in rows} == {(4, 2, 3, None)}
    labels = np.array([[1, np.nan], [1, 0], [0, np.nan], [1, 1.0]])
    each = metrics.compute("multilabel", "xy", labels, np.full((4, 2), 0.5), patients)
    for name in ("auroc", "auprc", "accuracy"):
        first, second, whole = (rows_by_name(each, label)[name] for label in ("x", "y", None))
        assert (first["n"], first["n_pos"], first["n_patients"], first["n_labels"]) == (4, 3, 3, None)
        assert (second["n"], second["n_pos"], second["n_patients"], second["n_labels"]) == (2, 1, 2, None)
        assert (whole["n"], whole["n_pos"], whole["n_patients"], whole["n_labels"]) == (4, None, 3, 2)
    rows = metrics.compute("multiclass", "xyz", np.array([0, 1, 1, 2]), np.eye(3)[[0, 1, 1, 2]], patients)
    assert [rows_by_name(rows, name)["auroc"]["n_pos"] for name in "xyz"] == [1, 2, 1]
    assert rows_by_name(rows)["auroc"]["n_pos"] is None and rows_by_name(rows)["auroc"]["n_labels"] == 3


def test_the_headline_is_of_the_whole_task_wherever_it_stands():
    """A result that somebody sorted by label is the same result."""
    labels, scores = drawn(0, 40, 3)
    rows = metrics.compute("multiclass", "abc", labels, scores)
    whole = metrics.headline(rows, "auroc")
    assert metrics.headline(rows[::-1], "auroc") == whole and whole["label"] is None


def test_directions_titles_and_names():
    """Written down: what is better higher, and what lower."""
    lower = {"brier", "brier_calibrated", "ece", "ece_calibrated", "mae", "rmse", "hd95", "hd95_pooled"}
    lower |= {"hd95_pixels", "hd95_pooled_pixels"}
    assert {name for name, row in metrics.METRICS.items() if not row.higher_is_better} == lower
    assert {"auroc", "auprc", "accuracy", "balanced_accuracy", "dice"} <= set(metrics.METRICS)


def test_a_selection_looks_at_the_scored_labels_alone():
    labels = np.array([[0, 1], [1, 0], [0, 1], [1, 1]], float)
    scores = np.array([[0.2, 0.1], [0.9, 0.8], [0.4, 0.3], [0.7, 0.2]])
    assert metrics.validation_score("multilabel", ("a", "b"), labels, scores, "auroc", ("a",)) == 1
    assert metrics.validation_score("multilabel", ("a", "b"), labels, scores, "auroc") == 0.5


def test_multilabel_masks_what_was_not_annotated():
    rng = np.random.default_rng(0)
    labels, scores = (rng.random((60, 4)) < 0.4).astype(float), rng.random((60, 4))
    labels[:20, 0], labels[:, 1], labels[:, 2] = np.nan, np.nan, 1.0
    rows = metrics.compute("multilabel", "abcd", labels, scores, [str(i // 2) for i in range(60)])
    first = rows_by_name(rows, "a")["auroc"]
    assert first["value"] == pytest.approx(oracle.roc_auc_score(labels[20:, 0], scores[20:, 0]))
    assert (first["n"], first["n_patients"]) == (40, 20)
    assert rows_by_name(rows, "b")["auroc"]["undefined"] == "no case was annotated"
    assert rows_by_name(rows, "c")["auroc"]["undefined"] == "no negative case"
    whole = rows_by_name(rows)
    assert whole["auroc"]["n_labels"] == 2
    assert whole["auroc"]["value"] == pytest.approx(
        np.mean([first["value"], rows_by_name(rows, "d")["auroc"]["value"]])
    )
    shares = [rows_by_name(rows, name)["accuracy"]["value"] for name in "acd"]
    assert whole["accuracy"]["value"] == pytest.approx(np.mean(shares))
    assert shares[2] == pytest.approx(oracle.accuracy_score(labels[:, 3], scores[:, 3] >= 0.5))


def test_one_class_only_is_undefined_and_never_zero():
    rows = rows_by_name(metrics.compute("binary", "ab", np.zeros(5, int), np.linspace(0, 1, 5)))
    assert [rows[name]["value"] for name in ("auroc", "auprc", "balanced_accuracy")] == [None, None, None]
    assert rows["auroc"]["undefined"] == "no positive case"
    assert rows["accuracy"]["value"] == pytest.approx(0.6)
    with raises(ResultError, "metric-undefined-on-validation"):
        metrics.validation_score("binary", "ab", np.zeros(5, int), np.linspace(0, 1, 5), "auroc")


@pytest.mark.parametrize(
    ("kind", "labels", "scores", "words"),
    [
        ("binary", [0, 1], [0.1, np.nan], "predictions-not-finite"),
        ("binary", [0, 1], [0.1, 3.0], "probabilities-out-of-range"),
        ("binary", [0, 2], [0.1, 0.3], "labels-invalid"),
        ("binary", [0, 1], [[0.1, 0.3], [0.2, 0.8]], "probabilities-sum-wrong"),
        ("binary", [0, 1], [[0.1, 0.3, 0.6], [0.2, 0.4, 0.4]], ("labels-shape-wrong", "probabilities-shape-wrong")),
        ("binary", [], [], "split-empty"),
        ("multilabel", [[0, 0.5]], [[0.1, 0.3]], "labels-invalid"),
        ("multilabel", [0, 1], [[0.1, 0.3], [0.2, 0.8]], ("labels-shape-wrong", "probabilities-shape-wrong")),
        ("segmentation", [0, 1], [0.1, 0.2], "task-kind-not-supported"),
    ],
)
def test_bad_input_is_refused_before_any_metric(kind, labels, scores, words):
    with raises(ResultError, words):
        metrics.compute(kind, "ab", np.array(labels), np.array(scores))


def test_wrong_number_of_groups():
    with raises(ResultError, "groups-length-mismatch"):
        metrics.compute("binary", "ab", np.array([0, 1]), np.array([0.1, 0.2]), ["p"])


def test_names_and_directions():
    rows = metrics.compute("binary", "ab", np.array([0, 1, 1, 0]), np.array([0.1, 0.4, 0.8, 0.3]))
    assert metrics.headline(rows, "auroc")["value"] == 1.0
    with raises(ResultError, "metric-missing"):
        metrics.headline(rows, "dice")
    with raises(UnknownNameError, "unknown-metric"):
        metrics.metric("aurocc")
    score = metrics.validation_score("binary", "ab", np.array([0, 1]), np.array([0.1, 0.4]), "brier")
    assert score == pytest.approx(-(0.1**2 + 0.6**2) / 2)


@pytest.mark.real
def test_published_aurocs_of_chexnet_are_reproduced(real_data):
    folder = real_data / "metrics"
    if not folder.is_dir():
        pytest.skip("no published predictions")
    import pyarrow.parquet as pq

    with (folder / "chexnet_published_aucs.csv").open() as file:
        published = {row["label"]: float(row["auc"]) for row in csv.DictReader(file)}
    table = pq.read_table(folder / "chexnet_nih_test_22433.parquet")
    labels = np.stack([table[f"y_{name}"].to_numpy() for name in published], axis=1)
    scores = np.stack([table[f"prob_{name}"].to_numpy() for name in published], axis=1)
    patients = [name.split("_")[0] for name in table["image"].to_pylist()]
    rows = metrics.compute("multilabel", list(published), labels, scores, patients)
    for name, value in published.items():
        assert rows_by_name(rows, name)["auroc"]["value"] == pytest.approx(value, abs=1e-7)
    whole = metrics.headline(rows, "auroc")
    assert whole["value"] == pytest.approx(np.mean(list(published.values())), abs=1e-7)
    assert (whole["n"], whole["n_labels"], whole["n_patients"]) == (22433, 14, len(set(patients)))


def test_means_hold_the_scored_labels_and_every_label_has_its_rows():
    labels = np.array([[0, 1, 1], [1, 0, 0], [0, 1, 0], [1, 1, 1]], float)
    scores = np.array([[0.2, 0.1, 0.9], [0.9, 0.8, 0.3], [0.4, 0.3, 0.2], [0.7, 0.2, 0.8]])
    rows = metrics.compute("multilabel", ("a", "b", "c"), labels, scores, scored=("a", "c"))
    each = {row["label"]: row["value"] for row in rows if row["name"] == "auroc"}
    assert each["b"] == 0 and each[None] == (each["a"] + each["c"]) / 2 == 1
    assert (
        metrics.headline(rows, "auroc")["n_labels"] == 2
        and metrics.headline(metrics.compute("multilabel", ("a", "b", "c"), labels, scores), "auroc")["n_labels"] == 3
    )
