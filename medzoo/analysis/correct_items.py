"""Who knew what: the images by the set of checkpoints that are right on them.

Source: Jonske et al. 2025, "Why does my medical AI look at pictures of birds?" (https://arxiv.org/abs/2306.17555).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from medzoo.analysis.agreement.crossed_readers import over_folds
from medzoo.analysis.agreement.decisions import image_blocks, left_out
from medzoo.analysis.agreement.draw_sets import draw_sets
from medzoo.analysis.agreement.known_sets import Items, SetShare, all_sets, items_of, members_of_set, share_of_sets
from medzoo.analysis.figures.style import interval, number
from medzoo.analysis.inputs.stored import StoredRuns
from medzoo.bench.table.matching import match_checkpoints
from medzoo.errors import NotApplicableError, listed
from medzoo.training.options.fields import check_values, option

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medzoo.analysis.inputs.inputs import ComparedInputs

TITLE = "Who knew what"
QUESTION = "Which images do all checkpoints get right, only some, or none, compared with independent errors?"
USES = ("all_runs",)
MOST = 6  # checkpoints: 64 sets


@dataclass(frozen=True)
class Options:
    """Options of the sets of checkpoints."""

    items_of: list[str] | None = option(  # noqa: RUF009 - not a call that makes a list
        f"checkpoints whose sets are counted, at most {MOST}",
        metavar="NAME",
        shown="the two compared ones, then those with most runs",
    )
    items_rule: Literal["each", "majority"] = option(
        "what several runs of a checkpoint decide: each run counts in equal parts, or the majority decides", "each"
    )
    items_threshold: Literal["0.5", "stored"] = option(
        "threshold of a positive decision: 0.5, or the one stored with each result (chosen on validation)", "0.5"
    )
    items_listed: int = option(
        "the most items that are listed for no checkpoint, and for each checkpoint alone",
        10,
        metavar="N",
        least=0,
        most=10_000,
    )


def run(inputs: ComparedInputs, options: Options) -> list[dict[str, Any]]:
    """The share of items for each set of checkpoints, with what independent errors would give.

    An item is an image, or an annotated pair of image and label. Over folds, each fold is one unit.

    Args:
        inputs: all stored runs of the task.
        options: see Options.

    Returns:
        rows with the keys measure, label, size, value (share), low, high, expected, excess, excess_low, excess_high, poisson,
        reason, n_items, n_images, n_patients, checkpoints, runs. The measures are "set" (exactly these checkpoints are right;
        label names them, joined by " + "), "known_by" (exactly `size` checkpoints are right), "not_by" (the first compared
        checkpoint is right, the second is wrong, or the reverse), "item" (an item that none or only one gets right: `sample` is
        its id in the stored predictions, `of_label` its label, value the share of the combinations of runs) and "left_out" (runs
        that are not counted, in `reason`).

    Raises:
        NotApplicableError: with fewer than two checkpoints, for a task without classes, or without common images.
        UsageError: for an option outside its limits.
    """
    check_values(options)
    groups = _chosen(inputs, options)
    names = [group.short for group in groups]
    if len(set(names)) < len(names):
        names = [group.label for group in groups]
    blocks = image_blocks(groups, options.items_threshold)
    items = [items_of(block, options.items_rule) for block in blocks]
    sets = all_sets(len(groups))
    shared = {
        "n_items": sum(len(one.patients) for one in items),
        "n_images": sum(one.images for one in items),
        "n_patients": sum(len(set(one.patients.tolist())) for one in items),
        "checkpoints": len(groups),
        "runs": sum(of.runs for block in blocks for of in block.of),
    }
    wanted: list[tuple[str, str, int, list[tuple[int, ...]]]] = [
        ("set", " + ".join(names[k] for k in one) or "none", len(one), [one]) for one in sets
    ]
    wanted += [
        ("known_by", f"exactly {size} of {len(groups)}", size, [one for one in sets if len(one) == size])
        for size in range(len(groups) + 1)
    ]
    for first, second in ((0, 1), (1, 0)):
        members = [one for one in sets if first in one and second not in one]
        wanted.append(("not_by", f"{names[first]}, not {names[second]}", 1, members))
    rows = [{**_row(measure, label, size, items, members), **shared} for measure, label, size, members in wanted]
    empty = dict.fromkeys(rows[0]) | {"measure": "left_out", "label": "", "size": 0}
    notes = [*left_out(groups, blocks), *_other_checkpoints(inputs, groups)]
    rows += [
        {**empty, **shared, "measure": "item", "label": label, "size": size, "sample": sample, "of_label": of_label,
         "value": share, "reason": ""}
        for measure, label, size, members in wanted
        if measure == "set" and size < 2
        for one in items
        for sample, of_label, share in members_of_set(one, members[0], options.items_listed)
    ]  # fmt: skip
    return rows + [{**empty, **shared, "reason": note} for note in notes]


def _row(
    measure: str, label: str, size: int, items: Sequence[Items], members: Sequence[tuple[int, ...]]
) -> dict[str, Any]:
    """The row of some sets, over all folds."""
    found: list[SetShare] = [share_of_sets(one, members) for one in items]
    share, excess = over_folds([one.share for one in found]), over_folds([one.excess for one in found])
    count = len(found)
    return {
        "measure": measure, "label": label, "size": size, "value": share.value, "low": share.low, "high": share.high,
        "expected": sum(one.expected for one in found) / count,
        "excess": excess.value, "excess_low": excess.low, "excess_high": excess.high,
        "poisson": sum(one.poisson**2 for one in found) ** 0.5 / count, "reason": share.reason or excess.reason,
    }  # fmt: skip


def _chosen(inputs: ComparedInputs, options: Options) -> list[StoredRuns]:
    """The checkpoints whose sets are counted; the two compared ones first."""
    groups = list(inputs.all_runs)
    names = list(inputs.labels if options.items_of is None else options.items_of)
    results = [group.runs[0].result for group in groups]
    places = match_checkpoints(results, names, inputs.options.hub).places
    named = [group for name in names for group, place in zip(groups, places, strict=True) if name in place]
    if options.items_of is not None:
        missing = [name for name in names if not any(name in place for place in places)]
        if missing:
            raise NotApplicableError(
                f"--items-of names checkpoints without comparable runs on the task: {listed(missing)}. There are runs of "
                f"{listed(group.label for group in groups)}.",
                code="no-runs-of-checkpoint",
            )
        if len(names) > MOST:
            raise NotApplicableError(
                f"--items-of names {len(names)} checkpoints; give at most {MOST}.", code="too-many-checkpoints"
            )
        chosen = named
    else:
        others = sorted((group for group in groups if group not in named), key=lambda group: -len(group.runs))
        chosen = [*named, *others][:MOST]
    if len(chosen) < 2:
        raise NotApplicableError(
            f"The store has comparable runs of only {len(chosen)} checkpoint on the task; two are needed.",
            code="too-few-checkpoints",
        )
    return chosen


def _other_checkpoints(inputs: ComparedInputs, groups: Sequence[StoredRuns]) -> list[str]:
    """Checkpoints with runs on the task that are not counted."""
    counted = {group.label for group in groups}
    more = [group.label for group in inputs.all_runs if group.label not in counted]
    notes = [f"checkpoints beyond the first {MOST} or not chosen: {listed(more)}"] if more else []
    known = {group.name for group in inputs.all_runs}
    every = {run.result["identity"]["checkpoint"]["id"] for run in inputs.task_runs}
    unlike = sorted(every - known)
    return notes + ([f"checkpoints with runs of another protocol or data only: {listed(unlike)}"] if unlike else [])


def plot(rows: list[dict[str, Any]]) -> Figure:
    """The shares as points with intervals, independence as marks, and the members of each set below.

    Args:
        rows: of `run`.
    """
    return draw_sets(rows)


def table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line for each set of checkpoints, the largest first, then the sums.

    Args:
        rows: of `run`.
    """
    sets = sorted((row for row in rows if row["measure"] == "set"), key=lambda row: -row["value"])
    return [
        {
            "right": row["label"],
            "share": row["value"],
            "low": row["low"],
            "high": row["high"],
            "if independent": row["expected"],
            "Poisson error": row["poisson"],
            "note": row["reason"],
        }
        for row in [*sets, *(row for row in rows if row["measure"] != "set")]
    ]


def sentence(rows: list[dict[str, Any]]) -> str:
    """What all and none get right, and which checkpoint alone knows most, against independent errors.

    Args:
        rows: of `run`.
    """
    sets = [row for row in rows if row["measure"] == "set"]
    none, every = sets[0], sets[-1]
    unit = "images" if none["n_items"] == none["n_images"] else "decisions (image and label)"
    text = (
        f"Of {none['n_items']} {unit} of {none['n_patients']} patients, all {none['checkpoints']} checkpoints are right on "
        f"{_share(every)} and none on {_share(none)}."
    )
    if none["excess_low"] is not None and none["excess_low"] > 0:
        text += " All fail together more often than independent errors would."
    elif none["excess_low"] is not None and none["excess_high"] < 0:
        text += " All fail together less often than independent errors would."
    else:
        text += " Whether all fail together more often than with independent errors cannot be concluded."
    alone = [row for row in sets if row["size"] == 1]
    best = max(alone, key=lambda row: row["value"])
    if not best["value"]:
        return f"{text} No checkpoint is right where all others are wrong."
    rivals = [row for row in alone if row is not best and (row["high"] or 0.0) >= (best["low"] or 0.0)]
    text += f" {best['label']} is right where all others are wrong on {_share(best)}"
    if len(alone) == 2:
        return f"{text}."
    return text + (", more than any other." if not rivals else "; that it is more than others cannot be concluded.")


def _share(row: dict[str, Any]) -> str:
    return f"{number(row['value'])}{interval(row['low'], row['high'])} ({number(row['expected'])} if independent)"
