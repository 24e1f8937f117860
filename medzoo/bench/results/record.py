"""The record of one run: its result, its predictions, and its environment."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo import store
from medzoo.bench.metrics import headline
from medzoo.bench.metrics.masks.rows import ORIGINAL, PARTS, MaskRows
from medzoo.bench.results.schema import SCHEMA, run_id, validate, without_paths
from medzoo.errors import MissingExtraError, ResultError
from medzoo.precision import device_kind

if TYPE_CHECKING:
    import pyarrow as pa


def make_result(
    identity: Mapping[str, Any],
    *,
    status: str,
    metric: str,
    selection: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    predictions: pa.Table | None,
    train: Mapping[str, Any],
    environment: Mapping[str, Any],
    provenance: Mapping[str, Any] | None = None,
    labels_stay: bool | None = None,
) -> dict[str, Any]:
    """Make a result and check it against the schema.

    Args:
        identity: everything that may change the number, and nothing else (schema.IDENTITY).
        status: "ok", "diverged" or "failed".
        metric: the task's primary metric.
        selection: the selected value, its split, and the number of candidates.
        metrics: rows of `metrics.compute`; empty unless ok.
        predictions: the table of `predictions`, or None.
        train: steps, times, counts, and the reason of a run that is not ok (paths in it are cut to names).
        environment: from `environment`.
        provenance: origin and times; None for your own run.
        labels_stay: from `known_task.recorded_labels_stay`; None is not written.

    Raises:
        ResultError: naming the field that breaks the schema.
    """
    content = None if predictions is None else parquet_bytes(predictions)
    result = {
        "schema": SCHEMA,
        "run_id": run_id(plain(identity)),
        "identity": identity,
        "status": status,
        "metric": metric,
        "selection": selection,
        "metrics": metrics,
        "predictions": {
            "sha256": None if content is None else hashlib.sha256(content).hexdigest(),
            "rows": 0 if predictions is None else predictions.num_rows,
        },
        "train": train,
        "environment": environment,
        "provenance": provenance or {"origin": "run"},
        **({} if labels_stay is None else {"labels_stay": labels_stay}),
    }
    checked: dict[str, Any] = plain(result)
    if isinstance(reason := checked["train"].get("reason"), str):
        checked["train"]["reason"] = without_paths(reason)
    validate(checked)
    return checked


def environment(precision: str, *, kind: str | None = None) -> dict[str, Any]:
    """Versions and hardware of this process, without the names of host and user, which are private.

    Args:
        precision: of the run, "fp32" or "bf16".
        kind: of the device that the run computed on, "cpu", "cuda", ...; None takes the accelerator of this machine.
    """
    import torch

    from medzoo.training.optimization.deterministic import is_deterministic

    kind = device_kind() if kind is None else kind
    cuda = kind == "cuda"
    name, count = (
        (torch.cuda.get_device_name(), torch.cuda.device_count()) if cuda else (platform.machine() or "cpu", 1)
    )
    return {
        "medzoo": _version("medzoo") or "unknown",
        "python": ".".join(map(str, sys.version_info[:3])),
        "torch": _version("torch"),
        "timm": _version("timm"),
        "cuda": torch.version.cuda if cuda else None,
        "platform": platform.system(),
        "device": {"name": name, "count": count},
        "precision": precision,
        "threads": torch.get_num_threads(),
        "deterministic": kind == "cpu" or is_deterministic(),
    }


def predictions(
    classes: Sequence[str],
    kind: str,
    ids: Sequence[str],
    groups: Sequence[str],
    labels: np.ndarray,
    scores: np.ndarray,
    *,
    salt: str = "medzoo",
) -> pa.Table:
    """The table of predictions of a result; every metric, interval and test can be computed from it again.

    Args:
        classes: names of the classes or labels.
        kind: "binary", "multiclass", "multilabel" or "regression".
        ids: of the N images.
        groups: the patient of each image.
        labels: (N,) class numbers, or (N, C) of 0, 1 and NaN.
        scores: probabilities (N,), (N, K) or (N, C); numbers (N, 1) for regression.
        salt: mixed into the hashes. It is the same for all runs, so that runs can be compared case by case. Users who have
            the data set can link the hashes to it, so publish predictions of gated data only with your own salt.

    Returns:
        Columns sample and patient (salted sha256, 32 hex digits), label (or label:NAME for several), mask (mask:NAME;
        true where annotated) and probability:NAME; for regression the columns label and prediction are numbers.
    """
    pa = _pyarrow()
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim == 1:
        scores = np.stack([1 - scores, scores], axis=1)
    columns: dict[str, Any] = {"sample": [_salted(salt, x) for x in ids], "patient": [_salted(salt, x) for x in groups]}
    if kind == "regression":
        numbers = {"label": np.asarray(labels, dtype=np.float64), "mask": np.ones(len(labels), dtype=bool)}
        return pa.table(columns | numbers | {"prediction": scores[:, -1]})
    if kind == "multilabel":
        known = ~np.isnan(labels)
        for k, name in enumerate(classes):
            columns[f"label:{name}"] = pa.array(
                np.where(known[:, k], labels[:, k], 0).astype(np.int8), mask=~known[:, k]
            )
        columns |= {f"mask:{name}": known[:, k] for k, name in enumerate(classes)}
    else:
        columns |= {"label": np.asarray(labels, dtype=np.int64), "mask": np.ones(len(labels), dtype=bool)}
    return pa.table(columns | {f"probability:{name}": scores[:, k] for k, name in enumerate(classes)})


def mask_predictions(rows: MaskRows, ids: Sequence[str], *, salt: str = "medzoo") -> pa.Table:
    """The table of predictions of a segmentation: one row per image, from which all metrics can be computed again.

    Args:
        rows: of the N images.
        ids: of the images.
        salt: as for `predictions`.

    Returns:
        Columns sample and patient (salted), pixels, tp:NAME, fp:NAME and fn:NAME of every structure; if measured, the same with
        "original_" at the size of the masks, hd95:NAME and so on (or hd95_pixels:NAME), and pixel_auroc.
    """
    pa = _pyarrow()
    columns: dict[str, Any] = {
        "sample": [_salted(salt, x) for x in ids],
        "patient": [_salted(salt, x) for x in rows.groups],
        "pixels": np.asarray(rows.pixels, dtype=np.int64),
    }
    parts = [("", rows.counts)]
    if rows.original is not None:
        columns[f"{ORIGINAL}pixels"] = np.asarray(rows.original[1], dtype=np.int64)
        parts.append((ORIGINAL, rows.original[0]))
    for k, name in enumerate(rows.structures):
        for before, counts in parts:
            columns |= {f"{before}{part}:{name}": counts[:, k, place] for place, part in enumerate(PARTS)}
        if (found := rows.distances) is not None and (values := found.values) is not None:
            columns |= {f"{one}:{name}": values[:, k, place] for place, one in enumerate(found.names)}
    if rows.areas is not None:
        columns["pixel_auroc"] = pa.array(rows.areas, pa.float64())
    return pa.table(columns)


def headline_value(result: Mapping[str, Any]) -> float | None:
    """The primary metric of a result; None if it is undefined, or the run is not ok."""
    if result["status"] != "ok":
        return None
    value = headline(result["metrics"], result["metric"])["value"]
    return None if value is None else float(value)


def read_result(path: Path) -> dict[str, Any]:
    """Read and check one result file.

    Raises:
        ResultError: "result-unreadable" if the system does not let this process read it; otherwise it is not JSON, or breaks
            the schema.
    """
    try:
        result = json.loads(path.read_text())
    except OSError as error:
        raise ResultError(
            f"{path} cannot be read: {error}. Check the file, its permissions and its disk, then try again.",
            code="result-unreadable",
        ) from error
    except ValueError as error:
        raise ResultError(
            f"{path} is not a readable result: {error}. Restore it, or move it out of the store.",
            code="result-not-json",
        ) from error
    try:
        validate(result)
    except ResultError as error:
        raise type(error)(f"{path}: {error}", code=error.code) from error
    return dict(result)


def write_copy(path: Path, result: Mapping[str, Any]) -> None:
    """Write a copy of a result, such as a run folder's result.json, atomically."""
    validate(result)
    store.write_json(path, result)


def plain(value: Any) -> Any:  # noqa: ANN401 - any value that JSON can represent, and numpy's
    """The same value in JSON types: numpy numbers become numbers, and tuples become lists."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file; the same table gives the same bytes."""
    _pyarrow()
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _pyarrow() -> Any:  # noqa: ANN401 - a module
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtraError("pyarrow", "recipes", "Storing predictions") from error
    return pa


def _salted(salt: str, text: str) -> str:
    return hashlib.sha256(f"{salt}\0{text}".encode()).hexdigest()[:32]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
