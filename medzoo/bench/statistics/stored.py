"""The contributions of a cell's runs, from their stored predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medzoo.bench.metrics.masks.overlap import dice_of_counts, iou_of_counts
from medzoo.bench.metrics.masks.rows import MM, PIXELS, MaskRows, counts_of_both
from medzoo.bench.results.known_task import known_task
from medzoo.bench.results.store import predictions_path
from medzoo.bench.results.untrusted import read_predictions, unpacked
from medzoo.bench.statistics.bootstrap import prepared_parts, values_of
from medzoo.bench.statistics.closed_form import CLOSED_FORM, contributions
from medzoo.bench.statistics.influence import Contributions, contributions_of_values
from medzoo.bench.statistics.jackknife import jackknife
from medzoo.errors import ResultError

TOLERANCE = 1e-6


@dataclass(frozen=True)
class StoredRun:
    """The predictions of one run, in the order of their samples.

    Args:
        samples: (N,) salted ids.
        patients: (N,) salted ids.
        labels: as for `contributions`; empty for masks.
        scores: (N,) or (N, K); empty for masks.
        masks: the counts of pixels; None for other tasks.
        file: name of the result, for messages.
        kind: "binary", "multiclass", "multilabel", "regression" or "segmentation".
        classes: names of the columns of `scores`; both names for a binary task; empty for masks and regression.
    """

    samples: tuple[str, ...]
    patients: tuple[str, ...]
    labels: np.ndarray
    scores: np.ndarray
    masks: MaskRows | None = None
    file: str = ""
    kind: str = ""
    classes: tuple[str, ...] = ()


def read_run(path: Path, result: Mapping[str, Any]) -> StoredRun:
    """The predictions next to a result file.

    Args:
        path: of the result.
        result: its content.

    Raises:
        ResultError: if there are none, or they have no labels.
    """
    file = predictions_path(path)
    if not file.is_file():
        raise ResultError(f"{path.name} has no predictions, so there is no interval.", code="predictions-missing")
    table = read_predictions(file)
    if "pixels" not in table.column_names and not any(name.split(":")[0] == "label" for name in table.column_names):
        raise ResultError(
            f"The predictions of {path.name} have no labels, so there is no interval.", code="predictions-no-labels"
        )
    table = table.sort_by("sample")
    samples = tuple(table["sample"].to_pylist())
    if "pixels" in table.column_names:
        rows = MaskRows.from_table(table)
        return StoredRun(samples, rows.groups, np.empty(0), np.empty(0), rows, path.name, "segmentation")
    kind, classes, labels, scores, patients = unpacked(table)
    facts = known_task(result)
    if kind == "multilabel" and facts is not None and facts.scored:
        columns = [classes.index(name) for name in facts.scored if name in classes]
        labels, scores = labels[:, columns], scores[:, columns]
        classes = tuple(classes[column] for column in columns)
    if kind in ("binary", "regression"):
        scores = scores[:, -1]
    return StoredRun(samples, tuple(patients), np.asarray(labels), scores, None, path.name, kind, classes)


def contributions_of_runs(runs: Sequence[StoredRun], metric: str, expected: Sequence[float]) -> Contributions:
    """The contributions of runs on the same images.

    Args:
        runs: of one cell.
        metric: of the column.
        expected: the value of each run in its result.

    Raises:
        ResultError: if the runs have other images, the metric has no interval, or the predictions do not give the values.
    """
    found = _contributions(runs, metric)
    values = found.values
    if found.left_out and found.labels:  # the values of the results are means over all labels
        parts, count = prepared_parts(runs[0].labels, np.stack([run.scores for run in runs]), runs[0].patients, metric)
        values = values_of(parts, np.ones((count, 1), dtype=np.float32))[:, 0]
    for run, value, given in zip(runs, values, expected, strict=True):
        if not abs(value - given) <= TOLERANCE:
            raise ResultError(
                f"The predictions of {run.file} give {metric} {value:.6f}, but the result says {given:.6f}. Run `medzoo results "
                "check`.",
                code="predictions-give-other-value",
            )
    return found


def _contributions(runs: Sequence[StoredRun], metric: str) -> Contributions:
    first = runs[0]
    if any(run.samples != first.samples or run.patients != first.patients for run in runs):
        raise ResultError("The runs have different test images, so there is no common interval.", code="samples-differ")
    if first.masks is not None:
        return _of_masks([run.masks for run in runs if run.masks is not None], first.patients, metric)
    labels, scores = [run.labels for run in runs], np.stack([run.scores for run in runs])
    if any(not np.array_equal(one, labels[0], equal_nan=one.dtype.kind == "f") for one in labels[1:]):
        raise ResultError("The runs have different labels, so there is no common interval.", code="labels-differ")
    if metric in CLOSED_FORM:
        return contributions(first.labels, scores, first.patients, metric)
    return jackknife(first.labels, scores, first.patients, metric)


def _of_masks(runs: Sequence[MaskRows], patients: Sequence[str], metric: str) -> Contributions:
    """Means over images, over cases, or of all pixels together."""
    if metric.endswith("_pooled") and metric.startswith(("dice", "iou")):
        return _pooled(runs, patients, metric)
    values = np.stack([_values(run, metric, patients) for run in runs])
    groups = np.unique(np.asarray(patients)) if metric.endswith("_per_case") else np.asarray(patients)
    return contributions_of_values(values, groups)


def _values(run: MaskRows, metric: str, patients: Sequence[str]) -> np.ndarray:
    """(N, structures): the value of each image or case, NaN where undefined."""
    name, _, unit = metric.partition("_")
    function = {"dice": dice_of_counts, "iou": iou_of_counts}.get(name)
    if metric == "pixel_auroc" and run.areas is not None:
        return np.array([[np.nan if area is None else area] for area in run.areas])
    if function is not None and unit in ("", "per_case", "original"):
        counts = run.counts
        if unit == "original":
            if run.original is None:
                raise _no_interval(metric)
            counts = run.original[0]
        counts = counts_of_both(counts)
        if unit == "per_case":
            codes = np.unique(np.asarray(patients), return_inverse=True)[1]
            sums = np.zeros((int(codes.max()) + 1, *counts.shape[1:]), dtype=np.int64)
            np.add.at(sums, codes, counts)
            counts = sums
        return np.stack([function(counts[:, k], "one") for k in range(counts.shape[1])], axis=1)
    found = run.distances
    if metric in (*MM, *PIXELS) and found is not None and found.values is not None and metric in found.names:
        return found.values[:, :, found.names.index(metric)]
    raise _no_interval(metric)


def _pooled(runs: Sequence[MaskRows], patients: Sequence[str], metric: str) -> Contributions:
    """A ratio of sums over all images: its influence is that of numerator and denominator."""
    codes = np.unique(np.asarray(patients), return_inverse=True)[1]
    values, vectors = [], []
    for run in runs:
        both, predicted, true = np.moveaxis(counts_of_both(run.counts).astype(np.float64), -1, 0)
        above, below = (2 * both, predicted + true) if metric.startswith("dice") else (both, predicted + true - both)
        ratio = above.sum(axis=0) / below.sum(axis=0)
        cases = ((above - ratio * below) / below.sum(axis=0)).mean(axis=1)
        values.append(ratio.mean())
        vectors.append(np.bincount(codes, weights=cases))
    return Contributions(np.array(values), np.array(vectors), int(codes.max()))


def _no_interval(metric: str) -> ResultError:
    return ResultError(f"{metric} has no interval here.", code="metric-without-interval")
