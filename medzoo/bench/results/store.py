"""The store of results: one immutable JSON file for each run, next to its predictions, named by the run's identity."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo import store
from medzoo.bench.results.record import (
    environment,
    headline_value,
    make_result,
    parquet_bytes,
    plain,
    predictions,
    read_result,
    write_copy,
)
from medzoo.bench.results.schema import run_id, validate
from medzoo.errors import OtherVersionError, ResultError
from medzoo.locks import BEAT, LEASE, wait_for

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "ResultStore",
    "environment",
    "headline_value",
    "make_result",
    "predictions",
    "predictions_path",
    "read_result",
    "run_id",
    "safe_name",
    "validate",
    "write_copy",
]
# These may differ between two correct runs of one identity. The identity itself is compared by its key, because the
# source of the weights (repo, revision) may differ.
NOT_COMPARED = ("environment", "provenance", "train", "identity", "labels_stay")
_NAME = re.compile(r"[0-9a-f]{16}(\.r[0-9]+)?\.json")
# the file may be intact: it cannot be read at the moment, or a newer medzoo wrote it
_STAYS = {"result-unreadable": "", "result-field-unknown": " If a newer medzoo wrote it, update medzoo."}


def safe_name(name: str, longest: int = 80) -> str:
    """A folder name for any text: plain names do not change, others keep a readable part and get `~` and a hash.

    On a disk that ignores case, two plain names may share a folder; the run id distinguishes the files in it.

    >>> safe_name("resnet50-imagenet"), safe_name("hf-hub:org/näme")
    ('resnet50-imagenet', 'hf-hub_org_n_me~494434b80989')
    """
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?<!\.)", name) and len(name) <= longest:
        return name
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[: longest - 13]
    return f"{readable}~{hashlib.sha256(name.encode()).hexdigest()[:12]}"


class ResultStore:
    """A folder of results: TASK@VERSION/CHECKPOINT/PROTOCOL/RUN_ID.json, each with RUN_ID.predictions.parquet.

    A file is written once and never changed; only predictions that a run lacks are added to it. If a second run of the same
    identity differs only in environment, provenance and training times, nothing is added. If it differs in more, it is
    stored as a replicate (RUN_ID.r2.json), which never counts as another seed. A failed run does not count as a result: the
    next run replaces it, and the failed file is renamed to RUN_ID.failed-1.json. A diverged run counts as a result.

    Args:
        root: the folder; created on the first write.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def path(self, identity: Mapping[str, Any]) -> Path:
        """The file of an identity's result, whether it exists or not."""
        key, task = run_id(plain(identity)), identity["task"]
        folder = f"{safe_name(task['id'])}@{safe_name(task['version'], 20)}"
        names = (safe_name(identity["checkpoint"]["id"]), safe_name(identity["protocol"]["id"]))
        return self.root.joinpath(folder, *names, f"{key[:16]}.json")

    def get(self, run: Mapping[str, Any] | str) -> dict[str, Any] | None:
        """The result of an identity or a run_id, or None; a file that breaks the schema is moved to quarantine.

        A file that cannot be read at the moment, or that a newer medzoo wrote, stays and is reported.
        """
        if isinstance(run, str):
            files = sorted(self.root.glob(f"*@*/*/*/{run[:16]}.json"))
            path, key = files[0] if files else None, run
        else:
            path, key = self.path(run), run_id(plain(run))
        result = self._read(path) if path is not None and path.is_file() else None
        return result if result is not None and result["run_id"].startswith(key) else None

    def put(self, result: Mapping[str, Any], predictions: pa.Table | None = None) -> Path:
        """Add a result with its predictions atomically.

        Returns:
            The file that counts for this identity (the first one, if a replicate was added).

        Raises:
            ResultError: if the result breaks the schema, or the predictions do not match its sha256.
        """
        row: dict[str, Any] = plain(result)
        validate(row)
        content = _checked_content(row, predictions)
        final = self.path(row["identity"])
        with self._write_lock(row["run_id"]):
            first = self._read(final) if final.is_file() else None

            # a failed run is replaced
            if first is not None and first["status"] == "failed" and row["status"] != "failed":
                os.replace(final, _unused_name(final, "failed-", 1))
                first = None
            if not final.exists():
                _write(final, row, content)
                return final

            # a run that differs from all stored runs of its identity is a replicate
            others = {path: self._read(path) for path in sorted(final.parent.glob(f"{final.stem}.r*.json"))}
            for path, other in {final: first, **others}.items():
                if other is not None and _compared(other) == _compared(row):
                    return final
                if other is not None and content is not None and _lacks_predictions_of(row, other):
                    _add_predictions(path, other, row, content)
                    return final
            replicate = _unused_name(final, "r", 2)
            _write(replicate, row, content)
        if first is None:
            warnings.warn(
                f"{final} cannot be read, so this run is stored as {replicate.name} and not counted.", stacklevel=2
            )
            return final
        differing = [key for key, value in _compared(row).items() if _compared(first)[key] != value]
        warnings.warn(
            f"A second run of {final} differs in {', '.join(differing)}; it is stored as {replicate.name} and not counted. "
            "Different hardware or different library versions can cause this.",
            stacklevel=2,
        )
        return final

    def complete(self, path: Path, result: Mapping[str, Any], predictions: pa.Table) -> bool:
        """Add predictions to a stored run that has none, because it came from a flat table.

        Args:
            path: of the stored run.
            result: the same run, with the sha256 of its predictions.
            predictions: their table.

        Returns:
            Whether the stored run had none.

        Raises:
            ResultError: if the predictions do not match the sha256.
        """
        content = _checked_content(result, predictions)
        with self._write_lock(result["run_id"]):
            stored = self._read(path)
            if content is None or stored is None or stored["predictions"]["sha256"] is not None:
                return False
            _add_predictions(path, stored, result, content)
            return True

    @contextmanager
    def claim(self, identity: Mapping[str, Any]) -> Iterator[None]:
        """Lock a run while the block computes it, so that two workers do not compute the same run.

        Raises:
            RunFolderError: if a running process has the lock.
        """
        with store.claim(self.root / "claims" / f"{run_id(plain(identity))}.json"):
            yield

    def all(self, *, replicates: bool = False) -> list[tuple[Path, dict[str, Any]]]:
        """Every valid result with its file, sorted by path; invalid files are moved to quarantine with a warning.

        Args:
            replicates: include the replicates of other results.
        """
        results = []
        for path in sorted(self.root.glob("*@*/*/*/*.json")):
            name = _NAME.fullmatch(path.name)
            if name and (replicates or not name[1]) and (result := self._read(path)) is not None:
                results.append((path, result))
        return results

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            return read_result(path)
        except OtherVersionError as error:  # another medzoo can read it, so it is not moved
            warnings.warn(f"{error} It is not counted.", stacklevel=3)
            return None
        except ResultError as error:
            if error.code in _STAYS:
                warnings.warn(f"{error} It is not counted.{_STAYS[error.code]}", stacklevel=3)
                return None
            moved = self._quarantine(path)
            warnings.warn(f"{error} It is not counted{f' and was moved to {moved}' if moved else ''}.", stacklevel=3)
            return None

    def _quarantine(self, path: Path) -> Path | None:
        with suppress(OSError):  # in a read-only store the file stays where it is
            (self.root / "quarantine").mkdir(exist_ok=True)
            for file in (path, predictions_path(path)):
                if file.is_file():
                    place = "__".join(file.relative_to(self.root).parts)
                    # the random prefix keeps the names of two such files different
                    os.replace(file, self.root / "quarantine" / f"{uuid.uuid4().hex[:8]}__{place[-180:]}")
            return self.root / "quarantine"
        return None

    @contextmanager
    def _write_lock(self, key: str) -> Iterator[None]:
        """Wait for the lock to write. A writer of another machine that died is waited for until its lock is stale."""
        path = self.root / "claims" / f"{key}.put.json"
        with wait_for(path, lease=LEASE, pause=0.02, at_most=LEASE + 2 * BEAT):
            yield


def predictions_path(path: Path) -> Path:
    """The file of predictions of a result file."""
    return path.with_name(f"{path.name.removesuffix('.json')}.predictions.parquet")


def _compared(result: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key not in NOT_COMPARED}


def _checked_content(result: Mapping[str, Any], predictions: pa.Table | None) -> bytes | None:
    """The predictions as the bytes of their file."""
    content = None if predictions is None else parquet_bytes(predictions)
    if result["predictions"]["sha256"] != (None if content is None else hashlib.sha256(content).hexdigest()):
        raise ResultError(
            "The predictions do not match predictions.sha256 of the result.", code="predictions-hash-mismatch"
        )
    return content


def _lacks_predictions_of(row: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    """Whether a stored result is that of `row` without predictions."""
    lacks = stored["predictions"]["sha256"] is None
    return lacks and _compared({**stored, "predictions": row["predictions"]}) == _compared(row)


def _add_predictions(path: Path, stored: Mapping[str, Any], row: Mapping[str, Any], content: bytes) -> None:
    """Write the predictions of a stored result, and then the result with their hash; its numbers stay."""
    complete = {**stored, "predictions": row["predictions"]}
    if "labels_stay" in row:
        complete["labels_stay"] = row["labels_stay"] or stored.get("labels_stay", False)
    store.write_bytes(predictions_path(path), content)
    store.write_json(path, complete)


def _unused_name(path: Path, kind: str, number: int) -> Path:
    """The first unused name RUN_ID.<kind><number>.json in the folder of a result."""
    while (unused := path.with_name(f"{path.stem}.{kind}{number}.json")).exists():
        number += 1
    return unused


def _write(path: Path, result: Mapping[str, Any], content: bytes | None) -> None:
    """Write the predictions, then the result, which must not exist yet: a result file means that both are complete."""
    if content is not None:
        store.write_bytes(predictions_path(path), content)
    complete = path.with_name(f"{store.TEMPORARY}{uuid.uuid4().hex[:12]}")
    store.write_json(complete, result)
    try:
        os.link(complete, path)  # unlike a rename, this fails if the file exists
    except FileExistsError as error:
        raise ResultError(
            f"Another process wrote {path} at the same time. Store the result again.", code="result-written-twice"
        ) from error
    except OSError:  # a file system without hard links (FAT, some network disks): only the lock protects
        os.replace(complete, path)
    finally:
        complete.unlink(missing_ok=True)
        store.fsync_folder(path.parent)
