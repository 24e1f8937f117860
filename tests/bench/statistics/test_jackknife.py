"""Metrics without a closed form follow the rules of AUROC for classes with few patients."""

import numpy as np
import pytest

from medzoo.bench import stats
from medzoo.bench.statistics.bootstrap import draw_values
from medzoo.bench.statistics.closed_form import CLOSED_FORM, contributions
from medzoo.bench.statistics.intervals import interval_of
from medzoo.bench.statistics.jackknife import jackknife


def few(positives):
    labels = np.zeros(200, dtype=int)
    labels[:positives] = 1
    return labels, np.random.default_rng(9).random((2, 200)) + 0.3 * labels, np.arange(200)


@pytest.mark.parametrize("metric", ["auprc", "f1", "kappa", "balanced_accuracy"])
@pytest.mark.parametrize(("positives", "has_one"), [(3, False), (9, False), (10, True)])
def test_metrics_without_closed_form_need_ten_patients_too(metric, positives, has_one):
    labels, scores, patients = few(positives)
    cell = jackknife(labels, scores, patients, metric)
    found = interval_of(cell, metric)
    assert (found.low is not None) == has_one and bool(found.note) == (not has_one)
    assert cell.cases_df == positives - 1


@pytest.mark.parametrize("metric", ["auroc", "balanced_accuracy", "auprc", "f1"])
def test_a_label_with_one_positive_patient_is_left_out(metric):
    """Without this patient the mean would be over one label less, which is not the influence of the patient."""
    rng = np.random.default_rng(13)
    labels = rng.integers(0, 2, (120, 3)).astype(float)
    labels[:, 2] = 0
    labels[0, 2] = 1
    scores = rng.random((2, 120, 3))
    found = (contributions if metric in CLOSED_FORM else jackknife)(labels, scores, np.arange(120), metric)
    of_two = draw_values(labels[:, :2], scores[..., :2], np.arange(120), metric, draws=0)[:, 0]
    assert found.left_out == (2,) and found.labels == 2 and not found.lacking
    assert found.values == pytest.approx(of_two, abs=1e-7)
    assert stats.bootstrap(labels, scores, np.arange(120), metric, draws=200).low is None or metric in (
        "f1",
        "balanced_accuracy",
    )
