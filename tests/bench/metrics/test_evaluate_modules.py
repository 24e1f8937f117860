"""Modules of `evaluate` around the metrics: the same numbers, without a network."""

import subprocess
import sys

import numpy as np
import pytest
from expect import raises

from medzoo.bench import metrics
from medzoo.bench.metrics import evaluate_modules
from medzoo.errors import MissingExtraError, ResultError, UnknownNameError

RNG = np.random.default_rng(0)
LABELS, SCORES = RNG.integers(0, 2, 40), RNG.random(40)
GRADES, SHARES = RNG.integers(0, 3, 40), RNG.dirichlet(np.ones(3), 40)
SEVERAL = RNG.integers(0, 2, (40, 3)).astype(float)
SEVERAL[:5, 1] = np.nan
MANY = RNG.random((40, 3))


def whole(rows, name):
    return {name: metrics.headline(rows, name)["value"]}


def of_classification():
    pytest.importorskip("evaluate")
    return [
        ("binary", ("no", "yes"), LABELS, SCORES),
        ("multiclass", ("a", "b", "c"), GRADES, SHARES),
        ("multilabel", ("a", "b", "c"), SEVERAL, MANY),
    ]


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_every_metric_of_classification(kind):
    kind, classes, labels, scores = next(row for row in of_classification() if row[0] == kind)
    rows = metrics.compute(kind, classes, labels, scores)
    for name in {row["name"] for row in rows if row["label"] is None} - metrics.CONTEXT:
        module = evaluate_modules.load(name, kind, classes)
        assert module.compute(predictions=scores, references=labels) == whole(rows, name)


def test_batches_give_the_same_number():
    evaluate = pytest.importorskip("evaluate")
    module = evaluate_modules.load("auprc")
    assert isinstance(module, evaluate.EvaluationModule)
    for start in range(0, 40, 16):
        module.add_batch(predictions=SCORES[start : start + 16], references=LABELS[start : start + 16])
    assert module.compute() == {"auprc": metrics.auprc(LABELS, SCORES)}
    together = evaluate.combine([evaluate_modules.load("auroc"), evaluate_modules.load("brier")])
    both = together.compute(predictions=SCORES, references=LABELS)
    assert both == {"auroc": metrics.auroc(LABELS, SCORES), "brier": metrics.brier(LABELS, SCORES)}


@pytest.mark.parametrize("name", ["mae", "rmse", "r2", "pearson"])
def test_regression(name):
    pytest.importorskip("evaluate")
    found = evaluate_modules.load(name).compute(predictions=SCORES, references=MANY[:, 0])
    assert found == {name: getattr(metrics, name)(MANY[:, 0], SCORES)}


@pytest.mark.parametrize("name", ["dice", "dice_per_case", "dice_pooled", "iou", "hd95", "hd95_pooled", "nsd"])
def test_masks(name):
    pytest.importorskip("evaluate")
    said, truth = RNG.integers(0, 2, (2, 4, 6, 5))
    expected = metrics.SegmentationMetrics(tolerance_mm=1, empty="skip")
    for i in range(4):
        expected.add(said[i], truth[i], "ab"[i % 2], (1, 2))
    module = evaluate_modules.load(name, tolerance_mm=1, empty="skip")
    found = module.compute(predictions=said, references=truth, spacing=(1, 2), cases=["a", "b", "a", "b"])
    assert found == whole(expected.rows(), name)


def test_undefined_is_none():
    pytest.importorskip("evaluate")
    assert evaluate_modules.load("auroc").compute(predictions=[0.1, 0.2], references=[0, 0]) == {"auroc": None}


def test_thresholds():
    pytest.importorskip("evaluate")
    module = evaluate_modules.load("sensitivity_at_threshold", "binary", ("no", "yes"), thresholds={"yes": 0.3})
    found = module.compute(predictions=SCORES, references=LABELS)["sensitivity_at_threshold"]
    assert found == metrics.sensitivity(LABELS, SCORES >= 0.3)


def test_every_metric_has_a_module():
    pytest.importorskip("evaluate")
    for name in evaluate_modules.names():
        assert evaluate_modules.load(name).name == "medzoo_module"


def test_wrong_names():
    with raises(UnknownNameError, "unknown-metric"):
        evaluate_modules.load("aurocc")
    with raises(ResultError, "task-kind-not-supported"):
        evaluate_modules.load("auroc", "detection")


def test_without_evaluate(monkeypatch):
    monkeypatch.setitem(sys.modules, "evaluate", None)
    with raises(MissingExtraError, "missing-evaluate"):
        evaluate_modules.load("auroc")


def test_no_library_is_loaded_before_it_is_used():
    code = (
        "import sys; from medzoo.bench import metrics; import medzoo.bench.metrics.evaluate_modules\n"
        "print(*[name for name in ('torch', 'evaluate', 'datasets', 'scipy', 'sklearn') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
