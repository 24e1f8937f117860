"""The data curves of checkpoints: stored runs with all and with a part of the training images, by their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

import numpy as np

from medzoo.analysis.gains.data_curve import CurvePoint
from medzoo.analysis.gains.points import score_of
from medzoo.analysis.inputs.stored import KnownRun
from medzoo.bench.statistics.influence import Contributions
from medzoo.bench.statistics.intervals import Interval, interval_of
from medzoo.bench.statistics.stored import contributions_of_runs
from medzoo.errors import NotApplicableError, listed

# A protocol with its data, without the split: draws of the training images have other splits, but the same test images.
Conditions = tuple[str, str, str, str, str, str | None]


@dataclass(frozen=True)
class DataPoint:
    """The runs of a checkpoint with one part of the training images.

    Args:
        part: "all", "10 %" or "5 per class".
        point: number of training images and scores; the seeds of a draw are averaged, so that draws are the units.
        interval: of the score.
        runs: number of runs.
    """

    part: str
    point: CurvePoint
    interval: Interval
    runs: int


def conditions_of(run: KnownRun) -> Conditions:
    """What the runs of a curve have in common.

    Args:
        run: any.
    """
    identity = run.result["identity"]
    protocol, data = identity["protocol"], identity["dataset"]
    return (
        protocol["id"],
        protocol["mode"],
        protocol["hash"],
        identity["task"]["version"],
        data["fingerprint"],
        data["label_policy"],
    )


def common_conditions(curves: Sequence[Sequence[KnownRun]], labels: Sequence[str]) -> Conditions:
    """The conditions under which all checkpoints have runs with several numbers of training images.

    Args:
        curves: the finished runs of each checkpoint.
        labels: of the checkpoints.

    Raises:
        NotApplicableError: if there are none, or several.
    """
    of_each = []
    for runs in curves:
        parts: dict[Conditions, set[str]] = {}
        for run in runs:
            parts.setdefault(conditions_of(run), set()).add(part_of(run.result))
        of_each.append({one for one, some in parts.items() if len(some) > 1})
    common = set.intersection(*of_each)
    if not common:
        few = [label for label, some in zip(labels, of_each, strict=True) if not some]
        raise NotApplicableError(
            (
                f"{listed(few)}: no protocol has runs with several numbers of training images."
                if few
                else f"{' and '.join(labels)} have no runs of one protocol on the same data."
            )
            + " Run recipes/finetune.py or probe.py with --fraction 0.1, or a suite with fractions.",
            code="no-data-curve",
        )
    if len(common) > 1:
        names = sorted(f"{one[0]}@{one[2][:8]}" for one in common)
        raise NotApplicableError(
            f"Both checkpoints have runs with several numbers of training images of {listed(names)}. Choose one with --runs-of.",
            code="several-protocols",
        )
    return common.pop()


def part_of(result: dict[str, Any]) -> str:
    """The part of the training images, as a text.

    Args:
        result: as stored.

    >>> part_of({"identity": {"protocol": {"label_fraction": 0.1}}})
    '10 %'
    """
    per_class = result["identity"].get("training_part", {}).get("per_class")
    if per_class is not None:
        return f"{per_class} per class"
    fraction = result["identity"]["protocol"]["label_fraction"]
    return "all" if fraction == 1 else f"{100 * fraction:.3g} %"


def data_points(runs: Sequence[KnownRun], samples: tuple[str, ...], metric: str) -> tuple[list[DataPoint], list[str]]:
    """The points of a curve, from few images to many, and which runs are not in it.

    Args:
        runs: finished, of one checkpoint and one protocol.
        samples: the test images that all points must have.
        metric: of the score.

    Raises:
        NotApplicableError: if a run has no predictions.
        ResultError: if predictions do not give the stored score.
    """
    why: Counter[str] = Counter()
    parts: dict[str, list[KnownRun]] = {}
    for run in runs:
        if score_of(run.result, metric) is None:
            why[f"runs without {metric}"] += 1
        elif "train" not in run.result["train"].get("counts", {}):
            why["runs that do not say the number of their training images"] += 1
        elif run.predictions.samples != samples:
            why["runs with other test images"] += 1
        else:
            parts.setdefault(part_of(run.result), []).append(run)
    points = [_data_point(part, some, metric) for part, some in parts.items()]
    return sorted(points, key=lambda one: one.point.images), [f"{count} {reason}" for reason, count in why.items()]


def _data_point(part: str, runs: Sequence[KnownRun], metric: str) -> DataPoint:
    values = [score_of(run.result, metric) or 0.0 for run in runs]
    cell = _mean_of_seeds(contributions_of_runs([run.predictions for run in runs], metric, values), runs)
    images = mean(run.result["train"]["counts"]["train"] for run in runs)
    return DataPoint(part, CurvePoint(images, cell), interval_of(cell, metric), len(runs))


def _mean_of_seeds(cell: Contributions, runs: Sequence[KnownRun]) -> Contributions:
    """Draws are the units, if there are several: the seeds of one draw share its images."""
    draws = [run.result["identity"].get("training_part", {}).get("draw") for run in runs]
    if len(set(draws)) < 2:
        return cell
    members = [[place for place, other in enumerate(draws) if other == draw] for draw in dict.fromkeys(draws)]
    values = np.array([cell.values[rows].mean() for rows in members])
    return replace(cell, values=values, vectors=np.stack([cell.vectors[rows].mean(axis=0) for rows in members]))
