"""The measured gain of checkpoints over random weights, and the gap between intra-domain and cross-domain pre-training.

The gap is the performance after intra-domain minus that after cross-domain pre-training on sets of equal size.

Source: Jonske et al. 2025.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from medzoo.analysis.inputs.stored import StoredRuns
from medzoo.analysis.transfer_scores.pretraining import PretrainingFacts
from medzoo.bench.metrics import METRICS, headline
from medzoo.bench.statistics.comparison import Comparison, compare_cells
from medzoo.bench.statistics.influence import Contributions
from medzoo.bench.statistics.stored import contributions_of_runs
from medzoo.errors import ResultError

EQUAL = 1.5  # sets of images up to this ratio count as equally large
Row = dict[str, Any]


def cell_of(runs: StoredRuns) -> tuple[Contributions, str]:
    """The contributions of a checkpoint's runs to the metric of the task, and its name.

    Args:
        runs: of one protocol.

    Raises:
        ResultError: if there is no interval of the metric, or the runs have different images.
    """
    results = [run.result for run in runs.runs]
    metric = str(results[0]["metric"])
    values = [float(headline(result["metrics"], metric)["value"]) for result in results]
    return contributions_of_runs([run.predictions for run in runs.runs], metric, values), metric


def difference(first: StoredRuns, second: StoredRuns) -> tuple[Comparison | None, str, str]:
    """How much better the first is than the second; a positive difference is better also where lower values are.

    Args:
        first: runs of a checkpoint.
        second: runs of another one, on the same images.

    Returns:
        The comparison or None, the metric, and the reason if there is none.
    """
    try:
        (one, metric), (other, _) = cell_of(first), cell_of(second)
    except (ResultError, TypeError) as error:
        return None, "", str(error)
    if first.runs[0].predictions.samples != second.runs[0].predictions.samples:
        return None, metric, "the runs have different test images"
    found = compare_cells(one, other, metric)
    if metric in METRICS and not METRICS[metric].higher_is_better:
        found = compare_cells(other, one, metric)
    return (found, metric, "") if np.isfinite(found.delta) else (None, metric, found.note)


def metric_title(name: str) -> str:
    """The printed name of a metric.

    >>> metric_title("auroc"), metric_title("other")
    ('AUROC', 'other')
    """
    return METRICS[name].title if name in METRICS else name


def architecture_of(runs: StoredRuns) -> str:
    """The architecture of a checkpoint in its results."""
    return str(runs.runs[0].result["identity"]["checkpoint"]["arch"])


def gain_rows(every: Sequence[StoredRuns], facts: dict[str, PretrainingFacts], roles: dict[str, str]) -> list[Row]:
    """The gain of each checkpoint over random weights of its architecture.

    Args:
        every: the runs of all checkpoints on the task.
        facts: about their pre-training, by name.
        roles: "first" or "second" by the name of the checkpoint.
    """
    rows = []
    random = {architecture_of(one): one for one in every if facts[one.name].domain == "random"}
    for one in every:
        known = facts[one.name]
        if known.domain == "random":
            continue
        row: Row = {
            "measure": "gain over random weights", "network": one.name, "role": roles.get(one.name, ""),
            "domain": known.domain, "modalities": ", ".join(known.modalities), "images": known.images,
            "runs": len(one.runs),
        }  # fmt: skip
        control = random.get(architecture_of(one))
        if control is None:
            reason = f"there is no run of random weights of {architecture_of(one)} with the protocol {one.protocol}"
            rows.append({**row, "value": None, "reason": reason})
            continue
        rows.append({**row, "random_runs": len(control.runs), **_compared(one, control)})
    return rows


def gap_rows(every: Sequence[StoredRuns], facts: dict[str, PretrainingFacts], modality: str) -> list[Row]:
    """Intra-domain minus cross-domain performance, for each pair of checkpoints of one architecture, and the mean of equal sizes.

    Args:
        every: the runs of all checkpoints on the task.
        facts: about their pre-training, by name.
        modality: of the task.
    """
    rows = []
    for one in every:
        for other in every:
            mine, theirs = facts[one.name], facts[other.name]
            if (mine.domain, theirs.domain) == ("intra", "cross") and architecture_of(one) == architecture_of(other):
                size = _sizes(mine.images, theirs.images)
                rows.append(
                    {
                        "measure": "domain gap of a pair", "network": f"{one.name} − {other.name}", "modality": modality,
                        "sizes": size, "images": mine.images, "cross_images": theirs.images, **_compared(one, other),
                    }
                )  # fmt: skip
    equal = [row["value"] for row in rows if row["sizes"] == "equal" and row["value"] is not None]
    whole: Row = {"measure": "domain gap", "modality": modality, "pairs": len(equal)}
    if equal:
        return [*rows, {**whole, "value": float(np.mean(equal)), "reason": ""}]
    return [*rows, {**whole, "value": None, "reason": _why_not(facts, modality, rows)}]


def _why_not(facts: dict[str, PretrainingFacts], modality: str, rows: list[Row]) -> str:
    if not modality:
        return "the modality of the task is not known: give --task-modality"
    domains = {one.domain for one in facts.values()}
    for domain in ("intra", "cross"):
        if domain not in domains:
            unknown = sorted(one.name for one in facts.values() if one.domain == "unknown")
            more = f"; the pre-training of {', '.join(unknown)} is not known: give --pretrained-on" if unknown else ""
            return f"no {domain}-domain checkpoint has runs on the task{more}"
    return (
        "no pair has the same architecture and equally many images" if not rows else "no pair has equally many images"
    )


def _sizes(first: int | None, second: int | None) -> str:
    if first is None or second is None:
        return "not known"
    return "equal" if max(first, second) <= EQUAL * min(first, second) else "not equal"


def _compared(first: StoredRuns, second: StoredRuns) -> Row:
    found, metric, reason = difference(first, second)
    if found is None:
        return {"metric": metric, "value": None, "reason": reason}
    return {
        "metric": metric, "value": found.delta, "low": found.low, "high": found.high, "p": found.p,
        "n_patients": found.patients, "note": found.note, "reason": "",
    }  # fmt: skip
