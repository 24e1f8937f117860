"""Scores that predict transfer from frozen features, next to measured gains over random weights and the gap between domains.

Source: LogME: You et al. 2021; H-score: Bao et al. 2019, Ibrahim et al. 2022; the gap between domains: Jonske et al. 2025.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.analysis.figures.style import interval_of
from medzoo.analysis.inputs.sides import Side, null_of, random_sides, two_sides
from medzoo.analysis.transfer_scores.figure import transferability_figure
from medzoo.analysis.transfer_scores.gains import gain_rows, gap_rows, metric_title
from medzoo.analysis.transfer_scores.pretraining import FORM, given_facts, pretraining_facts, task_modality
from medzoo.analysis.transfer_scores.scores import (
    SCORES,
    jackknife_reach,
    scores_without_blocks,
    transfer_scores,
    usable,
)
from medzoo.bench.table.matching import match_checkpoints
from medzoo.errors import NotApplicableError
from medzoo.training.options.fields import check_values, option

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medzoo.analysis.inputs.inputs import ComparedInputs

TITLE = "Transferability"
QUESTION = "Which network should transfer better, by its features, and which did, by the stored runs?"
USES = ("networks", "training_images", "all_runs")


@dataclass(frozen=True)
class Options:
    """Options of the analysis of transferability."""

    transfer_draws: int = option("random networks that scores are compared with", 2, metavar="N", least=1, most=20)
    task_modality: str | None = option(
        "modality of the task: X-ray, CT, MR, ultrasound, natural ...", metavar="NAME", shown="from the task's title"
    )
    pretrained_on: list[str] | None = option(  # noqa: RUF009 - not a call that makes a list
        f"{FORM} of checkpoints that the registry does not know", metavar="FACT", shown="from the registry"
    )


def run(inputs: ComparedInputs, options: Options) -> list[dict[str, Any]]:
    """The scores of both networks on the training images, and the measured gains and gaps of all stored runs.

    Args:
        inputs: the networks, the task, the store.
        options: see Options.

    Returns:
        rows with a `measure`: "LogME", "H-score", "regularised H-score" (of each network, with their differences), "gain over
        random weights" (of each checkpoint with runs), "domain gap of a pair" and "domain gap".

    Raises:
        UsageError: for an option outside its limits, or a fact of another form.
    """
    check_values(options)
    given = given_facts(options.pretrained_on or ())
    return [*_score_rows(inputs, options), *_run_rows(inputs, options, given)]


def _score_rows(inputs: ComparedInputs, options: Options) -> list[dict[str, Any]]:
    """The three scores of both networks and their differences; intervals are over patients."""
    kind, sides = inputs.task.kind, two_sides(inputs)
    data = inputs.training_images
    labels = np.asarray(data.labels)
    used, reason = usable(kind, labels)
    if reason:
        return [
            {"measure": name, "role": side.role, "network": side.name, "value": None, "reason": reason}
            for name in SCORES
            for side in sides
        ]
    labels = labels[used]
    patients = np.asarray(data.groups)[used]

    def features(side: Side) -> np.ndarray:
        return inputs.training_outputs(side.network)[used]

    found = [transfer_scores(kind, features(side), labels) for side in sides]
    null = [transfer_scores(kind, features(side), labels) for side in random_sides(inputs, options.transfer_draws)]
    blocks = [scores_without_blocks(kind, features(side), labels, patients, inputs.options.seed) for side in sides]
    rows: list[dict[str, Any]] = []
    for name in SCORES:
        random = [value for one in null if (value := one[name][0]) is not None]
        for side, one, left_out in zip(sides, found, blocks, strict=True):
            value, why = one[name]
            reach = jackknife_reach(left_out[name])
            ends = (None, None) if value is None or reach is None else (value - reach, value + reach)
            rows.append(
                {
                    "measure": name, "role": side.role, "network": side.name, "value": value, "low": ends[0], "high": ends[1],
                    **null_of(random), "n_images": len(labels),
                    "n_patients": len(set(patients.tolist())), "n_features": features(side).shape[1], "reason": why,
                }
            )  # fmt: skip
        first, second = (one[name][0] for one in found)
        if first is not None and second is not None:
            reach = jackknife_reach(blocks[1][name] - blocks[0][name])
            value = second - first
            ends = (None, None) if reach is None else (value - reach, value + reach)
            named = {"measure": f"{name}: difference", "role": "second minus first"}
            rows.append({**named, "value": value, "low": ends[0], "high": ends[1], "reason": ""})
    return rows


def _run_rows(
    inputs: ComparedInputs, options: Options, given: dict[str, tuple[tuple[str, ...], int | None]]
) -> list[dict[str, Any]]:
    """Gains and gaps of the stored runs; without runs, a row with the reason."""
    try:
        every = inputs.all_runs
    except NotApplicableError as error:
        return [
            {"measure": name, "value": None, "reason": str(error)}
            for name in ("gain over random weights", "domain gap")
        ]
    modality = task_modality(inputs.task.info, options.task_modality)
    facts = {one.name: pretraining_facts(one.name, modality, given) for one in every}
    roles: dict[str, str] = {}
    places = match_checkpoints([one.runs[0].result for one in every], inputs.labels, inputs.options.hub).places
    for one, names in zip(every, places, strict=True):
        for role, label in zip(("first", "second"), inputs.labels, strict=True):
            if label in names:
                roles.setdefault(one.name, role)
    return [*gain_rows(every, facts, roles), *gap_rows(every, facts, modality)]


def plot(rows: list[dict[str, Any]]) -> Figure:
    """The three scores, the measured gains and the gaps.

    Args:
        rows: of `run`.
    """
    return transferability_figure(rows)


def table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line for each score, gain and gap.

    Args:
        rows: of `run`.
    """
    return [
        {
            "measure": row["measure"],
            "checkpoint": row.get("network") or row.get("checkpoint") or row.get("role", ""),
            "value": row["value"],
            "low": row.get("low"),
            "high": row.get("high"),
            "random weights": row.get("baseline"),
            "note": row.get("reason", ""),
        }
        for row in rows
    ]


def sentence(rows: list[dict[str, Any]]) -> str:
    """Which network the scores prefer, the measured gains of both, whether they agree, and the gap between domains.

    Args:
        rows: of `run`.
    """
    return " ".join([_scores_text(rows), _gains_text(rows), _gap_text(rows)])


def _scores_text(rows: list[dict[str, Any]]) -> str:
    values = [row for row in rows if row["measure"] in SCORES]
    if all(row["value"] is None for row in values):
        return f"There is no score: {values[0]['reason']}."
    parts = []
    for name in SCORES:
        difference = next((row for row in rows if row["measure"] == f"{name}: difference"), None)
        if difference is not None:
            verdict = "is undecided"
            if difference["low"] is None:
                verdict = "has no interval"
            elif not difference["low"] <= 0 <= difference["high"]:
                verdict = "prefers the second" if difference["value"] > 0 else "prefers the first"
            parts.append(f"{name} {verdict} ({difference['value']:+.3f}{interval_of(difference)})")
    return f"{'; '.join(parts)}." if parts else "No score exists for both networks."


def _gains_text(rows: list[dict[str, Any]]) -> str:
    mine = [row for row in rows if row["measure"] == "gain over random weights"]
    shown = [row for row in mine if row["value"] is not None and row["role"]]
    if not shown:
        reason = next((row["reason"] for row in mine if row["reason"]), "the store has no run of them on the task")
        return f"There is no measured gain of these networks: {reason.rstrip('.')}."
    texts = [
        f"{row['value']:+.3f}{interval_of(row)} for the {row['role']}"
        for row in sorted(shown, key=lambda row: row["role"])
    ]
    return f"The measured gain over random weights ({metric_title(shown[0]['metric'])}) is {' and '.join(texts)}."


def _gap_text(rows: list[dict[str, Any]]) -> str:
    gap = next(row for row in rows if row["measure"] == "domain gap")
    if gap["value"] is None:
        return f"The gap between domains is not known: {gap['reason'].rstrip('.')}."
    pairs = [row for row in rows if row["measure"] == "domain gap of a pair" and row["sizes"] == "equal"]
    clear = [row for row in pairs if row["low"] is not None and not row["low"] <= 0 <= row["high"]]
    return (
        f"Pre-training on {gap['modality']} instead of other images changes the result by {gap['value']:+.3f} on average over "
        f"{gap['pairs']} pairs of equal size; {len(clear)} of them have an interval without 0."
    )
