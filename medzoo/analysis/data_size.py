"""Effective data size: how many training images one checkpoint saves against another.

Source: Jonske et al. 2025 (https://arxiv.org/abs/2306.17555) for data curves; `gains/effective_size.py` has their bounds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medzoo.analysis.figures.style import interval, number
from medzoo.analysis.gains.curves import DataPoint, common_conditions, conditions_of, data_points
from medzoo.analysis.gains.data_curve import NeededImages, images_ratio, needed_images
from medzoo.analysis.gains.draw_curves import draw_curves
from medzoo.analysis.inputs.setting import setting_of
from medzoo.bench.metrics.facts import is_higher_better
from medzoo.bench.table.matching import match_checkpoints
from medzoo.errors import NotApplicableError, listed
from medzoo.training.options.fields import check_values, option

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medzoo.analysis.inputs.inputs import ComparedInputs
    from medzoo.analysis.inputs.stored import KnownRun

TITLE = "Effective data size"
QUESTION = "How many training images does one checkpoint need for the score of the other?"
USES = ("task_runs",)
VERSION = 2  # 2: metrics where lower is better, and scores without an interval


@dataclass(frozen=True)
class Options:
    """Options of the effective data size."""

    size_metric: str | None = option("metric of the curves", metavar="NAME", shown="the metric of the task")


def run(inputs: ComparedInputs, options: Options) -> list[dict[str, Any]]:
    """The score over the number of training images for both checkpoints, and what one needs for the score of the other.

    The runs are those of one protocol with `--fraction` or `--per-class`, and with all training images, on the same test images.

    Args:
        inputs: the stored runs of the task.
        options: see Options.

    Returns:
        rows with the keys measure, checkpoint, other, part, n_train, value, low, high, reason, metric, runs, n_images,
        n_patients. The measures are "score" (of `checkpoint` with `n_train` images), "needed" (value is how many images
        `checkpoint` needs for the score that `other` has with `n_train`), "ratio" (needed over n_train) and "left_out".

    Raises:
        NotApplicableError: if the checkpoints have no common protocol with several numbers of training images.
        UsageError: for an option outside its limits.
    """
    check_values(options)
    labels = list(inputs.labels)
    every = [
        run for run in inputs.task_runs if run.result["status"] == "ok" and _is_chosen(run, inputs.options.runs_of)
    ]
    places = match_checkpoints([run.result for run in every], labels, inputs.options.hub).places
    of_each = [[run for run, place in zip(every, places, strict=True) if label in place] for label in labels]
    conditions = common_conditions(of_each, labels)
    chosen = [[run for run in runs if conditions_of(run) == conditions] for runs in of_each]
    metric = options.size_metric or str(chosen[0][0].result["metric"])
    samples = Counter(run.predictions.samples for runs in chosen for run in runs).most_common(1)[0][0]
    curves: list[list[DataPoint]] = []
    rows: list[dict[str, Any]] = []
    left_out: list[str] = []
    for label, runs in zip(labels, chosen, strict=True):
        points, notes = data_points(runs, samples, metric)
        curves.append(points)
        left_out += [f"{label}: {note}" for note in notes]
        rows += [_score(label, one) for one in points]
    if min(map(len, curves)) < 2:
        raise NotApplicableError(
            f"{listed(label for label, points in zip(labels, curves, strict=True) if len(points) < 2)}: fewer than two numbers "
            f"of training images on the same test images{' (' + listed(left_out, 3) + ')' if left_out else ''}.",
            code="no-data-curve",
        )
    for first, second in ((0, 1), (1, 0)):
        rows += _needed(labels[first], labels[second], curves[first], curves[second], is_higher_better(metric))
    empty = dict.fromkeys(rows[0]) | {"measure": "left_out", "checkpoint": "", "other": "", "part": ""}
    rows += [{**empty, "reason": note} for note in left_out]
    return [
        {**row, "metric": metric, "n_images": len(samples), "n_patients": curves[0][0].point.cell.patients}
        for row in rows
    ]


def _is_chosen(run: KnownRun, name: str | None) -> bool:
    return name is None or setting_of(run.result).is_named(name)


def _score(label: str, one: DataPoint) -> dict[str, Any]:
    found = one.interval
    return {
        "measure": "score", "checkpoint": label, "other": "", "part": one.part, "n_train": one.point.images,
        "value": found.mean, "low": found.low, "high": found.high, "reason": found.note, "runs": one.runs,
    }  # fmt: skip


def _needed(
    label: str, other: str, own: Sequence[DataPoint], targets: Sequence[DataPoint], higher_is_better: bool
) -> list[dict[str, Any]]:
    """What a checkpoint needs for each score of the other one."""
    rows = []
    for target in targets:
        needed = needed_images(target.point, [one.point for one in own], higher_is_better=higher_is_better)
        pairs: list[tuple[str, NeededImages]] = [
            ("needed", needed),
            ("ratio", images_ratio(needed, target.point.images)),
        ]
        rows += [
            {
                "measure": measure, "checkpoint": label, "other": other, "part": target.part,
                "n_train": target.point.images, "value": one.images, "low": one.low, "high": one.high,
                "reason": one.reason, "runs": target.runs,
            }
            for measure, one in pairs
        ]  # fmt: skip
    return rows


def plot(rows: list[dict[str, Any]]) -> Figure:
    """The curves with intervals, and the needed images as multiples.

    Args:
        rows: of `run`.
    """
    return draw_curves(rows)


def table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line for each score, and for each number of needed images.

    Args:
        rows: of `run`.
    """
    return [
        {
            "checkpoint": row["checkpoint"],
            "measure": {
                "score": row["metric"],
                "needed": f"images for the score of {row['other']}",
                "ratio": f"times the images of {row['other']}",
            }.get(row["measure"], "left out"),
            "training images": row["n_train"],
            "part": row["part"],
            "value": row["value"],
            "low": row["low"],
            "high": row["high"],
            "note": row["reason"],
        }
        for row in rows
    ]


def sentence(rows: list[dict[str, Any]]) -> str:
    """How many images the second checkpoint needs for the scores of the first.

    Args:
        rows: of `run`.
    """
    first, second = list(dict.fromkeys(row["checkpoint"] for row in rows if row["measure"] == "score"))
    ratios = [row for row in rows if row["measure"] == "ratio" and row["checkpoint"] == second]
    scores = {row["part"]: row for row in rows if row["measure"] == "score" and row["checkpoint"] == first}
    clear = [row for row in ratios if (row["low"] or 0.0) > 1 or (row["high"] is not None and row["high"] < 1)]
    known = [row for row in clear or ratios if row["value"] is not None] or clear
    if not known:
        reasons = listed(dict.fromkeys(row["reason"] for row in ratios), 3)
        return f"How many images {second} needs for the scores of {first} cannot be concluded: {reasons}."
    row = max(known, key=lambda one: one["n_train"])
    score = number(scores[row["part"]]["value"])
    text = f"For the {row['metric']} that {first} reaches with {row['n_train']:.0f} training images ({score}), {second} needs "
    if row["value"] is not None:
        text += f"{row['n_train'] * row['value']:.0f}: {number(row['value'], 2)} times as many{_ends(row)}."
    else:
        side, end = ("more", row["low"]) if row["low"] is not None else ("fewer", row["high"])
        text += f"{side} than {row['n_train'] * end:.0f}, which is {number(end, 2)} times as many."
    if not clear:
        return f"{text} That one of them needs fewer images cannot be concluded."
    fewer = first if (row["low"] or 0.0) > 1 else second
    return f"{text} So {fewer} needs fewer images."


def _ends(row: dict[str, Any]) -> str:
    """The interval of a ratio, also with one end."""
    if row["low"] is not None and row["high"] is not None:
        return interval(row["low"], row["high"], 2)
    if row["low"] is not None:
        return f" (at least {number(row['low'], 2)})"
    return f" (at most {number(row['high'], 2)})" if row["high"] is not None else " (without an interval)"
