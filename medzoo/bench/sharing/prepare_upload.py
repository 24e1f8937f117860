"""What of a store may leave: each run checked, looked through for what must not leave, and its predictions salted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medzoo import store
from medzoo.bench.results.record import parquet_bytes, read_result
from medzoo.bench.results.store import predictions_path
from medzoo.bench.sharing.identity_check import known_task
from medzoo.bench.sharing.layout import STORED, predictions_file, replicate_of, run_file
from medzoo.bench.sharing.privacy_scan import find_private
from medzoo.bench.sharing.pseudonymize import check_salt, has_labels, is_salted, salted, without_labels
from medzoo.bench.sharing.untrusted import read_predictions
from medzoo.errors import PublishError, ResultError, UsageError, listed


@dataclass(frozen=True)
class Outgoing:
    """A run as it goes up.

    Args:
        file: its place in the repository.
        result: with the hash of the salted predictions.
        content: of the file.
        predictions: where its salted predictions lie on this machine; None if it has none.
    """

    file: str
    result: Mapping[str, Any]
    content: bytes
    predictions: Path | None

    def files(self) -> dict[str, bytes | Path]:
        """The run and its predictions, by their place in the repository."""
        beside = {predictions_file(self.file): self.predictions} if self.predictions else {}
        return {self.file: self.content, **beside}


def prepare_upload(root: Path, folder: Path, salt: str) -> tuple[list[Outgoing], list[str]]:
    """Write what of a store may leave into a folder, laid out as a repository.

    Args:
        root: of the store.
        folder: where runs/ and predictions/ go.
        salt: the secret.

    Returns:
        The runs, and what stays in the store with the reason.

    Raises:
        UsageError: if there is no such store.
        ResultError: for a result that breaks the schema, or without the predictions that it names.
        PublishError: if a token, a place of this machine or an identifier of a patient stands in one.
    """
    if not root.is_dir():
        raise UsageError(f"{root} is no folder; name a store of results.")
    check_salt(salt)
    ready, stays, found = [], [], []
    for path in sorted(root.glob("*@*/*/*/*.json")):
        if not STORED.fullmatch(path.relative_to(root).as_posix()):
            continue
        result = read_result(path)
        if result["status"] == "failed":
            why = result["train"].get("reason") or "no reason stated"
            stays.append(f"{path}: it failed ({why}) and is no result of its identity; run it again")
            continue
        one, columns = _outgoing(path, result, folder, salt)
        found += [*find_private(result, str(path)), *find_private(columns, f"{predictions_path(path)}, columns")]
        ready.append(one)
    if found:
        raise PublishError(
            f"{root} holds what should not leave this machine: {listed(found, 6)}. Move such a result out of the store, or give "
            "the thing another name and run it again."
        )
    return ready, stays


def _outgoing(path: Path, result: dict[str, Any], folder: Path, salt: str) -> tuple[Outgoing, list[str]]:
    file = run_file(result["identity"], replicate_of(path.name))
    wanted, target, columns = result["predictions"]["sha256"], None, []
    if wanted is not None:
        beside, target = predictions_path(path), folder / predictions_file(file)
        if not beside.is_file() or store.sha256_file(beside) != wanted:
            raise ResultError(
                f"{beside} is not there, or is not the file that {path.name} names (sha256 {wanted[:16]}…). Results leave with "
                "their predictions only: bring the file back, or move the result out of the store and run it again."
            )
        try:
            table = read_predictions(beside)
        except ResultError as error:
            raise ResultError(f"{beside}: {error}") from error
        columns = table.column_names
        facts = known_task(result)
        if facts is not None and facts.labels_stay and has_labels(table):
            content = parquet_bytes(without_labels(salted(table, salt)))
        else:
            content = beside.read_bytes() if is_salted(table) else parquet_bytes(salted(table, salt))
        store.write_bytes(target, content)
        result = result | {"predictions": {"sha256": store.sha256_file(target), "rows": table.num_rows}}
    text = json.dumps(result, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    store.write_text(folder / file, text)
    return Outgoing(file, result, text.encode(), target), columns
