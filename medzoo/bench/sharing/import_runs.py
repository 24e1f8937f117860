"""Import results into a store: each result is checked, none is counted twice, and rejected results are reported."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo.bench.results.record import parquet_bytes, read_result
from medzoo.bench.results.store import ResultStore, predictions_path
from medzoo.bench.results.untrusted import parse_result, read_predictions
from medzoo.bench.sharing.flat_table import read_flat
from medzoo.bench.sharing.layout import PREDICTION, RUN, STORED, predictions_file, replicate_of, run_file, same_run
from medzoo.bench.sharing.parquet_sandbox import check_in_sandbox
from medzoo.errors import ResultError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class Taken:
    """The outcome of an import.

    Args:
        added: files of the store with new runs.
        replicates: number of runs with other numbers than the same run in the store; they are stored, but not counted.
        known: number of runs that the store already had.
        completed: number of runs that the store already had without predictions, and that got them.
        left_out: rejected runs, with the reason.
    """

    added: list[Path] = field(default_factory=list)
    replicates: int = 0
    known: int = 0
    completed: int = 0
    left_out: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        text = f"{len(self.added)} {'run' if len(self.added) == 1 else 'runs'} added, {self.known} known"
        text += f", {self.completed} completed with their predictions" if self.completed else ""
        return text + (f", {self.replicates} stored as replicates" if self.replicates else "")


def take(store: ResultStore, runs: Iterable[str], files: Mapping[str, Path]) -> Taken:
    """Put runs from a repository's files into a store.

    Args:
        store: the target.
        runs: names of the files of runs; counted runs come before their replicates.
        files: paths of the available files, by their path in the repository.
    """
    taken = Taken()
    new = set(lacking(store, runs, files))
    unreadable = check_in_sandbox([files[parquet] for name in new if (parquet := predictions_file(name)) in files])
    for name in runs:
        try:
            result = parse_result(files[name].read_bytes())
            if (expected := run_file(result["identity"], replicate_of(name))) != name:
                raise ResultError(f"Wrong path: expected {expected} for this identity.", code="run-path-wrong")
            table = _predictions(result, files.get(predictions_file(name)), unreadable) if name in new else None
            _put(store, taken, result, table, replicate_of(name))
        except ResultError as error:
            taken.left_out.append(f"{name}: {error}")
    return taken


def lacking(store: ResultStore, runs: Iterable[str], files: Mapping[str, Path]) -> list[str]:
    """The runs that a store does not have, or has without their predictions; only their predictions are needed.

    Args:
        store: the target.
        runs: names of the files of runs.
        files: paths of the available files, by their path in the repository.
    """

    def has(name: str) -> bool:
        try:
            result = parse_result(files[name].read_bytes())
        except ResultError:
            return True  # an invalid result is rejected, so its predictions are not needed
        stored = [one for one in _stored_runs(store.path(result["identity"])).values() if same_run(one, result)]
        return any(not _lacks_predictions(one, result) for one in stored)

    return [name for name in runs if not has(name)]


def import_results(source: Path | str, store: ResultStore | Path | str) -> Taken:
    """Import results from a folder or a flat table into a store.

    Args:
        source: a store, a repository of results as a folder (runs/ and predictions/), or a .parquet file of `export` (which
            has no predictions).
        store: the target.

    Raises:
        UsageError: if there are no results in the source.
        ResultError: if the file is not a table of `export`.
    """
    source, target = Path(source), store if isinstance(store, ResultStore) else ResultStore(store)

    # a flat table
    if source.is_file():
        taken = Taken()
        if why := check_in_sandbox([source], predictions=False).get(source):
            raise ResultError(f"{source}: {why}", code="parquet-unsafe")
        for name, result in sorted(read_flat(source), key=lambda pair: (replicate_of(pair[0]), pair[0])):
            try:
                _put(target, taken, result | {"predictions": {"sha256": None, "rows": 0}}, None, replicate_of(name))
            except ResultError as error:
                taken.left_out.append(f"{name}: {error}")
        return taken

    # a folder in the layout of a repository
    if (source / "runs").is_dir():
        files = {path.relative_to(source).as_posix(): path for path in source.glob("*/*@*/*/*/*") if path.is_file()}
        files = {name: path for name, path in files.items() if RUN.fullmatch(name) or PREDICTION.fullmatch(name)}
        runs = [name for name in files if RUN.fullmatch(name)]
        if runs:
            return take(target, sorted(runs, key=lambda name: (replicate_of(name), name)), files)

    # a store
    stored = [path for path in source.glob("*@*/*/*/*.json") if STORED.fullmatch(path.relative_to(source).as_posix())]
    if not stored:
        raise UsageError(f"{source} is neither a folder nor a Parquet file of results.", code="no-results-in-source")
    taken = Taken()
    unreadable = check_in_sandbox([parquet for path in stored if (parquet := predictions_path(path)).is_file()])
    for path in sorted(stored, key=lambda path: (replicate_of(path.name), path)):
        try:
            result = read_result(path)
            table = _predictions(result, predictions_path(path), unreadable)
            _put(target, taken, result, table, replicate_of(path.name))
        except ResultError as error:
            taken.left_out.append(f"{path}: {error}")
    return taken


def _predictions(result: Mapping[str, Any], path: Path | None, unreadable: Mapping[Path, str]) -> pa.Table | None:
    if (expected := result["predictions"]["sha256"]) is None:
        return None
    if path is None or not path.is_file():
        raise ResultError("The predictions are missing.", code="predictions-missing")
    if path in unreadable:
        raise ResultError(f"The predictions cannot be read: {unreadable[path]}", code="parquet-unsafe")
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != expected:
            raise ResultError(
                f"The predictions do not match the sha256 in the result ({expected[:16]}…).",
                code="predictions-hash-mismatch",
            )
    return read_predictions(path)


def _lacks_predictions(stored: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
    """Whether a stored run came from a flat table, and the same run now has predictions."""
    return stored["predictions"]["sha256"] is None and result["predictions"]["sha256"] is not None


def _put(store: ResultStore, taken: Taken, result: dict[str, Any], table: pa.Table | None, number: int) -> None:
    """Add a run, or its predictions if the store has the run without them.

    Args:
        store: the target.
        taken: the outcome so far.
        result: of the run.
        table: its predictions.
        number: 1 for the run that counts, 2 and up for its replicates.

    Raises:
        ResultError: for a replicate of a run that the store does not have.
    """
    final = store.path(result["identity"])
    before = _stored_runs(final)
    if table is not None:  # the bytes of a Parquet file depend on the version of pyarrow
        digest = hashlib.sha256(parquet_bytes(table)).hexdigest()
        result = result | {"predictions": {"sha256": digest, "rows": table.num_rows}}
    if same := [path for path, stored in before.items() if same_run(stored, result)]:
        lacking = [path for path in same if _lacks_predictions(before[path], result)]
        if table is not None and len(lacking) == len(same) and store.complete(lacking[0], result, table):
            taken.completed += 1
        else:
            taken.known += 1
        return
    if number > 1 and (final not in before or before[final]["status"] == "failed"):
        raise ResultError(
            "This is a replicate, which is not counted, and the store does not have the run that is counted: its file is missing "
            "or was rejected. Import both together.",
            code="replicate-without-run",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store.put(result, table)
    after = _stored_runs(final)
    if after.get(final) != before.get(final):  # new, or a replacement of a failed run
        taken.added.append(final)
    elif len(after) > len(before):
        taken.replicates += 1
    else:
        taken.known += 1


def _stored_runs(final: Path) -> dict[Path, dict[str, Any]]:
    """The runs of one identity in a store."""
    runs = {}
    for path in final.parent.glob(f"{final.stem}*.json"):
        if path == final or path.name.startswith(f"{final.stem}.r"):
            with suppress(ResultError):
                runs[path] = read_result(path)
    return runs
