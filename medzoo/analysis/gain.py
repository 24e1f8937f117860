"""Gain against similarity: does fine-tuning that changes the network more gain more over random weights?

Source: Juodelyte, Jimenez-Sanchez and Cheplygina 2023 (https://arxiv.org/abs/2302.08272).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medzoo.analysis.figures.style import interval, number
from medzoo.analysis.gains.draw_gain import draw_gain
from medzoo.analysis.gains.points import GainPoint, gain_points
from medzoo.analysis.gains.regression import LEAST_TASKS, correlation
from medzoo.bench.analyses.record import stored_analyses
from medzoo.errors import NotApplicableError, listed
from medzoo.progress import counted
from medzoo.training.options.fields import check_values, option

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medzoo.analysis.inputs.inputs import ComparedInputs

TITLE = "Gain against similarity"
QUESTION = "Do networks that fine-tuning changes more gain more over random weights?"
USES = ("analyses",)
VERSION = 2  # 2: metrics where lower is better, and negative scores
ALL = "all checkpoints"


@dataclass(frozen=True)
class Options:
    """Options of the gain against similarity."""

    gain_measure: str = option("measure of the similarity before and after fine-tuning", "mean_cca", metavar="NAME")
    gain_metric: str = option("metric whose gain over random weights is taken", "auroc", metavar="NAME")


def run(inputs: ComparedInputs, options: Options) -> list[dict[str, Any]]:
    """For each checkpoint and layer, the correlation of gain and similarity over the runs of all tasks in the store.

    The similarities come from stored analyses "representation" that compare a checkpoint with a run folder that began with it.
    The gain is (score - random) / |random|, with the other sign where lower is better, so that an improvement is positive. Here
    random is the mean of the runs from random weights of the same architecture, task, fold and protocol.

    Args:
        inputs: the store.
        options: see Options.

    Returns:
        rows with the keys measure, checkpoint, layer, value, low, high, n_points, n_tasks, reason; the measures are "pearson_r",
        "slope" (gain for each unit of similarity), "point" (value is the gain; similarity, baseline, score, random_score, task,
        fold and seed are there too) and "left_out".

    Raises:
        NotApplicableError: if the store has no point.
        UsageError: for an option outside its limits.
    """
    check_values(options)
    analyses = stored_analyses(inputs.store.root, name="representation")
    results = {result["run_id"]: result for _, result in inputs.store.all()}
    points, notes = gain_points(analyses, results, measure=options.gain_measure, metric=options.gain_metric)
    if not points:
        raise NotApplicableError(
            f"{inputs.store.root} has no similarity of a checkpoint before and after fine-tuning with its score"
            f"{': ' + listed(notes, 3) if notes else ''}. Run `medzoo compare CHECKPOINT RUN_FOLDER --only representation` for "
            "runs of several tasks, and fine-tune random weights on each task too.",
            code="no-similarities-of-runs",
        )
    names = sorted({one.checkpoint for one in points})
    rows: list[dict[str, Any]] = []
    for layer in dict.fromkeys(one.layer for one in points):
        for name in [*names, ALL] if len(names) > 1 else names:
            rows += _lines(name, layer, [one for one in points if one.layer == layer and name in (ALL, one.checkpoint)])
    rows += [_point(one) for one in points]
    empty = dict.fromkeys(("value", "low", "high", "n_points", "n_tasks"))
    return rows + [{"measure": "left_out", "checkpoint": "", "layer": "", **empty, "reason": note} for note in notes]


def _lines(name: str, layer: str, points: Sequence[GainPoint]) -> list[dict[str, Any]]:
    """The correlation and the slope of one checkpoint and layer."""
    line = correlation([one.similarity for one in points], [one.gain for one in points], [one.task for one in points])
    common = {"n_points": line.points, "n_tasks": line.tasks, "reason": line.reason}
    values = {"pearson_r": (line.r, line.r_low, line.r_high), "slope": (line.slope, line.slope_low, line.slope_high)}
    return [
        {"measure": measure, "checkpoint": name, "layer": layer, "value": value, "low": low, "high": high, **common}
        for measure, (value, low, high) in values.items()
    ]


def _point(one: GainPoint) -> dict[str, Any]:
    return {
        "measure": "point", "checkpoint": one.checkpoint, "layer": one.layer, "value": one.gain, "low": None, "high": None,
        "n_points": 1, "n_tasks": 1, "reason": "", "similarity": one.similarity, "baseline": one.baseline,
        "score": one.score, "random_score": one.random_score, "random_runs": one.random_runs, "task": one.task,
        "fold": one.fold, "seed": one.seed,
    }  # fmt: skip


def plot(rows: list[dict[str, Any]]) -> Figure:
    """A panel for each checkpoint and layer: gain against similarity, a colour for each task.

    Args:
        rows: of `run`.
    """
    return draw_gain(rows)


def table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line for each correlation and slope.

    Args:
        rows: of `run`.
    """
    return [
        {
            "checkpoint": row["checkpoint"],
            "layer": row["layer"],
            "measure": {"pearson_r": "Pearson r", "slope": "slope"}.get(
                row["measure"], row["measure"].replace("_", " ")
            ),
            "value": row["value"],
            "low": row["low"],
            "high": row["high"],
            "runs": row["n_points"],
            "tasks": row["n_tasks"],
            "note": row["reason"],
        }
        for row in rows
        if row["measure"] != "point"
    ]


def sentence(rows: list[dict[str, Any]]) -> str:
    """The correlations whose interval excludes 0, or that none can be concluded.

    Args:
        rows: of `run`.
    """
    lines = [row for row in rows if row["measure"] == "pearson_r" and row["checkpoint"] != ALL]
    points = [row for row in rows if row["measure"] == "point"]
    runs = len({(row["checkpoint"], row["task"], row["fold"], row["seed"]) for row in points})
    text = f"{counted(runs, 'run')} of {counted(len({row['task'] for row in points}), 'task')}: "
    with_interval = [row for row in lines if row["low"] is not None]
    if not with_interval:
        some = listed(dict.fromkeys(row["reason"] for row in lines), 2)
        values = [
            f"{number(row['value'], 2)} ({row['checkpoint']}, {row['layer']})"
            for row in lines
            if row["value"] is not None
        ]
        shown = f" Correlations without an interval: {listed(values, 6)}." if values else ""
        return (
            f"{text}nothing can be concluded about gain and similarity ({some}; {LEAST_TASKS} tasks are needed).{shown}"
        )
    clear = [row for row in with_interval if row["low"] > 0 or row["high"] < 0]
    if not clear:
        widest = max(with_interval, key=lambda row: abs(row["value"]))
        return (
            f"{text}no correlation of gain and similarity can be concluded for any of {len(with_interval)} pairs of checkpoint "
            f"and layer; the largest is {_with(widest)} for {widest['checkpoint']}, {widest['layer']}."
        )
    parts = [
        f"networks that change more gain {'less' if row['value'] > 0 else 'more'} for {row['checkpoint']}, {row['layer']} "
        f"(r = {_with(row)})"
        for row in sorted(clear, key=lambda row: -abs(row["value"]))
    ]
    rest = len(with_interval) - len(clear)
    more = f" For the other {rest} pairs of checkpoint and layer, nothing can be concluded." if rest else ""
    return f"{text}{listed(parts, 4)}.{more}"


def _with(row: dict[str, Any]) -> str:
    return f"{number(row['value'], 2)}{interval(row['low'], row['high'], 2)}"
