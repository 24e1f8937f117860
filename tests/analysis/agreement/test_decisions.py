"""Decisions at 0.5 and at other thresholds, as the metrics take them."""

import numpy as np
import pytest
from expect import raises

from medzoo.analysis.agreement.decisions import decide
from medzoo.bench import metrics
from medzoo.bench.metrics.decisions import accuracy
from medzoo.bench.statistics.stored import StoredRun
from medzoo.errors import NotApplicableError

IDS = ("a", "b", "c", "d")


def run(kind, labels, scores):
    return StoredRun(IDS, IDS, np.array(labels), np.array(scores), kind=kind, classes=("no", "yes"))


def test_a_binary_decision_at_one_half_is_negative_as_in_the_accuracy():
    one = run("binary", [1, 1, 0, 0], [0.5, 0.51, 0.5, 0.49])
    right, chosen = decide(one)
    assert chosen.ravel().tolist() == [0, 1, 0, 0] and right.ravel().tolist() == [0, 1, 1, 1]
    rows = metrics.compute("binary", ("no", "yes"), one.labels, one.scores, list(IDS))
    assert next(row["value"] for row in rows if row["name"] == "accuracy") == right.mean()


def test_a_score_at_a_stored_threshold_is_positive():
    one = run("binary", [1, 1, 0, 0], [0.3, 0.29, 0.3, 0.1])
    assert decide(one, [0.3])[1].ravel().tolist() == [1, 0, 1, 0]


def test_labels_have_their_thresholds_and_may_be_unknown():
    labels = [[1, np.nan], [0, 1], [1, 0], [0, 0]]
    one = run("multilabel", labels, [[0.5, 0.9], [0.4, 0.9], [0.4, 0.2], [0.6, 0.1]])
    right, chosen = decide(one)
    assert chosen[:, 0].tolist() == [1, 0, 0, 1] and right[:, 0].tolist() == [1, 1, 0, 0]
    assert np.isnan(right[0, 1]) and right[1:, 1].tolist() == [1, 1, 1]
    assert decide(one, [0.4, 0.95])[1].tolist() == [[1, 0], [1, 0], [1, 0], [1, 0]]


def test_the_most_probable_class_is_chosen():
    scores = np.array([[0.4, 0.3, 0.3], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3]])
    right, chosen = decide(run("multiclass", [0, 2, 2, 1], scores))
    assert chosen.ravel().tolist() == [0, 1, 2, 1]
    assert right.mean() == accuracy(np.array([0, 2, 2, 1]), scores.argmax(axis=1), 3)


@pytest.mark.parametrize("kind", ["regression", "segmentation"])
def test_other_tasks_have_no_decisions(kind):
    with raises(NotApplicableError, "task-without-classes", match=kind):
        decide(run(kind, [0.5] * 4, [0.5] * 4))
