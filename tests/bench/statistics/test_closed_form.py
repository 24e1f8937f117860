"""The closed forms of several labels: values of the metrics, and influences of the jackknife."""

import numpy as np
import pytest

from medzoo.bench.statistics.bootstrap import draw_values
from medzoo.bench.statistics.closed_form import contributions
from medzoo.bench.statistics.jackknife import jackknife


@pytest.mark.parametrize("metric", ["auroc", "accuracy", "balanced_accuracy", "brier"])
def test_the_closed_form_of_several_labels_is_the_metric_and_its_jackknife(metric):
    rng = np.random.default_rng(12)
    labels = np.where(rng.random((300, 3)) < 0.2, np.nan, rng.integers(0, 2, (300, 3)))
    scores, patients = np.round(rng.random((2, 300, 3)), 2), np.arange(300) // 2
    found = contributions(labels, scores, patients, metric)
    assert found.values == pytest.approx(draw_values(labels, scores, patients, metric, draws=0)[:, 0], abs=1e-7)
    assert found.labels == 3 and np.abs(found.vectors.sum(axis=1)).max() < 1e-9
    left = jackknife(labels, scores, patients, metric)
    assert np.corrcoef(found.vectors.ravel(), left.vectors.ravel())[0, 1] > 0.999
    # the jackknife computes in 32 bits, and its variance is a little larger
    assert found.vectors.std() == pytest.approx(left.vectors.std(), rel=0.03)
