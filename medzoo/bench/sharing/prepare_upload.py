"""Prepare the runs of a store for upload: check each run, search it for private information, and salt its predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medzoo import store
from medzoo.bench.results.known_task import labels_stay
from medzoo.bench.results.record import parquet_bytes, read_result
from medzoo.bench.results.store import predictions_path
from medzoo.bench.results.untrusted import read_predictions
from medzoo.bench.sharing.layout import STORED, predictions_file, replicate_of, run_file
from medzoo.bench.sharing.pseudonymize import check_salt, has_labels, is_salted, salted, without_labels
from medzoo.bench.sharing.result_privacy import find_private
from medzoo.errors import PublishError, ResultError, UsageError, listed


@dataclass(frozen=True)
class Outgoing:
    """A run to upload.

    Args:
        file: its path in the repository.
        result: with the hash of the salted predictions.
        content: of the file.
        predictions: the local file of its salted predictions; None if it has none.
    """

    file: str
    result: Mapping[str, Any]
    content: bytes
    predictions: Path | None

    def files(self) -> dict[str, bytes | Path]:
        """The run and its predictions, by their paths in the repository."""
        predictions = {predictions_file(self.file): self.predictions} if self.predictions else {}
        return {self.file: self.content, **predictions}


def prepare_upload(root: Path, folder: Path, salt: str) -> tuple[list[Outgoing], list[str]]:
    """Write the runs of a store that may be published to a folder, in the layout of a repository.

    Args:
        root: of the store.
        folder: for runs/ and predictions/.
        salt: the secret.

    Returns:
        The runs, and the runs that are not uploaded, with the reason.

    Raises:
        UsageError: if there is no such store.
        ResultError: for a result that breaks the schema, or whose predictions are missing or changed.
        PublishError: if one contains a token, a path of this machine or an identifier of a patient.
    """
    if not root.is_dir():
        raise UsageError(f"{root} is not a folder. Give a store of results.", code="not-a-folder")
    check_salt(salt)
    ready, stays, private = [], [], []
    for path in sorted(root.glob("*@*/*/*/*.json")):
        if not STORED.fullmatch(path.relative_to(root).as_posix()):
            continue
        result = read_result(path)
        if result["status"] == "failed":
            why = result["train"].get("reason") or "no reason given"
            stays.append(f"{path}: the run failed ({why}); run it again")
            continue
        own = result["provenance"]["origin"] == "run"  # a number of a publication has no predictions
        if own and result["status"] == "ok" and result["predictions"]["sha256"] is None:
            stays.append(
                f"{path}: the run has no predictions, because it came from a flat table. Import it again from a store or pull it "
                "from its repository, with its predictions."
            )
            continue

        # write the run and its predictions; search both for private information
        one, columns = _outgoing(path, result, folder, salt)
        private += [*find_private(result, str(path)), *find_private(columns, f"{predictions_path(path)}, columns")]
        ready.append(one)
    if private:
        raise PublishError(
            f"{root} contains private information: {listed(private, 6)}. Move these results out of the store, or change the "
            "names and run again.",
            code="private-information",
        )
    return ready, stays


def _outgoing(path: Path, result: dict[str, Any], folder: Path, salt: str) -> tuple[Outgoing, list[str]]:
    file = run_file(result["identity"], replicate_of(path.name))
    expected, target, columns = result["predictions"]["sha256"], None, []
    if expected is not None:
        predictions, target = predictions_path(path), folder / predictions_file(file)
        if not predictions.is_file() or store.sha256_file(predictions) != expected:
            raise ResultError(
                f"{predictions} is missing or does not match the sha256 in {path.name} ({expected[:16]}…). Results are published "
                "only with their predictions. Restore the file, or move the result out of the store and run it again.",
                code="predictions-hash-mismatch",
            )
        try:
            table = read_predictions(predictions)
        except ResultError as error:
            raise ResultError(f"{predictions}: {error}", code=error.code) from error

        # new ids; no labels if the terms of the data forbid publishing them
        columns = table.column_names
        if labels_stay(result) and has_labels(table):
            content = parquet_bytes(without_labels(salted(table, salt)))
        else:
            content = predictions.read_bytes() if is_salted(table) else parquet_bytes(salted(table, salt))
        store.write_bytes(target, content)
        result = result | {"predictions": {"sha256": store.sha256_file(target), "rows": table.num_rows}}
    text = json.dumps(result, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    store.write_text(folder / file, text)
    return Outgoing(file, result, text.encode(), target), columns
