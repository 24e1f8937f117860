"""The index of a folder of shards: their content, the number of rows and the hash of each file. It is written last."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from medzoo.data.task_info import TaskInfo
from medzoo.errors import DataContractError, OtherVersionError
from medzoo.store import sha256_of, write_json

NAME = "index.json"
SCHEMA = "medzoo.shards/1"
Format = Literal["parquet", "webdataset"]
SUFFIX: dict[str, str] = {"parquet": "parquet", "webdataset": "tar"}


@dataclass(frozen=True)
class ShardFile:
    """One file.

    Args:
        file: name in the folder.
        images: number of rows.
        bytes: size.
        sha256: of the bytes.
        colour: whether an image in it has colour.
    """

    file: str
    images: int
    bytes: int
    sha256: str
    colour: bool = False


@dataclass(frozen=True)
class ShardIndex:
    """The content of `index.json`.

    Args:
        info: facts of the task; its window, if it has one, was applied.
        format: "parquet" or "webdataset".
        size: side that images were resized to, pixels; None if they have their original size.
        order: "task", or how rows were distributed over the shards.
        fingerprint: of the data that the shards were made from.
        split_hash: of the split that the shards were made from.
        label_policy: the policy applied to uncertain labels; None if the shards contain them as -1, or there are none.
        splits: split → files.
        plan: the sha256 of all settings that determine the content.
        hu: whether the images are CT on the whole scale of HU, in 16 bits.
    """

    info: TaskInfo
    format: Format
    size: int | None
    order: str
    fingerprint: str
    split_hash: str
    label_policy: str | None
    plan: str
    splits: dict[str, tuple[ShardFile, ...]] = field(default_factory=dict)
    hu: bool = False

    def images(self, split: str) -> int:
        """Rows of a split."""
        return sum(shard.images for shard in self.splits[split])

    def colour(self, split: str) -> bool:
        """Whether an image of a split has colour, so that all of them get three channels."""
        return any(shard.colour for shard in self.splits[split])

    @property
    def content(self) -> str:
        """The sha256 over the hashes of all files."""
        return sha256_of(
            [[split, shard.file, shard.sha256] for split in sorted(self.splits) for shard in self.splits[split]]
        )

    def to_dict(self) -> dict[str, Any]:
        """The index as JSON values."""
        rows = {key: value for key, value in vars(self).items() if key not in ("info", "splits")}
        splits = {
            split: {"images": self.images(split), "shards": [asdict(shard) for shard in shards]}
            for split, shards in self.splits.items()
        }
        return {"schema": SCHEMA, "task": asdict(self.info), **rows, "splits": splits}


def write_index(index: ShardIndex, folder: Path) -> None:
    """Write `index.json`, which completes a folder of shards."""
    write_json(folder / NAME, index.to_dict())


def read_index(folder: Path) -> ShardIndex:
    """Read `index.json`. The time does not depend on the size of the data.

    Args:
        folder: of the shards.

    Raises:
        DataContractError: if it is missing or not readable.
        OtherVersionError: if a newer medzoo wrote it.
    """
    path = folder / NAME
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        schema = rows["schema"]
    except FileNotFoundError:
        raise DataContractError(
            f"{folder} has no {NAME}: it is not a folder of shards, or `medzoo shards` was interrupted. Run the same command "
            "again to continue.",
            code="shard-index-missing",
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataContractError(
            f"{path} is not readable ({error}). Write the shards again.", code="shard-index-unreadable"
        ) from error
    if schema != SCHEMA:
        raise OtherVersionError(
            f"{path} has the schema {schema!r}; this medzoo reads {SCHEMA}. Update medzoo.",
            code="shard-schema-unknown",
        )
    try:
        splits = {
            split: tuple(ShardFile(**shard) for shard in part["shards"]) for split, part in rows["splits"].items()
        }
        names = {item.name for item in fields(ShardIndex)} - {"info", "splits", "hu"}
        values = {name: rows[name] for name in names}
        index = ShardIndex(_info(rows["task"]), **values, splits=splits, hu=rows.get("hu") is True)  # later than others
    except (KeyError, TypeError, AttributeError) as error:
        raise DataContractError(
            f"{path} is incomplete ({error}). Write the shards again.", code="shard-index-incomplete"
        ) from error
    strange = [shard.file for part in splits.values() for shard in part if Path(shard.file).name != shard.file]
    if strange or index.format not in SUFFIX:
        raise DataContractError(
            f"{path} names files outside its folder, or an unknown format. Write the shards again.",
            code="shard-index-invalid",
        )
    return index


def _info(rows: dict[str, Any]) -> TaskInfo:
    """The facts of the task; fields that only another version of medzoo knows are ignored."""
    known = {item.name for item in fields(TaskInfo)}
    facts = {key: value for key, value in rows.items() if key in known}
    for key in ("classes", "scored"):
        facts[key] = tuple(facts.get(key) or ())
    if facts.get("regions"):
        facts["regions"] = {name: tuple(values) for name, values in facts["regions"].items()}
    return TaskInfo(**facts)
