"""What a suite can show, and how long it takes, before anything runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo import progress
from medzoo.bench.statistics.influence import LEAST_PATIENTS
from medzoo.bench.statistics.resolution import planned, resolution
from medzoo.bench.suite import SuiteCell, short_task

if TYPE_CHECKING:
    from medzoo.data.task import Task


ASSUMED = (
    "assumed before the runs: an AUROC of 0.85, a correlation of 0.6 between checkpoints, a deviation of 0.01 between seeds; the "
    "table measures them"
)


def resolution_line(title: str, task: Task, runs: int) -> str | None:
    """The smallest difference of two checkpoints that a column can show; None for tasks without an AUROC.

    Args:
        title: of the column.
        task: with its test split.
        runs: seeds of each checkpoint.
    """
    if task.metric != "auroc" or task.kind not in ("binary", "multiclass", "multilabel"):
        return None
    counts = class_patients(task)
    usable = [count for count in counts if min(count) >= LEAST_PATIENTS]
    left = len(counts) - len(usable)
    if not usable:
        few = f"every label has fewer than {LEAST_PATIENTS} positive or negative test patients"
        return f"{title}: no interval is possible, because {few}"
    positives, negatives = sorted(usable, key=min)[len(usable) // 2]
    patients = len(set(task.groups("test")))
    found = resolution(planned(positives, negatives, runs), runs, patients)
    of_one = " (of a typical label)" if len(counts) > 1 else ""
    text = f"{title}{of_one}: {progress.counted(patients, 'test patient')}, {progress.counted(runs, 'seed')}: {found.worded}"
    return text + (f"; {left} of {len(counts)} labels have too few patients for an interval" if left else "")


def class_patients(task: Task) -> list[tuple[int, int]]:
    """Test patients with a positive and with a negative image, for each label or class.

    Args:
        task: of classification.
    """
    labels, patients = np.asarray(task.labels("test"), dtype=np.float64), np.asarray(task.groups("test"))
    if task.kind == "multilabel":
        return [_of_label(labels[:, k] == 1, ~np.isnan(labels[:, k]), patients) for k in range(labels.shape[1])]
    everywhere = np.ones(len(labels), bool)
    classes = range(1, 2) if task.kind == "binary" else range(len(task.classes))
    return [_of_label(labels == k, everywhere, patients) for k in classes]


def run_seconds(cells: Sequence[SuiteCell], results: Iterable[Mapping[str, Any]]) -> list[float | None]:
    """The expected seconds of each run: the median of earlier runs of the same task and mode, if possible with the same checkpoint.

    Args:
        cells: runs.
        results: stored ones.
    """
    earlier: dict[tuple[str, ...], list[float]] = {}
    for result in results:
        seconds, identity = result["train"].get("wall_s"), result["identity"]
        if seconds is not None and result["status"] == "ok":
            key = identity["task"]["id"], identity["protocol"]["mode"]
            for one in (key, (*key, identity.get("checkpoint", {}).get("id", ""))):
                earlier.setdefault(one, []).append(float(seconds))
    medians = {key: median(seconds) for key, seconds in earlier.items()}
    keys = [(short_task(cell.task) if ":" in cell.task else cell.task, cell.mode) for cell in cells]
    return [medians.get((*key, cell.checkpoint), medians.get(key)) for key, cell in zip(keys, cells, strict=True)]


def time_line(missing: Sequence[SuiteCell], results: Iterable[Mapping[str, Any]]) -> str | None:
    """The time of the missing runs, from earlier runs of the same task and mode; None without any.

    Args:
        missing: runs without a result.
        results: stored ones.
    """
    known = [seconds for seconds in run_seconds(missing, results) if seconds is not None]
    if not known:
        return None
    of = "" if len(known) == len(missing) else f" for {len(known)} of them"
    return f"about {progress.duration(math.fsum(known))} of training{of}, from earlier runs of the same tasks"


def _of_label(positive: np.ndarray, known: np.ndarray, patients: np.ndarray) -> tuple[int, int]:
    return len(np.unique(patients[positive & known])), len(np.unique(patients[~positive & known]))
