"""Write and read one shard: Parquet as `datasets` writes it, or a tar file in the WebDataset format."""

from __future__ import annotations

import io
import json
import math
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from medzoo.data.shards.encode import JPEG
from medzoo.errors import DataContractError, MissingExtraError

if TYPE_CHECKING:
    import pyarrow as pa

    from medzoo.data.task_info import TaskInfo

NOT_ANNOTATED = -2  # JSON has no NaN
REPAIR = "Delete it and run the same `medzoo shards` command again: it writes missing files."
_GROUP_BYTES = 16 * 2**20  # of a row group, which is decoded as a whole even to read one row


@dataclass(frozen=True)
class Record:
    """One row of a shard.

    Args:
        key: number of the row over all shards of its split.
        image: encoded.
        mask: encoded, or None.
        columns: `id`, `label` (unless there is a mask), `patient_id`, and others.
    """

    key: int
    image: bytes
    mask: bytes | None
    columns: Mapping[str, Any]


class Shard(Protocol):
    """An open shard with random access to its rows."""

    def __len__(self) -> int: ...

    def image(self, row: int, name: str = "image") -> bytes:
        """The encoded image (or "mask") of a row."""

    def column(self, name: str) -> list[Any]:
        """The values of a column."""

    def names(self) -> list[str]:
        """The names of the columns without images and masks."""


def write_shard(path: Path, records: list[Record], info: TaskInfo, schema: pa.Schema) -> None:
    """Write rows as one file; the extension decides the format.

    Args:
        path: ends in .parquet or .tar.
        records: in order.
        info: of the task; its classes are the names of the labels.
        schema: types of the columns, so that all shards have the same types.
    """
    (_write_tar if path.suffix == ".tar" else _write_parquet)(path, records, info, schema)


def open_shard(path: Path) -> Shard:
    """Open a shard. Parquet is read into memory, a tar file is memory-mapped.

    Raises:
        DataContractError: if the file is damaged.
    """
    return TarShard(path) if path.suffix == ".tar" else ParquetShard(path)


def _write_parquet(path: Path, records: list[Record], info: TaskInfo, schema: pa.Schema) -> None:
    """With the feature descriptions of `datasets`, so that `load_dataset("parquet")` decodes images and names classes."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
        from datasets import ClassLabel, Features, Image, Sequence, Value
    except ImportError:
        raise MissingExtraError("datasets", "recipes", "Writing shards") from None
    table = pa.Table.from_pylist([dict(record.columns) for record in records], schema=schema)
    features = dict(Features.from_arrow_schema(schema))
    if info.kind in ("binary", "multiclass"):
        features["label"] = ClassLabel(names=list(info.classes))
    elif info.kind == "multilabel":
        features["label"] = Sequence(Value("float32"))
    heavy = ["image"] if records[0].mask is None else ["image", "mask"]
    for name in heavy:
        cells = [
            {"bytes": data, "path": f"{record.key:09d}.{_extension(data)}"}
            for record, data in ((record, getattr(record, name)) for record in records)
        ]
        table = table.append_column(name, pa.array(cells, Image().pa_type))
        features[name] = Image()
    mean = max(1, sum(len(record.image) for record in records) // len(records))
    pq.write_table(
        table.cast(Features(features).arrow_schema),
        path,
        row_group_size=max(1, min(1024, _GROUP_BYTES // mean)),
        compression="NONE",  # images are compressed already, and everything else is small
        use_dictionary=[name for name in schema.names if name != "id"],
    )


def _write_tar(path: Path, records: list[Record], info: TaskInfo, schema: pa.Schema) -> None:
    """Write `000000012.png` and `000000012.json` for each row, without times and owners: the same rows give the same bytes."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for record in records:
            row = dict(record.columns)
            label = row.get("label")
            if isinstance(label, list):
                row["label"] = [NOT_ANNOTATED if math.isnan(value) else int(value) for value in label]
            # Columns with empty values go into one JSON text, because WebDataset readers infer types from the first rows.
            rest = {key: row.pop(key) for key in list(row) if key not in ("id", "patient_id", "label")}
            row = {**row, "more": json.dumps(rest, ensure_ascii=False)} if rest else row
            files = [("png", record.image), ("json", json.dumps(row, ensure_ascii=False).encode())]
            if record.mask is not None:
                files.append(("mask.png", record.mask))
            for suffix, data in files:
                member = tarfile.TarInfo(f"{record.key:09d}.{suffix}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def _extension(data: bytes) -> str:
    return "jpg" if data.startswith(JPEG) else "png"


class ParquetShard:
    """A Parquet file in memory."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            self._table = pq.read_table(path, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise DataContractError(
                f"{path} is not a complete Parquet file ({error}). {REPAIR}", code="shard-damaged"
            ) from error

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def image(self, row: int, name: str = "image") -> bytes:
        """The encoded image (or "mask") of a row."""
        return self._table[name][row].as_py()["bytes"]

    def column(self, name: str) -> list[Any]:
        """The values of a column."""
        return self._table[name].to_pylist()

    def names(self) -> list[str]:
        """The names of the columns without images and masks."""
        return [name for name in self._table.column_names if name not in ("image", "mask")]


class TarShard:
    """A memory-mapped tar file: the system loads only the used parts."""

    def __init__(self, path: Path) -> None:
        import mmap

        # Find the position of each member.
        self._parts: dict[str, list[tuple[int, int]]] = {"image": [], "mask": [], "json": []}
        names = {"png": "image", "mask.png": "mask", "json": "json"}
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            with tarfile.open(fileobj=self._map, mode="r:") as archive:
                for member in archive:
                    part = names[member.name.partition(".")[2]]
                    self._parts[part].append((member.offset_data, member.size))
            self._rows = [json.loads(self._bytes("json", row)) for row in range(len(self._parts["json"]))]
        except (OSError, ValueError, KeyError, tarfile.TarError) as error:
            raise DataContractError(
                f"{path} is not a complete tar file of medzoo ({error}). {REPAIR}", code="shard-damaged"
            ) from error
        if len(self._rows) != len(self._parts["image"]):
            raise DataContractError(
                f"{path} has {len(self._rows)} rows, but {len(self._parts['image'])} images. {REPAIR}",
                code="shard-damaged",
            )
        # Undo the encoding of empty values.
        for row in self._rows:
            row |= json.loads(row.pop("more", "{}"))
            if isinstance(row.get("label"), list):
                row["label"] = [math.nan if value == NOT_ANNOTATED else float(value) for value in row["label"]]

    def __len__(self) -> int:
        return len(self._rows)

    def _bytes(self, part: str, row: int) -> bytes:
        start, size = self._parts[part][row]
        return self._map[start : start + size]

    def image(self, row: int, name: str = "image") -> bytes:
        """The encoded image (or "mask") of a row."""
        return self._bytes(name, row)

    def column(self, name: str) -> list[Any]:
        """The values of a column."""
        return [row[name] for row in self._rows]

    def names(self) -> list[str]:
        """The names of the columns without images and masks."""
        return list(self._rows[0]) if self._rows else []


def light_columns(path: Path) -> dict[str, list[Any]]:
    """All columns of a shard without images and masks.

    Raises:
        DataContractError: if the file is damaged.
    """
    if path.suffix == ".tar":
        shard = TarShard(path)
        return {name: shard.column(name) for name in shard.names()}
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        names = [name for name in file.schema_arrow.names if name not in ("image", "mask")]
        table = file.read(columns=names, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise DataContractError(
            f"{path} is not a complete Parquet file ({error}). {REPAIR}", code="shard-damaged"
        ) from error
    return {name: table[name].to_pylist() for name in names}
