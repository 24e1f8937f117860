"""All scores of a network's features on a task, with intervals over patients."""

from __future__ import annotations

import numpy as np

from medzoo.analysis.feature_map.separability import patient_folds
from medzoo.analysis.transfer_scores.h_score import h_scores
from medzoo.analysis.transfer_scores.logme import log_evidence
from medzoo.bench.statistics.crossed import t_quantile

SCORES = ("LogME", "H-score", "regularised H-score")
BLOCKS = 10  # of patients, each left out once
LEAST = 2  # images of a class: with one, its mean is the image


def usable(kind: str, labels: np.ndarray) -> tuple[np.ndarray, str]:
    """Which images have labels that scores can use, and why there are none.

    Args:
        kind: of the task.
        labels: of the images, as `Task.labels`.

    Returns:
        (N,) bool, and a reason that is empty if there is something to score.

    >>> usable("binary", np.array([0, 0, 1, 0]))[1]
    'fewer than two classes have 2 images'
    """
    everything = np.ones(len(labels), dtype=bool)
    if kind in ("binary", "multiclass"):
        counts = np.bincount(labels.astype(np.int64))
        good = np.flatnonzero(counts >= LEAST)
        return np.isin(labels, good), "" if len(good) > 1 else f"fewer than two classes have {LEAST} images"
    if kind == "multilabel":
        used = ~np.isnan(labels).any(1)
        return used, "" if len(varied(labels[used])) else f"no label has {LEAST} images with it and {LEAST} without it"
    if kind == "regression":
        varies = len(labels) > LEAST and float(np.ptp(labels)) > 0
        return everything, "" if varies else "all images have the same number"
    return everything, f"the task is {kind}: scores need classes or numbers"


def varied(labels: np.ndarray) -> np.ndarray:
    """The columns of several labels in which enough images have each value.

    Args:
        labels: (N, L) of 0 and 1.
    """
    present = (labels == 1).sum(0)
    return np.flatnonzero((present >= LEAST) & (len(labels) - present >= LEAST))


def transfer_scores(kind: str, features: np.ndarray, labels: np.ndarray) -> dict[str, tuple[float | None, str]]:
    """LogME, H-score and regularised H-score: larger means that a linear model of the features fits the labels better.

    Args:
        kind: "binary", "multiclass", "multilabel" (the mean over labels) or "regression" (LogME only).
        features: (N, D).
        labels: of `usable` images.

    Returns:
        score → value and reason; without a value there is a reason.
    """
    values = np.asarray(features, dtype=np.float64)
    values = values[:, values.std(0) > 0]
    if not values.shape[1]:
        return dict.fromkeys(SCORES, (None, "the network gives all images the same features"))
    if kind == "regression":
        found = log_evidence(values, labels[:, None])
        h_reason = "the labels are numbers: the H-score needs classes"
        return {
            "LogME": _mean(found, "the features fit the labels exactly"),
            **dict.fromkeys(SCORES[1:], (None, h_reason)),
        }
    columns = labels[:, varied(labels)] if labels.ndim == 2 else labels[:, None]
    targets = columns if labels.ndim == 2 else (labels[:, None] == np.unique(labels)[None]).astype(np.float64)
    h = h_scores(values, columns.astype(np.int64))
    few = f"{values.shape[1]} varying features of {len(values)} images have a singular covariance; see the regularised score"
    return {
        "LogME": _mean(log_evidence(values, targets), "the features fit the labels exactly"),
        "H-score": _mean(h.plain, few),
        "regularised H-score": _mean(h.regularised, few),
    }


def _mean(found: np.ndarray, reason: str) -> tuple[float | None, str]:
    known = found[np.isfinite(found)]
    return (float(known.mean()), "") if len(known) else (None, reason)


def scores_without_blocks(
    kind: str, features: np.ndarray, labels: np.ndarray, patients: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """The scores without one block of patients, for each block; the same blocks for every network.

    Args:
        kind: of the task.
        features: (N, D).
        labels: of the images.
        patients: (N,).
        seed: of the blocks.

    Returns:
        score → (BLOCKS,), NaN where there is no value; empty arrays with fewer than two patients in a block.
    """
    first = labels if labels.ndim == 1 and kind != "regression" else np.zeros(len(labels))
    blocks = patient_folds(first.astype(np.int64), patients, seed, BLOCKS)
    if len(set(patients.tolist())) < 2 * BLOCKS:
        return {name: np.empty(0) for name in SCORES}
    found = []
    for block in range(BLOCKS):
        kept = blocks != block
        known, reason = usable(kind, labels[kept])
        found.append({} if reason else transfer_scores(kind, features[kept][known], labels[kept][known]))
    values = {name: [one.get(name, (None, ""))[0] for one in found] for name in SCORES}
    return {name: np.array([np.nan if one is None else one for one in some]) for name, some in values.items()}


def jackknife_reach(values: np.ndarray) -> float | None:
    """Half of the 95 % interval of a score from its values without each block; None without values.

    Args:
        values: (BLOCKS,) of a score, or of the difference of two networks.

    Source: the delete-a-group jackknife, Shao and Tu 1995 (https://doi.org/10.1007/978-1-4612-0795-5).
    """
    if len(values) < BLOCKS or not np.isfinite(values).all():
        return None
    error = np.sqrt((len(values) - 1) / len(values) * ((values - values.mean()) ** 2).sum())
    return float(t_quantile(0.95, len(values) - 1) * error)
