"""Make the rows, columns and footnotes of a table from result files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from medzoo.bench.results.store import ResultStore, read_result, validate
from medzoo.bench.suite import short_task
from medzoo.bench.table.cell import Run, TableCell
from medzoo.bench.table.model import Column, TableRow
from medzoo.bench.table.run_command import run_command
from medzoo.errors import UsageError

Results = Path | str | Iterable[Path | str | Mapping[str, Any]]


def load(results: Results) -> tuple[list[tuple[Path | None, dict[str, Any]]], Path]:
    """Read results from a store's folder, from files or from dicts. Returns each run once, and the common folder.

    Raises:
        UsageError: for a file that does not exist.
        ResultError: for a file or dict that breaks the schema.
    """
    if isinstance(results, Path | str) and Path(results).is_dir():
        return [(path, result) for path, result in ResultStore(results).all()], Path(results)
    if isinstance(results, bytes | Mapping | type) or not isinstance(results, Iterable | Path):
        raise UsageError(
            f"The results are {results!r}; give the folder of a store, or a list of result files.",
            code="results-type-wrong",
        )
    loaded: list[tuple[Path | None, dict[str, Any]]] = []
    for item in [results] if isinstance(results, Path | str) else results:
        if isinstance(item, Mapping):
            row = {key: value for key, value in item.items() if key != "path"}
            validate(row)
            loaded.append((Path(item["path"]) if item.get("path") else None, row))
        elif isinstance(item, Path | str) and Path(item).is_file():
            loaded.append((Path(item), read_result(Path(item))))
        else:
            raise UsageError(f"{item} is neither a result file nor a folder of results.", code="not-a-result-file")
    once: dict[str, tuple[Path | None, dict[str, Any]]] = {}
    for path, result in sorted(loaded, key=lambda pair: len(pair[0].name) if pair[0] else 0):  # replicates come last
        once.setdefault(result["run_id"], (path, result))
    return list(once.values()), common_folder([path for path, _ in loaded if path])


def common_folder(paths: Iterable[Path]) -> Path:
    """The common folder of files; without files, the working directory."""
    parents = [path.resolve().parent for path in paths]
    return Path(os.path.commonpath(parents)) if parents else Path()


def names(chosen: Sequence[str] | Mapping[str, str] | None, short: bool = False) -> dict[str, str]:
    """The requested names with their labels; empty for "all"."""
    if chosen is None or isinstance(chosen, Mapping):
        return dict(chosen or {})
    return {name: short_task(name) if short else name for name in chosen}


def column_of(result: Mapping[str, Any], metric: str, task: str, title: str, place: int = 0) -> Column:
    """The column of a result. Two results have the same column only if their numbers are comparable.

    The folds of one cross-validation have different splits but share a column, because their division of the data is the same.
    So do the draws of one part of the training images.

    Args:
        result: as stored.
        metric: of the column.
        task: the requested name of the task.
        title: of the column.
        place: position among the requested tasks.
    """
    identity = result["identity"]
    data, protocol = identity["dataset"], identity["protocol"]
    split, folds, part = data["split_hash"], None, identity.get("training_part", {})
    if identity["fold"] is None and "draw" in part:
        split = result["train"].get("draws", {}).get("sha256", split)
    if identity["fold"] is not None:
        validation = result["train"].get("folds")
        split, folds = (validation["sha256"], validation["count"]) if validation else (split, 0)  # 0: not known
    return Column(
        task,
        identity["task"]["version"],
        (data["fingerprint"], split, data["label_policy"] or ""),
        protocol["id"],
        protocol["mode"],
        float(protocol["label_fraction"]),
        protocol["hash"],
        metric,
        result["provenance"]["origin"] == "reported",
        title,
        folds=folds,
        place=place,
        per_class=part.get("per_class"),
        drawn="draw" in part,
    )


def counted_folds(column: Column, runs: Iterable[Run]) -> Column:
    """The column with the number of its folds, if its results do not give that number; a column of one fold names it."""
    if column.folds != 0:
        return column
    folds = {run.fold for run in runs if run.fold is not None}
    return replace(column, folds=len(folds)) if len(folds) > 1 else replace(column, folds=None, fold=min(folds))


def run_of(result: Mapping[str, Any], metric: str, path: Path | None) -> Run:
    """The run of a result, with its value of one metric."""
    identity, rows = result["identity"], result["metrics"]
    named = [row for row in rows if row["name"] == metric]
    whole = next((row for row in named if row["label"] is None), None)  # of the whole task, not of one label
    ok = result["status"] == "ok" and whole is not None
    checkpoint = identity["checkpoint"]
    reason = whole["undefined"] if whole else f"no {metric} in this result"
    train, predictions = result["train"], result["predictions"]
    on_device = train.get("gpu_s") is not None
    return Run(
        seed=identity["seed"],
        fold=identity["fold"],
        status=result["status"],
        value=whole["value"] if ok and whole else None,
        undefined=(reason if result["status"] == "ok" else result["train"].get("reason")),
        run_id=result["run_id"],
        path=path,
        recipe="|".join(
            str(x)
            for x in (
                identity["dataset"]["preprocess_hash"],
                checkpoint["arch"],
                checkpoint["init"],
                identity.get("processes", 1),
            )
        ),
        n=whole["n"] if whole else None,
        n_patients=whole["n_patients"] if whole else None,
        n_labels=whole.get("n_labels") if whole else None,
        of_labels=sum(row["label"] is not None for row in named) or None,
        pixels=identity["protocol"].get("size"),
        draw=identity.get("training_part", {}).get("draw"),
        architecture=checkpoint["arch"],
        seconds=train["gpu_s"] if on_device else train.get("wall_s"),
        on_device=on_device,
        device=result["environment"]["device"]["name"],
        has_predictions=predictions["rows"] > 0 and predictions["sha256"] is not None,
        command=run_command(result),
    )


def place(run: Run) -> tuple[int, int, int, str]:
    """The order of runs within a cell."""
    return (-1 if run.fold is None else run.fold, -1 if run.draw is None else run.draw, run.seed, run.run_id)


def ordered_rows(used: Iterable[tuple[str, str | None]], chosen: Mapping[str, str]) -> list[TableRow]:
    """The rows in the requested order, else random weights first and the rest by name; a name with two weights has two rows."""
    weights: dict[str, list[str | None]] = {name: [] for name in chosen}
    for name, sha in used:
        known = weights.setdefault(name, [])
        if sha not in known:
            known.append(sha)
    order = list(chosen) or sorted(weights, key=lambda name: (not name.endswith("-random"), _natural(name)))
    rows = []
    for name in order:
        label = chosen.get(name, name)
        several = sorted(weights[name], key=str) or [None]
        rows += [
            TableRow(name, sha, f"{label} @{(sha or 'drawn')[:8]}" if len(several) > 1 else label) for sha in several
        ]
    return rows


def ordered_columns(used: Iterable[Column], chosen: Sequence[tuple[str, str]]) -> list[Column]:
    """The columns in the requested order, else by task, protocol, mode and fraction; a task without results stays, empty."""
    columns = set(used)
    for place, (name, title) in enumerate(chosen):
        if not any(column.place == place for column in columns):
            columns.add(Column(name, "", (), "", "", 1.0, "", "", False, title, place=place))

    def order(c: Column) -> tuple[Any, ...]:
        return (
            c.place,
            _natural(c.task),
            _natural(c.version),
            (c.per_class is None, c.per_class, c.fraction),
            c.data,
            c.protocol,
            c.mode,
            c.protocol_hash,
            c.metric,
            c.reported,
        )

    return sorted(columns, key=order)


def pixels_of(cells: Iterable[TableCell]) -> str:
    """The side lengths of the inputs of a column's runs."""
    span = _span(run.pixels for cell in cells for run in cell.runs)
    return f"{span} px" if span else ""


def size_of(cells: Iterable[TableCell]) -> str:
    """The numbers of images and patients of a column's runs, and of the labels in its means."""
    cells = list(cells)
    runs = [run for cell in cells for run in cell.runs if run.value is not None]
    if not runs:
        return ""
    images, patients = _span(run.n for run in runs), _span(run.n_patients for run in runs)
    text = f"{images} images" if images == patients else f"{images} images, {patients} patients"
    left_out = [cell.interval for cell in cells if cell.interval is not None and cell.interval.left_out]
    if left_out:
        used, of = (_span(one.labels + extra * len(one.left_out) for one in left_out) for extra in (0, 1))
        text += f", mean of {used} of {of} labels"
    elif any(run.n_labels is not None for run in runs):
        used, of = _span(run.n_labels for run in runs), _span(run.of_labels for run in runs)
        text += f", mean of {used} labels" if used == of or not of else f", mean of {used} of {of} labels"
    return text


def _natural(text: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text) if part]


def _span(numbers: Iterable[int | None]) -> str:
    known = sorted({number for number in numbers if number is not None})
    return "" if not known else f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"
