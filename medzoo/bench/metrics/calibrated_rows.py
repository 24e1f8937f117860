"""The rows of a split after calibration: decisions at the thresholds, and errors of the probabilities, chosen on validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from medzoo.bench.metrics.compute import compute
from medzoo.bench.metrics.facts import Row
from medzoo.bench.metrics.temperature import apply_temperature

CALIBRATED = {"brier": "brier_calibrated", "ece": "ece_calibrated"}
AT_THRESHOLD = ("sensitivity_at_threshold", "specificity_at_threshold", "f1_at_threshold", "accuracy_at_threshold")
CALIBRATED_NAMES = frozenset((*AT_THRESHOLD, *CALIBRATED.values()))


def calibrated_rows(
    kind: str,
    classes: Sequence[str],
    labels: np.ndarray,
    probabilities: np.ndarray,
    groups: Sequence[str] | None,
    scored: Sequence[str],
    temperature: float,
    thresholds: Mapping[str, float],
) -> list[Row]:
    """Rows that follow the rows of `compute`; of several exclusive classes, each is decided against the others.

    Args:
        kind: "binary", "multiclass" or "multilabel".
        classes: as for `compute`.
        labels: as for `compute`.
        probabilities: as for `compute`, before the temperature.
        groups: as for `compute`.
        scored: as for `compute`.
        temperature: chosen on validation.
        thresholds: label → threshold of the probability after the temperature; a label may have none.

    Raises:
        ResultError: as `compute`, and for a temperature that is not positive.

    >>> labels, scores = np.array([0, 1, 1]), np.array([0.2, 0.4, 0.9])
    >>> rows = calibrated_rows("binary", ("no", "yes"), labels, scores, None, (), 1.0, {"yes": 0.3})
    >>> [(row["name"], row["value"]) for row in rows if row["name"].endswith("_at_threshold")][0]
    ('sensitivity_at_threshold', 1.0)
    """
    scaled = apply_temperature(probabilities, temperature, kind)
    names = (*AT_THRESHOLD, *CALIBRATED)
    rows = compute(kind, classes, labels, scaled, groups, scored, thresholds=thresholds, names=names)
    rows = [{**row, "name": CALIBRATED.get(row["name"], row["name"])} for row in rows]
    return sorted(rows, key=lambda row: row["label"] is not None)  # those of the whole task first
