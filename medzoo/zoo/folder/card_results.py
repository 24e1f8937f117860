"""Rows of results in a card: their closed schema, and the two forms that the Hub reads."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from medzoo.closed_schema import parse, plain
from medzoo.errors import CardError

TASK_TYPES = {"segmentation": "image-segmentation"}  # of the Hub; all other tasks are classification
MODEL_INDEX_TASK = "image-classification"
SOURCE_NAME = "medzoo results"


@dataclass(frozen=True)
class ResultRow:
    """One score of a checkpoint on a task, with its uncertainty and origin.

    Args:
        task: medzoo's name of the task.
        metric: the standard name of the metric.
        value: finite; the mean if there are several seeds.
        kind: of the task; "segmentation" changes the Hub's task type.
        label: the class of the score; None for the whole task.
        split: the scored split.
        protocol: how the checkpoint was evaluated (linear probe, fine-tuning, ...).
        seeds: of the runs with this value.
        sd: standard deviation over the seeds (ddof 1).
        ci: lowest and highest of the 95 % interval.
        n: number of scored images.
        patients: number of their patients.
        dataset: the data set's id on the Hub, if it has one.
        revision: of that data set.
        source: address of the result files.
        date: of the last run, YYYY-MM-DD.
        run: the id of a single run.
        note: anything else that a reader should know.
    """

    task: str
    metric: str
    value: float
    kind: str | None = None
    label: str | None = None
    split: str | None = None
    protocol: str | None = None
    seeds: tuple[int, ...] = ()
    sd: float | None = None
    ci: tuple[float, ...] | None = None
    n: int | None = None
    patients: int | None = None
    dataset: str | None = None
    revision: str | None = None
    source: str | None = None
    date: str | None = None
    run: str | None = None
    note: str | None = None

    @property
    def spread(self) -> str:
        """The interval and the sd over seeds, as text.

        >>> ResultRow("t", "auroc", 0.9, ci=(0.88, 0.92), seeds=(0, 1, 2)).spread
        '95 % interval 0.8800 to 0.9200, 3 seeds'
        """
        parts = []
        if self.ci is not None:
            parts.append(f"95 % interval {self.ci[0]:.4f} to {self.ci[1]:.4f}")
        if self.sd is not None:
            parts.append(f"sd {self.sd:.4f}")
        if self.seeds:
            parts.append("1 seed" if len(self.seeds) == 1 else f"{len(self.seeds)} seeds")
        return ", ".join(parts) or "one run, no interval"


def check_rows(rows: Iterable[Mapping[str, Any] | ResultRow]) -> tuple[ResultRow, ...]:
    """The checked rows of a card.

    Args:
        rows: with at least task, metric and value.

    Raises:
        CardError: for an unknown or missing key, or a number that is not finite.
    """
    checked = []
    for number, row in enumerate(rows):
        where = f"results[{number}]"
        read = row if isinstance(row, ResultRow) else parse(ResultRow, plain(dict(row)), where, CardError)
        numbers = [value for value in (read.value, read.sd, *(read.ci or ())) if value is not None]
        if not all(math.isfinite(value) for value in numbers):
            raise CardError(
                f"{where}: {read.metric} on {read.task} is not finite. Leave out undefined results.",
                code="result-not-finite",
            )
        if read.ci is not None and not (len(read.ci) == 2 and read.ci[0] <= read.ci[1]):
            raise CardError(
                f"{where}: ci is {list(read.ci)}; it must be two numbers, lowest and highest.", code="result-ci-invalid"
            )
        if read.sd is not None and len(read.seeds) < 2:
            raise CardError(f"{where}: sd needs the seeds of at least two runs.", code="result-sd-without-seeds")
        checked.append(read)
    return tuple(checked)


def model_index(name: str, rows: tuple[ResultRow, ...]) -> list[dict[str, Any]]:
    """The rows as the card's `model-index`.

    Source: https://github.com/huggingface/hub-docs/blob/main/modelcard.md
    """
    results = []
    for row in rows:
        spread = {"seeds": list(row.seeds), "sd": row.sd, "ci95": list(row.ci) if row.ci else None, "n": row.n}
        arguments = {key: value for key, value in spread.items() if value not in (None, [])}
        metric: dict[str, Any] = {"type": row.metric, "value": float(row.value)}
        metric |= {"args": arguments} if arguments else {}
        dataset = {"type": row.dataset or row.task, "name": row.task}
        dataset |= {key: value for key, value in (("split", row.split), ("revision", row.revision)) if value}
        result: dict[str, Any] = {
            "task": {"type": TASK_TYPES.get(row.kind or "", MODEL_INDEX_TASK)},
            "dataset": dataset,
            "metrics": [metric],
        }
        if row.source:
            result["source"] = {"name": SOURCE_NAME, "url": row.source}
        results.append(result)
    return [{"name": name, "results": results}]


def eval_results(rows: tuple[ResultRow, ...]) -> dict[str, str]:
    """The rows as files of `.eval_results`, by path in the repository; only rows with a data set on the Hub.

    Source: https://huggingface.co/docs/hub/eval-results
    """
    import yaml

    files: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if not row.dataset or row.label is not None:
            continue
        entry: dict[str, Any] = {
            "dataset": {"id": row.dataset, "task_id": row.task, **({"revision": row.revision} if row.revision else {})},
            "value": float(row.value),
        }
        if row.date:
            entry["date"] = row.date
        if row.source:
            entry["source"] = {"url": row.source, "name": SOURCE_NAME}
        protocol, images = f"protocol {row.protocol}" if row.protocol else "", f"n {row.n}" if row.n else ""
        entry["notes"] = "; ".join(part for part in (row.metric, protocol, row.spread, images) if part)
        files.setdefault(f".eval_results/{_file_name(row.task)}.yaml", []).append(entry)
    return {path: yaml.safe_dump(entries, sort_keys=False, allow_unicode=True) for path, entries in files.items()}


def _file_name(task: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", task)[:80]
