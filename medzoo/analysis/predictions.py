"""Prediction similarity: how often two fine-tuned checkpoints are right and wrong on the same images.

Source: Juodelyte, Jimenez-Sanchez and Cheplygina 2023, section 4.3 (https://arxiv.org/abs/2302.08272).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from medzoo.analysis.agreement.crossed_readers import MeasuredValue, over_folds, with_interval
from medzoo.analysis.agreement.decisions import Decisions, ImageBlock, image_blocks, left_out
from medzoo.analysis.agreement.draw_similarity import draw_similarity
from medzoo.analysis.agreement.similarity import (
    PairSums,
    below_ceiling,
    between_checkpoints,
    constant_decisions,
    mean_over_labels,
    pair_measures,
    within_checkpoint,
)
from medzoo.analysis.figures.style import interval, number
from medzoo.bench.statistics.crossed import estimate
from medzoo.bench.statistics.influence import contributions_of_values
from medzoo.training.options.fields import check_values, option

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medzoo.analysis.inputs.inputs import ComparedInputs

TITLE = "Prediction similarity"
QUESTION = "Are the two fine-tuned checkpoints right and wrong on the same images?"
USES = ("runs",)
MEAN = "mean over labels"
ONE_RUN = "one run for each fold or split: two runs of the same checkpoint are needed"


@dataclass(frozen=True)
class Options:
    """Options of the prediction similarity."""

    similarity_threshold: Literal["0.5", "stored"] = option(
        "threshold of a positive decision: 0.5, or the one stored with each result (chosen on validation)", "0.5"
    )


Key = tuple[str, str, str, str, str]  # pairs, first, second, label, measure


def run(inputs: ComparedInputs, options: Options) -> list[dict[str, Any]]:
    """The similarity of the stored predictions of the two checkpoints, and that of each checkpoint's runs with each other.

    The runs of the first checkpoint are paired with all runs of the second one. An interval states what other patients and other
    seeds would give: runs are readers and patients are cases, in closed form (`crossed_estimate`), because a bootstrap of three
    to five runs gives intervals that are too short. Over folds, each fold is one unit.

    For two classes, and for a label, class agreement equals the similarity.

    Args:
        inputs: the stored runs.
        options: see Options.

    Returns:
        rows with the keys pairs ("between" the checkpoints, "within" one, or "gap": within minus between), first, second, label,
        measure ("accuracy", "similarity", "expected" for independent errors, "excess", "error_kappa", "class_agreement", and
        "constant_decisions": the number of labels for which all runs decide for one class on all images), value, low, high,
        reason, expected, n_images, n_patients, runs_a, runs_b, folds, rule; and rows with the pairs "left_out", whose reason
        names stored runs and images that are not compared.

    Raises:
        NotApplicableError: without comparable runs, or for a task without classes.
        UsageError: for an option outside its limits.
    """
    check_values(options)
    groups = inputs.runs
    blocks = image_blocks(groups, options.similarity_threshold)
    names = groups[0].short, groups[1].short
    if names[0] == names[1]:
        names = groups[0].label, groups[1].label
    found: dict[Key, list[MeasuredValue]] = {}
    for block in blocks:
        for key, value in _of_block(block, names):
            found.setdefault(key, []).append(value)
    counts = {name: sum(of.runs for of in (block.of[place] for block in blocks)) for place, name in enumerate(names)}
    shared = {
        "n_images": sum(block.images for block in blocks),
        "n_patients": sum(int(block.patients.max()) + 1 for block in blocks),
        "folds": len(blocks),
        "rule": blocks[0].rule,
    }
    rows = []
    for key, values in found.items():
        pairs, first, second, label, measure = key
        one = over_folds(values) if len(values) == len(blocks) else MeasuredValue(None, reason=ONE_RUN)
        expected = found.get((pairs, first, second, label, "expected")) if measure == "similarity" else None
        rows.append(
            {"pairs": pairs, "first": first, "second": second, "label": label, "measure": measure, "value": one.value,
             "low": one.low, "high": one.high, "reason": one.reason,
             "expected": over_folds(expected).value if expected else None,
             "runs_a": counts[first], "runs_b": counts[second], **shared}
        )  # fmt: skip
    for note in left_out(groups, blocks):
        empty = dict.fromkeys(("value", "low", "high", "expected"))
        rows.append({**rows[0], **empty, "pairs": "left_out", "measure": "left_out", "reason": note})
    return rows


def _of_block(block: ImageBlock, names: tuple[str, str]) -> Iterator[tuple[Key, MeasuredValue]]:
    """All values of one test split, by the keys of their rows."""
    first, second = block.of
    sides = {"first": (first, first), "second": (second, second), "between": (first, second)}
    sums = {
        side: [pair_measures(*pair, place, block.patients) for place in range(len(block.labels))]
        for side, pair in sides.items()
    }
    several = len(block.labels) > 1
    constant = sum(constant_decisions(first, second, place) for place in range(len(block.labels)))
    yield ("between", *names, MEAN if several else "", "constant_decisions"), MeasuredValue(float(constant))
    for place, label in [(None, MEAN if several else ""), *(enumerate(block.labels) if several else ())]:
        made = {side: mean_over_labels(parts) if place is None else parts[place] for side, parts in sums.items()}
        yield from _of_label(block, made, names, label, place)


def _of_label(
    block: ImageBlock, made: dict[str, PairSums], names: tuple[str, str], label: str, place: int | None
) -> Iterator[tuple[Key, MeasuredValue]]:
    first, second = block.of
    for measure, value in between_checkpoints(made["between"]):
        yield ("between", *names, label, measure), value
    for side, name, of in (("first", names[0], first), ("second", names[1], second)):
        yield ("within", name, name, label, "accuracy"), _accuracy(of, block.patients, place)
        if of.runs == 1:
            yield ("within", name, name, label, "similarity"), MeasuredValue(None, reason=ONE_RUN)
            continue
        for measure, value in within_checkpoint(made[side]):
            yield ("within", name, name, label, measure), value
    if min(first.runs, second.runs) >= 3:
        for measure, value in below_ceiling(made["first"], made["second"], made["between"]):
            yield ("gap", *names, label, measure), value


def _accuracy(of: Decisions, patients: np.ndarray, place: int | None) -> MeasuredValue:
    """The share of right decisions of a label, or the mean over labels."""
    right = of.right if place is None else of.right[..., place : place + 1]
    cell = contributions_of_values(right, patients)
    if cell.lacking:
        return MeasuredValue(None, reason=cell.lacking)
    note = "1 run: without the variance of seeds" if of.runs == 1 else ""
    return with_interval(estimate(cell.values, cell.vectors, cell.cases_df), cell.patients, share=True, note=note)


def plot(rows: list[dict[str, Any]]) -> Figure:
    """The similarity with its interval, what independent errors would give, and the agreement of each checkpoint's own runs.

    Args:
        rows: of `run`.
    """
    return draw_similarity(rows)


def table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line for each measure, of each pair of checkpoints and label.

    Args:
        rows: of `run`.
    """
    several = any(row["label"] for row in rows)
    return [
        {
            "pairs of runs": f"{row['first']} and {row['second']}" if row["pairs"] != "left_out" else "not compared",
            **({"label": row["label"]} if several else {}),
            "measure": f"{row['measure'].replace('_', ' ')}{', within minus between' if row['pairs'] == 'gap' else ''}",
            "value": row["value"],
            "low": row["low"],
            "high": row["high"],
            "if independent": row["expected"],
            "note": row["reason"],
        }
        for row in rows
        if row["measure"] != "expected"
    ]


def sentence(rows: list[dict[str, Any]]) -> str:
    """The similarity, its excess over independent errors, and how it compares with two runs of one checkpoint.

    Args:
        rows: of `run`.
    """
    whole = {(row["pairs"], row["first"], row["measure"]): row for row in rows if row["label"] in ("", MEAN)}
    row = next(row for row in rows if row["pairs"] == "between" and row["measure"] == "similarity")
    first, second = row["first"], row["second"]
    excess, kappa = (whole["between", first, measure] for measure in ("excess", "error_kappa"))
    units = f"{row['n_images']} images" if row["label"] == "" else f"{row['n_images']} images (mean over labels)"
    text = (
        f"On {units} of {row['n_patients']} patients, {first} and {second} are both right or both wrong in a share of "
        f"{number(row['value'])}{interval(row['low'], row['high'])}; independent errors would give {number(row['expected'])}. "
    )
    constant = whole["between", first, "constant_decisions"]["value"]
    if constant:
        text += (
            f"All runs decide for one class on all images{f' for {constant:.0f} labels' if row['label'] else ''}, which makes "
            "them agree whatever they have learned; consider the stored thresholds. "
        )
    if excess["low"] is None:
        text += f"There is no interval for the excess ({excess['reason']}), so that nothing can be concluded from it."
    elif excess["low"] > 0:
        text += f"Their errors coincide more often than independent ones: excess {_with(excess)}"
    elif excess["high"] < 0:
        text += f"Their errors coincide less often than independent ones: excess {_with(excess)}"
    else:
        text += f"Whether their errors coincide more often than independent ones cannot be concluded: excess {_with(excess)}"
    if excess["low"] is not None:
        text += f", kappa of the errors {_with(kappa)}."
    return f"{text} {_ceiling(whole, first, second)}"


def _ceiling(whole: dict[tuple[str, str, str], dict[str, Any]], first: str, second: str) -> str:
    """The comparison with two runs of one checkpoint."""
    own = [whole.get(("within", name, "similarity"), {"value": None}) for name in (first, second)]
    if all(row["value"] is None for row in own):
        return "No checkpoint has two runs on the same images, so there is no ceiling to compare with."
    text = "Two runs of the same checkpoint: " + ", ".join(
        f"{number(row['value'])}{interval(row.get('low'), row.get('high'))} ({name})"
        for name, row in zip((first, second), own, strict=True)
        if row["value"] is not None
    )
    gap = whole.get(("gap", first, "similarity"))
    if gap is not None and gap["low"] is None:
        return (
            f"{text}; their difference from the similarity between the checkpoints has no interval ({gap['reason']})."
        )
    if gap is None:
        return f"{text}; three runs of each checkpoint are needed to compare this with the similarity between them."
    if gap["low"] > 0:
        return f"{text}: the checkpoints agree less than their own runs do, by {_with(gap)}."
    if gap["high"] < 0:
        more = f"{number(-gap['value'])}{interval(-gap['high'], -gap['low'])}"
        return f"{text}: the checkpoints agree more than their own runs do, by {more}."
    return f"{text}: a difference between two checkpoints and two seeds cannot be shown ({_with(gap)})."


def _with(row: dict[str, Any]) -> str:
    return f"{number(row['value'])}{interval(row['low'], row['high'])}"
