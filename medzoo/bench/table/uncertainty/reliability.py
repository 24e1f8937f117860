"""The reliability of a cell: predicted probabilities against observed frequencies, over all its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medzoo.bench import metrics
from medzoo.bench.statistics.stored import StoredRun
from medzoo.errors import ResultError

BINS, LEAST = 10, 10  # most bins, and the fewest predictions of one run in a bin
Reliability = tuple[tuple[float, float], ...]


def reliability_of(runs: Sequence[StoredRun], result: Mapping[str, Any]) -> Reliability:
    """The mean probability and the frequency of each bin; empty for a task without classes, and for too few cases.

    The bins have equal mass. Of several classes, the highest probability is compared with how often that class is right; of
    several findings, all probabilities are in one diagram.

    Args:
        runs: of a cell, with the same test images.
        result: of one of them.
    """
    if not any(row["name"] == "brier" for row in result["metrics"]):  # the scores are not probabilities
        return ()
    pairs = [_pairs(run.labels, run.scores) for run in runs if run.masks is None]
    count = min(BINS, min((len(labels) for labels, _ in pairs), default=0) // LEAST)
    if count < 2:
        return ()
    try:
        labels, scores = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        means, shares, _ = metrics.reliability(labels, scores, count)
    except ResultError:
        return ()
    return tuple(zip(means.tolist(), shares.tolist(), strict=True))


def _pairs(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels of 0 and 1 with their probabilities."""
    if scores.ndim == 1:
        return labels, scores
    if labels.ndim == 2:  # findings, of which some are not known
        known = ~np.isnan(labels)
        return labels[known].astype(np.int64), scores[known]
    return (scores.argmax(axis=1) == labels).astype(np.int64), scores.max(axis=1)
