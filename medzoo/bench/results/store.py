"""The store of results: one immutable JSON a run with its predictions beside it, keyed by all that may change it."""

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
from medzoo.bench.results.record import (  # fmt: skip
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
from medzoo.locks import wait_for

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "ResultStore", "environment", "headline_value", "make_result", "predictions", "predictions_path", "read_result",
    "run_id", "safe_name", "validate", "write_copy",
]  # fmt: skip
# May differ between two honest runs of one identity; that is compared by its key, since weights may have lain elsewhere.
NOT_COMPARED = ("environment", "provenance", "train", "identity")
_NAME = re.compile(r"[0-9a-f]{16}(\.r[0-9]+)?\.json")


def safe_name(name: str, longest: int = 80) -> str:
    """A folder name for any text: plain names stay, others keep a readable part and get `~` and a hash.

    On a disk that ignores case two plain names may meet; what lies in such folders is told apart by its run id.

    >>> safe_name("resnet50-imagenet"), safe_name("hf-hub:org/näme")
    ('resnet50-imagenet', 'hf-hub_org_n_me~494434b80989')
    """
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?<!\.)", name) and len(name) <= longest:
        return name
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[: longest - 13]
    return f"{readable}~{hashlib.sha256(name.encode()).hexdigest()[:12]}"


class ResultStore:
    """A folder of results: TASK@VERSION/CHECKPOINT/PROTOCOL/RUN_ID.json with RUN_ID.predictions.parquet beside.

    A file is written once and never changed. If a second run of the same identity agrees in all but environment,
    provenance and training times, nothing is added; if it differs, it is kept as a replicate (RUN_ID.r2.json), which
    never counts as another seed. A failed run is no result of its identity: the next run takes its place, and the
    failed file is kept as RUN_ID.failed-1.json. A diverged run is a result, and stays.

    Args:
        root: the folder; made on the first write.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def path(self, identity: Mapping[str, Any]) -> Path:
        """Where the result of an identity lies, or will lie."""
        key, task = run_id(plain(identity)), identity["task"]
        folder = f"{safe_name(task['id'])}@{safe_name(task['version'], 20)}"
        names = (safe_name(identity["checkpoint"]["id"]), safe_name(identity["protocol"]["id"]))
        return self.root.joinpath(folder, *names, f"{key[:16]}.json")

    def get(self, run: Mapping[str, Any] | str) -> dict[str, Any] | None:
        """The result of an identity or a run_id, or None; a file that breaks the schema goes to quarantine."""
        if isinstance(run, str):
            found = sorted(self.root.glob(f"*@*/*/*/{run[:16]}.json"))
            path, key = found[0] if found else None, run
        else:
            path, key = self.path(run), run_id(plain(run))
        result = self._read(path) if path is not None and path.is_file() else None
        return result if result is not None and result["run_id"].startswith(key) else None

    def put(self, result: Mapping[str, Any], predictions: pa.Table | None = None) -> Path:
        """Add a result with its predictions, whole or not at all.

        Returns:
            The file that counts for this identity (the first one, if a replicate was added).

        Raises:
            ResultError: if the result breaks the schema, or the predictions are not those it names.
        """
        row: dict[str, Any] = plain(result)
        validate(row)
        content = None if predictions is None else parquet_bytes(predictions)
        if row["predictions"]["sha256"] != (None if content is None else hashlib.sha256(content).hexdigest()):
            raise ResultError("The predictions are not the table whose sha256 the result holds in predictions.sha256.")
        final = self.path(row["identity"])
        with self._alone(row["run_id"]):
            first = self._read(final) if final.is_file() else None
            if first is not None and first["status"] == "failed" and row["status"] != "failed":
                os.replace(final, _free(final, "failed-", 1))
                first = None
            if first is None:
                _write(final, row, content)
                return final
            others = [self._read(path) for path in sorted(final.parent.glob(f"{final.stem}.r*.json"))]
            if any(other is not None and _compared(other) == _compared(row) for other in [first, *others]):
                return final
            replicate = _free(final, "r", 2)
            _write(replicate, row, content)
        differing = [key for key, value in _compared(row).items() if _compared(first)[key] != value]
        warnings.warn(
            f"A second run of {final} differs in {', '.join(differing)}; it is kept as {replicate.name} and not counted. "
            "Other hardware or other library versions can cause this.",
            stacklevel=2,
        )
        return final

    @contextmanager
    def claim(self, identity: Mapping[str, Any]) -> Iterator[None]:
        """Hold a run while the block computes it, so that two workers never do it twice.

        Raises:
            RunFolderError: if a live process holds it.
        """
        with store.claim(self.root / "claims" / f"{run_id(plain(identity))}.json"):
            yield

    def all(self, *, replicates: bool = False) -> list[tuple[Path, dict[str, Any]]]:
        """Every valid result with its file, sorted by path; broken files go to quarantine with a warning.

        Args:
            replicates: also those kept as replicates of another result.
        """
        found = []
        for path in sorted(self.root.glob("*@*/*/*/*.json")):
            name = _NAME.fullmatch(path.name)
            if name and (replicates or not name[1]) and (result := self._read(path)) is not None:
                found.append((path, result))
        return found

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            return read_result(path)
        except OtherVersionError as error:  # whole, for a medzoo that knows it: it stays where it is
            warnings.warn(f"{error} It is not counted.", stacklevel=3)
            return None
        except ResultError as error:
            moved = self._quarantine(path)
            warnings.warn(f"{error} It is not counted{f' and now lies at {moved}' if moved else ''}.", stacklevel=3)
            return None

    def _quarantine(self, path: Path) -> Path | None:
        with suppress(OSError):  # a read-only store: the warning is all that can be done
            (self.root / "quarantine").mkdir(exist_ok=True)
            for file in (path, predictions_path(path)):
                if file.is_file():
                    place = "__".join(file.relative_to(self.root).parts)
                    # the drawn word is never cut off: it keeps two files of one name apart
                    os.replace(file, self.root / "quarantine" / f"{uuid.uuid4().hex[:8]}__{place[-180:]}")
            return self.root / "quarantine"
        return None

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Wait for one's turn to write; it takes milliseconds, so that a minute-old claim is a dead writer's."""
        with wait_for(self.root / "claims" / f"{key}.put.json", lease=60, pause=0.02, at_most=60):
            yield


def predictions_path(path: Path) -> Path:
    """Where the predictions of a result file lie."""
    return path.with_name(f"{path.name.removesuffix('.json')}.predictions.parquet")


def _compared(result: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key not in NOT_COMPARED}


def _free(path: Path, kind: str, number: int) -> Path:
    """The first unused name RUN_ID.<kind><number>.json beside a result."""
    while (beside := path.with_name(f"{path.stem}.{kind}{number}.json")).exists():
        number += 1
    return beside


def _write(path: Path, result: Mapping[str, Any], content: bytes | None) -> None:
    """Predictions first, the result last and only if no other writer was there: where it stands, all stands."""
    if content is not None:
        store.write_bytes(predictions_path(path), content)
    complete = path.with_name(f"{store.TEMPORARY}{uuid.uuid4().hex[:12]}")
    store.write_json(complete, result)
    try:
        os.link(complete, path)  # unlike a rename, this fails if the file is there
    except FileExistsError as error:
        raise ResultError(f"{path} was written by another process meanwhile; put the result again.") from error
    except OSError:  # a file system without links (FAT, some network disks): the claim alone must do
        os.replace(complete, path)
    finally:
        complete.unlink(missing_ok=True)
        store.fsync_folder(path.parent)
