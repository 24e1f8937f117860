"""Results as one flat table: one row for each run and metric; the first row of a run contains the whole result."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo import store
from medzoo.bench.results.record import parquet_bytes
from medzoo.bench.results.untrusted import open_parquet, parse_result
from medzoo.bench.sharing.layout import predictions_file, replicate_of, run_file
from medzoo.data.files.csv_cells import as_text
from medzoo.errors import ResultError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

TEXT = (
    "file", "run_id", "task", "task_version", "checkpoint", "weights_sha256", "architecture", "init", "protocol", "mode",
    "protocol_hash", "dataset_fingerprint", "split_hash", "preprocess_hash", "label_policy", "status", "reason", "metric",
    "label", "undefined", "predictions", "source_url", "result",
)  # fmt: skip
WHOLE = ("replicate", "size", "per_class", "draw", "seed", "fold", "n", "n_pos", "n_patients", "n_labels")
REAL = ("label_fraction", "value")
ORDER = (
    "task", "task_version", "checkpoint", "protocol", "mode", "label_fraction", "per_class", "draw", "seed", "fold",
    "status", "metric", "label", "primary", "value", "undefined", "n", "n_pos", "n_patients", "n_labels", "reported",
    "replicate", "reason", "weights_sha256", "architecture", "init", "size", "protocol_hash", "dataset_fingerprint", "split_hash",
    "preprocess_hash", "label_policy", "source_url", "run_id", "file", "predictions", "result",
)  # fmt: skip


def flat_table(results: Iterable[tuple[str, Mapping[str, Any]]]) -> pa.Table:
    """Results as a flat table; the order of the results does not matter.

    Numbers that were copied from publications come last, with `reported` true.

    Args:
        results: with their paths in a repository.

    Returns:
        A row for each run and metric (one for a run without metrics), with the columns of `ORDER`.
    """
    import pyarrow as pa

    kinds = {
        **dict.fromkeys(TEXT, pa.string()),
        **dict.fromkeys(WHOLE, pa.int64()),
        **dict.fromkeys(REAL, pa.float64()),
        "primary": pa.bool_(),
        "reported": pa.bool_(),
    }
    ordered = sorted(results, key=lambda pair: (pair[1]["provenance"]["origin"] == "reported", pair[0]))
    rows = [row for file, result in ordered for row in _rows(file, result)]
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, kinds[name]) for name in ORDER]))


def _rows(file: str, result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    identity = result["identity"]
    data, checkpoint, protocol = identity["dataset"], identity["checkpoint"], identity["protocol"]
    part = identity.get("training_part", {})
    common = {
        "task": identity["task"]["id"], "task_version": identity["task"]["version"],
        "checkpoint": checkpoint["id"], "weights_sha256": checkpoint["weights_sha256"],
        "architecture": checkpoint["arch"], "init": checkpoint["init"],
        "protocol": protocol["id"], "mode": protocol["mode"], "protocol_hash": protocol["hash"],
        "label_fraction": float(protocol["label_fraction"]), "size": protocol.get("size"),
        "per_class": part.get("per_class"), "draw": part.get("draw"),
        "seed": identity["seed"], "fold": identity["fold"],
        "dataset_fingerprint": data["fingerprint"], "split_hash": data["split_hash"],
        "preprocess_hash": data["preprocess_hash"], "label_policy": data["label_policy"],
        "status": result["status"], "reason": result["train"].get("reason"),
        "reported": result["provenance"]["origin"] == "reported", "source_url": result["provenance"].get("source_url"),
        "run_id": result["run_id"], "file": file, "replicate": replicate_of(file),
        "predictions": predictions_file(file) if result["predictions"]["sha256"] else None,
    }  # fmt: skip
    nothing = {"name": result["metric"], "label": None, "value": None, "undefined": None}
    for number, row in enumerate(result["metrics"] or [nothing]):
        yield common | {
            "metric": row["name"],
            "label": row["label"],
            "undefined": row["undefined"],
            "primary": row["name"] == result["metric"] and row["label"] is None,
            "value": None if row["value"] is None else float(row["value"]),
            **{name: row.get(name) for name in ("n", "n_pos", "n_patients", "n_labels")},
            "result": None if number else store.canonical_json(result),
        }


def results_of(table: pa.Table) -> list[tuple[str, dict[str, Any]]]:
    """The results in a flat table, each with its path in a repository.

    Raises:
        ResultError: if this is not a flat table of results, or a result in it breaks the schema.
    """
    if "result" not in table.column_names:
        raise ResultError(
            f"The table has no column `result` with the runs; its columns are {', '.join(table.column_names)}.",
            code="flat-table-column-missing",
        )
    results = []
    for number, text in enumerate(table["result"].to_pylist()):
        if text is None:
            continue
        try:
            result = parse_result(str(text).encode())
        except ResultError as error:
            raise type(error)(f"Row {number}: {error}", code=error.code) from error
        file = table["file"][number].as_py() if "file" in table.column_names else None
        results.append((str(file or run_file(result["identity"])), result))
    return results


def read_flat(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The results in a Parquet file of `export`, or in a repository's results.parquet.

    Raises:
        ResultError: if the file is neither of them.
    """
    import pyarrow as pa

    try:
        opened = open_parquet(path, strings=("result",))
        columns = [name for name in ("file", "result") if name in opened.schema_arrow.names]
        return results_of(opened.read(columns=columns))
    except (pa.ArrowException, OSError) as error:
        raise ResultError(f"{path} cannot be read: {error}", code="parquet-unreadable") from error
    except ResultError as error:
        raise type(error)(f"{path}: {error}", code=error.code) from error


def export(results: Iterable[tuple[str, Mapping[str, Any]]], out: Path) -> int:
    """Write results as a flat table.

    Args:
        results: with their paths in a repository.
        out: a .parquet file, which `import` can read; or a .csv file for spreadsheets.

    Returns:
        The number of rows.

    Raises:
        UsageError: for another file extension.
    """
    table = flat_table(results)
    if out.suffix == ".parquet":
        store.write_bytes(out, parquet_bytes(table))
    elif out.suffix == ".csv":
        import pyarrow.csv

        table = table.drop_columns(["result"])
        for place, name in enumerate(table.column_names):
            if name in TEXT:
                texts = [as_text(text) for text in table[name].to_pylist()]
                table = table.set_column(place, name, pyarrow.array(texts, pyarrow.string()))
        buffer = io.BytesIO()
        pyarrow.csv.write_csv(table, buffer)
        store.write_bytes(out, buffer.getvalue())
    else:
        raise UsageError(f"--out {out}: use the extension .parquet or .csv.", code="file-extension-unsupported")
    return int(table.num_rows)
