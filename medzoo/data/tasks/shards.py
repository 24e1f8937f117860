"""The task `shards:PATH` reads shards that `medzoo shards` wrote. Pre-training streams them instead (stream.py)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.data.build_task import concatenate_rows, settle_labels
from medzoo.data.images.read import Pixels, decode_bytes
from medzoo.data.label_policy import parse_policy
from medzoo.data.problems import complain
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import DataContractError, ImageError, UsageError, listed
from medzoo.store import verified_sha256

if TYPE_CHECKING:
    from medzoo.data.shards.formats import TarShard
    from medzoo.data.shards.index import ShardIndex

CHOICES: dict[str, Choice] = {}
TAKES = LoadOptions(label_policy=True, pooled=True)
_OPEN = 8  # the most tar files that stay open
_NAME = "shards:PATH"

TASKS: dict[str, TaskInfo] = {
    _NAME: TaskInfo(
        name=_NAME, title="Your shards: a task in files for streaming", kind="multiclass", classes=(), metric="auroc", unit="image",
        groups="the groups of the written task", channels=None, license="your data's", url="", citation="",
        how="made from any task: medzoo shards TASK --root DIR --out PATH",
        note="With --task shards:PATH, pre-training streams the shards; other commands open them like any other task.",
    )
}  # fmt: skip


def load(
    name: str, root: Path | None = None, *, path: str = "", label_policy: str | None = None, pooled: bool = False
) -> Task:
    """A task from its shards; labels and ids are read now, images on demand.

    Args:
        name: "shards:PATH".
        root: folder that a relative path starts from; by default the working directory.
        path: path of the folder that holds `index.json`.
        label_policy: policy for uncertain labels, if the shards have some.
        pooled: join the splits into one, for a split file or folds.

    Raises:
        DataContractError: for missing or damaged files; the message lists them.
        UsageError: if the path is missing, or for a label policy although the shards have no uncertain labels.
    """
    from medzoo.data.shards.index import read_index

    if not path and root is None:
        raise UsageError(
            "Task shards:PATH: give the path of the shards, as in shards:some/folder.", code="path-missing"
        )
    # Check the files before anything is read from them.
    folder = (root / path if root is not None else Path(path)).expanduser()
    index = read_index(folder)
    policy = policy_of(index, label_policy)
    damaged = damaged_files(folder, index)
    if damaged:
        complain(
            DataContractError(
                f"{folder}: {len(damaged)} of {sum(map(len, index.splits.values()))} shards are missing or differ from "
                f"index.json: {listed(damaged)}. Delete them and run the `medzoo shards` command again: it writes missing shards.",
                code="shards-damaged",
            )
        )
    # Read the columns; labels that are still uncertain follow the policy.
    columns = _columns(folder, index, set(damaged))
    if policy is not None:
        for rows in columns.values():
            settle_labels(rows, policy)
    if pooled and len(columns) > 1:
        columns = {"all": concatenate_rows(columns.values())}
    info = replace(index.info, name=f"shards:{folder.resolve().name}", window=None)
    reader = ShardReader(folder, index.format)
    return Task(info, columns, reader, index.content, policy=policy)


def policy_of(index: ShardIndex, label_policy: str | None) -> Any:  # noqa: ANN401 - Policy or None
    """The policy for uncertain labels (-1) in shards; None if there are none.

    Raises:
        UsageError: if `label_policy` is given but the shards were written with a policy.
    """
    if index.info.kind != "multilabel" or not index.info.uncertain:
        if label_policy is not None:
            raise UsageError(
                f"The shards have no uncertain labels: they were written with the policy {index.label_policy}. Remove "
                "--label-policy.",
                code="label-policy-not-applicable",
            )
        return None if index.label_policy is None else parse_policy(index.label_policy)
    return parse_policy(label_policy)


def damaged_files(folder: Path, index: ShardIndex) -> list[str]:
    """Shards that are missing or differ from the index; the hash of each is cached until the file changes."""
    damaged = []
    for shards in index.splits.values():
        for shard in shards:
            path = folder / shard.file
            try:
                intact = path.stat().st_size == shard.bytes and verified_sha256(path) == shard.sha256
            except OSError:
                intact = False
            if not intact:
                damaged.append(shard.file)
    return damaged


def _columns(folder: Path, index: ShardIndex, damaged: set[str]) -> dict[str, dict[str, Any]]:
    from medzoo.data.shards.formats import light_columns

    columns: dict[str, dict[str, Any]] = {}
    for split, shards in index.splits.items():
        parts = []
        for shard in shards:
            if shard.file not in damaged:
                rows = light_columns(folder / shard.file)
                rows["image"] = [f"{shard.file}#{row}" for row in range(len(rows["id"]))]
                parts.append(rows)
        names = list(parts[0]) if parts else ["id", "image", "label", "patient_id"]
        joined: dict[str, Any] = {name: [value for rows in parts for value in rows[name]] for name in names}
        if index.info.kind == "segmentation":
            joined["mask"] = joined["image"]
        elif index.info.kind == "multilabel":
            joined["label"] = np.array(joined["label"], np.float32).reshape(-1, len(index.info.classes))
        columns[split] = joined
    return columns


class ShardReader:
    """Images and masks under keys `<file>#<row>`.

    Args:
        root: folder with the shards.
        format: "parquet" or "webdataset".
    """

    ID = "medzoo.data.tasks.shards.ShardReader"  # part of the keys of decoded images; never change it

    def __init__(self, root: Path, format: str) -> None:
        from medzoo.data.readers.parquet import ParquetReader

        self.root, self.format = root, format
        self._lock = threading.Lock()
        self._tars: OrderedDict[str, TarShard] = OrderedDict()
        self._tables = {name: ParquetReader(root, name) for name in ("image", "mask")}

    def raw(self, key: str, name: str = "image") -> bytes | None:
        """The encoded image (or "mask") under a key."""
        if self.format == "parquet":
            return self._tables[name].raw(key)
        file, _, row = key.rpartition("#")
        with self._lock:
            shard = self._tars.get(file)
            if shard is None:
                from medzoo.data.shards.formats import TarShard

                shard = self._tars[file] = TarShard(self.root / file)
                while len(self._tars) > _OPEN:
                    self._tars.popitem(last=False)
        return shard.image(int(row), name)

    def read(self, key: str) -> Pixels:
        """The image under a key."""
        return decode_bytes(self._bytes(key, "image"), f"{self.root / key}")

    def read_mask(self, key: str) -> np.ndarray:
        """(H, W) uint8, the mask of the written task."""
        return decode_bytes(self._bytes(key, "mask"), f"mask of {self.root / key}").array

    def _bytes(self, key: str, name: str) -> bytes:
        data = self.raw(key, name)
        if data is None:
            raise ImageError(f"{self.root / key} has no {name}.", code="shard-row-empty")
        return data

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "format": self.format}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["root"], state["format"])  # type: ignore[misc]


def fake(root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
    """Write shards with a few drawn images.

    Args:
        root: folder; load it as shards:ROOT.
        n: training images.
        seed: for the drawings.
        name: not needed.
    """
    from medzoo.data.shards.write import write_shards
    from medzoo.data.tasks import phantom

    drawn = phantom.load("phantom_oct", n=max(n, 8), n_validation=6, n_test=6, image_size=24, data_seed=seed)
    write_shards(drawn, root, images_per_shard=5, progress=False)
