"""Results from elsewhere into a store: each checked, none counted twice, and what is left out is told."""

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
from medzoo.bench.sharing.flat_table import read_flat
from medzoo.bench.sharing.layout import PREDICTION, RUN, STORED, predictions_file, replicate_of, run_file, same_run
from medzoo.bench.sharing.parquet_sandbox import check_in_sandbox
from medzoo.bench.sharing.untrusted import parse_result, read_predictions
from medzoo.errors import ResultError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class Taken:
    """What came of results from elsewhere.

    Args:
        added: files of the store with new runs.
        replicates: how many came out differently from the same run in the store; they are kept beside it, not counted.
        known: how many the store had.
        left_out: what was not taken, with the reason.
    """

    added: list[Path] = field(default_factory=list)
    replicates: int = 0
    known: int = 0
    left_out: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        told = f"{len(self.added)} {'run' if len(self.added) == 1 else 'runs'} added, {self.known} known"
        return told + (f", {self.replicates} kept as replicates" if self.replicates else "")


def take(store: ResultStore, runs: Iterable[str], files: Mapping[str, Path]) -> Taken:
    """Put the runs of a repository's files into a store.

    Args:
        store: where they go.
        runs: the files of runs, those that count before their replicates.
        files: all files at hand, by their place in the repository.
    """
    taken = Taken()
    new = set(lacking(store, runs, files))
    harm = check_in_sandbox([files[beside] for name in new if (beside := predictions_file(name)) in files])
    for name in runs:
        try:
            result = parse_result(files[name].read_bytes())
            if (right := run_file(result["identity"], replicate_of(name))) != name:
                raise ResultError(f"It should lie at {right}, by its identity.")
            table = _predictions(result, files.get(predictions_file(name)), harm) if name in new else None
            _put(store, taken, result, table)
        except ResultError as error:
            taken.left_out.append(f"{name}: {error}")
    return taken


def lacking(store: ResultStore, runs: Iterable[str], files: Mapping[str, Path]) -> list[str]:
    """The runs that a store does not have; only their predictions are needed.

    Args:
        store: where they would go.
        runs: the files of runs.
        files: where they lie, by their place in the repository.
    """

    def has(name: str) -> bool:
        try:
            result = parse_result(files[name].read_bytes())
        except ResultError:
            return True  # it is not taken, whatever its predictions are
        return any(same_run(there, result) for there in _held(store.path(result["identity"])).values())

    return [name for name in runs if not has(name)]


def import_results(source: Path | str, store: ResultStore | Path | str) -> Taken:
    """Put results from a folder or a flat table into a store.

    Args:
        source: a store, a repository of results as a folder (runs/ and predictions/), or a .parquet file of `export` (then the
            numbers come without predictions).
        store: where they go.

    Raises:
        UsageError: if there are no results in the source.
        ResultError: if the table is none of `export`.
    """
    source, target = Path(source), store if isinstance(store, ResultStore) else ResultStore(store)
    if source.is_file():
        taken = Taken()
        if why := check_in_sandbox([source], predictions=False).get(source):
            raise ResultError(f"{source}: {why}")
        for _, result in sorted(read_flat(source), key=lambda pair: (replicate_of(pair[0]), pair[0])):
            _put(target, taken, result | {"predictions": {"sha256": None, "rows": 0}}, None)
        return taken
    if (source / "runs").is_dir():
        files = {path.relative_to(source).as_posix(): path for path in source.glob("*/*@*/*/*/*") if path.is_file()}
        files = {name: path for name, path in files.items() if RUN.fullmatch(name) or PREDICTION.fullmatch(name)}
        runs = [name for name in files if RUN.fullmatch(name)]
        if runs:
            return take(target, sorted(runs, key=lambda name: (replicate_of(name), name)), files)
    stored = [path for path in source.glob("*@*/*/*/*.json") if STORED.fullmatch(path.relative_to(source).as_posix())]
    if not stored:
        raise UsageError(f"{source} is no folder of results and no Parquet file of them.")
    taken = Taken()
    harm = check_in_sandbox([beside for path in stored if (beside := predictions_path(path)).is_file()])
    for path in sorted(stored, key=lambda path: (replicate_of(path.name), path)):
        try:
            result = read_result(path)
            _put(target, taken, result, _predictions(result, predictions_path(path), harm))
        except ResultError as error:
            taken.left_out.append(f"{path}: {error}")
    return taken


def _predictions(result: Mapping[str, Any], path: Path | None, harm: Mapping[Path, str]) -> pa.Table | None:
    if (wanted := result["predictions"]["sha256"]) is None:
        return None
    if path is None or not path.is_file():
        raise ResultError("Its predictions are missing.")
    if path in harm:
        raise ResultError(f"Its predictions: {harm[path]}")
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != wanted:
            raise ResultError(f"Its predictions are not the file whose sha256 it names ({wanted[:16]}…).")
    return read_predictions(path)


def _put(store: ResultStore, taken: Taken, result: dict[str, Any], table: pa.Table | None) -> None:
    final = store.path(result["identity"])
    before = _held(final)
    if any(same_run(there, result) for there in before.values()):
        taken.known += 1
        return
    if table is not None:  # another pyarrow writes the same table in other bytes
        digest = hashlib.sha256(parquet_bytes(table)).hexdigest()
        result = result | {"predictions": {"sha256": digest, "rows": table.num_rows}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store.put(result, table)
    after = _held(final)
    if after.get(final) != before.get(final):  # new, or in the place of a failed run
        taken.added.append(final)
    elif len(after) > len(before):
        taken.replicates += 1
    else:
        taken.known += 1


def _held(final: Path) -> dict[Path, dict[str, Any]]:
    """The runs of one identity that a store has."""
    found = {}
    for path in final.parent.glob(f"{final.stem}*.json"):
        if path == final or path.name.startswith(f"{final.stem}.r"):
            with suppress(ResultError):
                found[path] = read_result(path)
    return found
