"""A suite: the checkpoints, tasks, protocols and seeds of one table, read from a TOML file with a closed schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from medzoo import paths
from medzoo.bench.metrics import METRICS
from medzoo.bench.results.store import safe_name
from medzoo.errors import UnknownNameError, UsageError
from medzoo.precision import PrecisionChoice, checked
from medzoo.training.options.toml_files import read_toml

Mode = Literal["finetune", "linear"]
MODES = ("finetune", "linear")
_SUITE_KEYS: dict[str, type] = {
    "name": str, "title": str, "results": str, "mode": str, "seeds": list, "protocols": list, "checkpoints": list,
    "tasks": list, "pretrain": list, "precision": str,
}  # fmt: skip
_CHECKPOINT_KEYS: dict[str, type] = {"name": str, "label": str}
# the options of a run that may differ from task to task; the rest is the same for a whole table (so is the precision)
_OPTIONS: dict[str, type] = {
    "root": str, "groups": str, "split_file": str, "fold": int, "fraction": float, "label_policy": str,
    "epochs": int, "size": int, "batch_size": int, "learning_rate": float, "precision": str,
}  # fmt: skip
_TASK_KEYS: dict[str, type] = {"name": str, "title": str, "metric": str, "folds": list, **_OPTIONS}


@dataclass(frozen=True)
class SuiteCell:
    """One run of a table: a checkpoint on a task under a protocol, with one seed.

    Args:
        checkpoint: the name to load.
        label: its row in the table.
        task: the task to open, its path resolved.
        title: its column in the table.
        protocol: name of the protocol.
        mode: "finetune" or "linear".
        seed: of head, order and augmentation.
        metric: shown instead of the task's own metric, or None.
        options: options of the run by name (size, epochs, root, ...).
    """

    checkpoint: str
    label: str
    task: str
    title: str
    protocol: str
    mode: Mode
    seed: int
    metric: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def folder(self) -> Path:
        """A relative folder that no other cell of the suite has, for its run.

        >>> SuiteCell("resnet18-random", "random", "phantom_ct", "CT", "medzoo", "finetune", 0).folder.as_posix()
        'CT/resnet18-random/medzoo-finetune/seed-0'
        """
        names = (safe_name(self.title), safe_name(self.checkpoint), safe_name(f"{self.protocol}-{self.mode}"))
        fold = "" if self.fold is None else f"-fold-{self.fold}"
        return Path(*names, f"seed-{self.seed}{fold}")

    @property
    def fold(self) -> int | None:
        """The fold of a cross-validation, or None."""
        return self.options.get("fold")

    def __str__(self) -> str:
        """Such as "ImageNet on BUSI, seed 0, fold 2"."""
        fold = "" if self.fold is None else f", fold {self.fold}"
        return f"{self.label} on {self.title}, seed {self.seed}{fold}"


@dataclass(frozen=True)
class Suite:
    """What a table holds.

    Args:
        name: a word; also the organisation of its own checkpoints in a directory hub.
        title: the table's title.
        checkpoints: (name, label), in the order of the rows.
        tasks: options by name, at least name and title, in the order of the columns; paths resolved.
        protocols: names of protocols.
        mode: "finetune" or "linear".
        seeds: one run each.
        pretrain: options by name of pre-training steps, in order.
        results: folder of results, if the suite names one.
        precision: of all its runs: "auto", "fp32" or "bf16"; None leaves it to the protocols.
    """

    name: str
    title: str
    checkpoints: tuple[tuple[str, str], ...]
    tasks: tuple[Mapping[str, Any], ...]
    protocols: tuple[str, ...] = ("medzoo",)
    mode: Mode = "finetune"
    seeds: tuple[int, ...] = (0, 1, 2)
    pretrain: tuple[Mapping[str, Any], ...] = ()
    results: str | None = None
    precision: PrecisionChoice | None = None

    def cells(self) -> list[SuiteCell]:
        """All runs; seed by seed, so that a table that is stopped early still has every cell."""
        return [
            SuiteCell(
                checkpoint, label, task["name"], task["title"], protocol, self.mode, seed, task.get("metric"),
                {key: value for key, value in task.items() if key in _OPTIONS and key != "precision"} | fold,
            )
            for seed in self.seeds
            for task in self.tasks
            for fold in ([{"fold": number} for number in task["folds"]] if "folds" in task else [{}])
            for protocol in self.protocols
            for checkpoint, label in self.checkpoints
        ]  # fmt: skip

    def labels(self) -> dict[str, str]:
        """Row labels by checkpoint name."""
        return dict(self.checkpoints)

    def titles(self) -> dict[str, str]:
        """Column titles by task name; a task that stands twice (fractions) goes by its name."""
        names = [task["name"] for task in self.tasks]
        return {t["name"]: t["title"] if names.count(t["name"]) == 1 else short_task(t["name"]) for t in self.tasks}

    def metrics(self) -> dict[str, str]:
        """The metrics that the suite names, by task; the other tasks show their own."""
        return {task["name"]: task["metric"] for task in self.tasks if "metric" in task}


def list_suites() -> list[str]:
    """Suites that ship with medzoo."""
    return sorted(path.stem for path in (paths.data_dir("recipes") / "suites").glob("*.toml"))


def short_task(name: str) -> str:
    """A task's name without the place of its data.

    >>> short_task("parquet:/data/busi_224/"), short_task("pneumoniamnist"), short_task("folder:a/mr,window=percentile:1,99")
    ('busi_224', 'pneumoniamnist', 'mr,window=percentile:1,99')
    """
    place, comma, window = name.partition(",window=")
    return place.replace("\\", "/").rstrip("/").rpartition("/")[2].rpartition(":")[2] + comma + window


def load_suite(path: Path | str, root: Path | str | None = None) -> Suite:
    """Read a suite.

    Args:
        path: a TOML file, or the name of a suite that ships with medzoo.
        root: folder against which relative paths of data (folder:X, parquet:X, root, split_file) are read; None leaves
            them to the working directory.

    Raises:
        UsageError: for a missing file, a wrong type, or an unknown key (with the nearest known one).
    """
    file = Path(path)
    if not file.is_file() and file.suffix != ".toml":
        file = paths.data_dir("recipes") / "suites" / f"{path}.toml"
    if not file.is_file():
        raise UnknownNameError(
            "suite", str(path), list_suites(), f"Known: {', '.join(list_suites())}, or a .toml file."
        )
    content = read_toml(file, "The suite")
    _check(content, _SUITE_KEYS, str(file))
    name = str(content.get("name", file.stem))
    if safe_name(name) != name:
        raise UsageError(f"{file}: name is {name!r}; use letters, digits, `-`, `_` and `.` only.")
    seeds, protocols = content.get("seeds", [0, 1, 2]), content.get("protocols", ["medzoo"])
    if not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise UsageError(f"{file}: seeds are whole numbers from 0, not {seeds}.")
    if not all(isinstance(protocol, str) for protocol in protocols):
        raise UsageError(f"{file}: protocols are names, not {protocols}.")
    if (mode := content.get("mode", "finetune")) not in MODES:
        raise UsageError(f"{file}: mode is {mode!r}; choose {' or '.join(MODES)}.")
    checkpoints = [
        _checkpoint(row, f"{file}: checkpoints[{i}]") for i, row in enumerate(content.get("checkpoints", []))
    ]
    tasks = [_task(row, f"{file}: tasks[{i}]", root) for i, row in enumerate(content.get("tasks", []))]
    steps = [_step(row, f"{file}: pretrain[{i}]", root) for i, row in enumerate(content.get("pretrain", []))]
    for what, values in (
        ("seeds", seeds), ("protocols", protocols), ("checkpoints", [row[0] for row in checkpoints]),
        ("labels of checkpoints", [row[1] for row in checkpoints]), ("titles of tasks", [row["title"] for row in tasks]),
        ("names of pretrain", [row["name"] for row in steps]),
    ):  # fmt: skip
        twice = [value for value in values if values.count(value) > 1]
        if twice or (not values and not what.startswith("names")):
            raise UsageError(f"{file}: {what} {f'hold {twice[0]!r} twice' if twice else 'are missing'}.")
    return Suite(
        name, str(content.get("title", name)), tuple(checkpoints), tuple(tasks), tuple(protocols), cast(Mode, mode),
        tuple(seeds), tuple(steps), content.get("results"), _precision(content, tasks, file),
    )  # fmt: skip


def _precision(content: Mapping[str, Any], tasks: list[dict[str, Any]], file: Path) -> PrecisionChoice | None:
    """The one precision that a suite states, at its top or with its tasks; runs of two precisions are not one table."""
    stated = [content["precision"]] if "precision" in content else []
    stated += [task["precision"] for task in tasks if "precision" in task]
    if len(set(stated)) > 1 or (stated and "precision" not in content and len(stated) < len(tasks)):
        raise UsageError(
            f"{file}: its runs would have more than one precision ({', '.join(sorted(set(stated)))}). A suite has one: state it "
            'once, at the top (precision = "fp32").'
        )
    return checked(stated[0], f"{file}: precision") if stated else None


def _check(table: object, keys: Mapping[str, type], where: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise UsageError(f"{where} should be a table of {', '.join(keys)}, not {table!r:.80}.")
    for key, value in table.items():
        if key not in keys:
            raise UnknownNameError("key", key, keys, f"It stands in {where}; known there: {', '.join(keys)}.")
        wanted = keys[key]
        right = type(value) is wanted or (wanted is float and type(value) is int)
        if not right:
            raise UsageError(f"{where}: {key} is {value!r:.80}; it should be of type {wanted.__name__}.")
    return table


def _named(table: dict[str, Any], where: str) -> dict[str, Any]:
    if not isinstance(table.get("name"), str) or not table["name"]:
        raise UsageError(f"{where} has no name.")
    return table


def _checkpoint(row: object, where: str) -> tuple[str, str]:
    if isinstance(row, str):
        row = {"name": row}
    table = _named(_check(row, _CHECKPOINT_KEYS, where), where)
    return table["name"], table.get("label", table["name"])


def _task(row: object, where: str, root: Path | str | None) -> dict[str, Any]:
    table = _named(_check(row, _TASK_KEYS, where), where)
    if "metric" in table and table["metric"] not in METRICS:
        raise UnknownNameError("metric", table["metric"], METRICS, f"It stands in {where}.")
    if not 0 < table.get("fraction", 1.0) <= 1:
        raise UsageError(f"{where}: fraction is {table['fraction']}; it is a share above 0 and at most 1.")
    folds = table.get("folds")
    if folds is not None:
        if not folds or not all(type(fold) is int and fold >= 0 for fold in folds) or len(set(folds)) < len(folds):
            raise UsageError(f"{where}: folds are different whole numbers from 0, not {folds}.")
        if "fold" in table:
            raise UsageError(f"{where}: give fold (one) or folds (those of a cross-validation, averaged), not both.")
    resolved = {"title": short_task(table["name"]), **table}
    resolved["name"] = _resolved_task(table["name"], root)
    return resolved | {key: _resolved(table[key], root) for key in ("root", "split_file") if key in table}


def _step(row: object, where: str, root: Path | str | None) -> dict[str, Any]:
    """A pre-training step; its other keys are options of pre-training, which their own dataclass checks."""
    if not isinstance(row, dict):
        raise UsageError(f"{where} should be a table, not {row!r:.80}.")
    table = dict(_named(row, where))
    for key in ("root", "split_file"):
        if isinstance(table.get(key), str):
            table[key] = _resolved(table[key], root)
    if isinstance(table.get("task"), str):
        table["task"] = _resolved_task(table["task"], root)
    return table


def _resolved(path: str, root: Path | str | None) -> str:
    return path if root is None else str(Path(root).expanduser() / Path(path).expanduser())


def _resolved_task(name: str, root: Path | str | None) -> str:
    kind, colon, place = name.partition(":")
    return f"{kind}:{_resolved(place, root)}" if colon and kind in ("folder", "parquet") else name
