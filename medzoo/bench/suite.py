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
# the options of a run that may differ between tasks; all others, and the precision, are the same for the whole table
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
        label: label of its row in the table.
        task: the task to open, with its path resolved.
        title: title of its column in the table.
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
        """The relative folder of the run; no other cell of the suite has the same one.

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
    """The content of a table.

    Args:
        name: a single word; also the organisation of its own checkpoints in a directory hub.
        title: the table's title.
        checkpoints: (name, label), in the order of the rows.
        tasks: options by name, at least name and title, in the order of the columns; paths resolved.
        protocols: names of protocols.
        mode: "finetune" or "linear".
        seeds: one run for each.
        pretrain: options by name of pre-training steps, in order.
        results: folder of results, if the suite names one.
        precision: of all its runs: "auto", "fp32" or "bf16"; None uses that of each protocol.
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
        """All runs, ordered by seed: if the work stops early, every cell of the table has a value."""
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
        """Column titles by task name; a task that occurs twice (with two fractions) has its name as title."""
        names = [task["name"] for task in self.tasks]
        return {t["name"]: t["title"] if names.count(t["name"]) == 1 else short_task(t["name"]) for t in self.tasks}

    def metrics(self) -> dict[str, str]:
        """The metrics that the suite sets, by task; the other tasks show their own metric."""
        return {task["name"]: task["metric"] for task in self.tasks if "metric" in task}


def list_suites() -> list[str]:
    """The names of the suites that ship with medzoo."""
    return sorted(path.stem for path in (paths.data_dir("recipes") / "suites").glob("*.toml"))


def short_task(name: str) -> str:
    """A task's name without the folder of its data.

    >>> short_task("parquet:/data/busi_224/"), short_task("pneumoniamnist"), short_task("folder:a/mr,window=percentile:1,99")
    ('busi_224', 'pneumoniamnist', 'mr,window=percentile:1,99')
    """
    place, comma, window = name.partition(",window=")
    return place.replace("\\", "/").rstrip("/").rpartition("/")[2].rpartition(":")[2] + comma + window


def load_suite(path: Path | str, root: Path | str | None = None) -> Suite:
    """Read a suite.

    Args:
        path: a TOML file, or the name of a suite that ships with medzoo.
        root: relative paths of data (folder:X, parquet:X, root, split_file) are relative to this folder; with None, to
            the working directory.

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

    # keys of the suite itself
    content = read_toml(file, "The suite")
    _check(content, _SUITE_KEYS, str(file))
    name = str(content.get("name", file.stem))
    if safe_name(name) != name:
        raise UsageError(
            f"{file}: name is {name!r}; use only letters, digits, `-`, `_` and `.`.", code="suite-name-invalid"
        )
    seeds, protocols = content.get("seeds", [0, 1, 2]), content.get("protocols", ["medzoo"])
    if not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise UsageError(f"{file}: seeds must be whole numbers of at least 0, not {seeds}.", code="suite-seeds-invalid")
    if not all(isinstance(protocol, str) for protocol in protocols):
        raise UsageError(f"{file}: protocols must be names, not {protocols}.", code="suite-protocols-invalid")
    if (mode := content.get("mode", "finetune")) not in MODES:
        raise UsageError(f"{file}: mode is {mode!r}; choose {' or '.join(MODES)}.", code="suite-mode-invalid")

    # its checkpoints, tasks and pre-training steps; every list needs distinct values
    checkpoints = [
        _checkpoint(row, f"{file}: checkpoints[{i}]") for i, row in enumerate(content.get("checkpoints", []))
    ]
    tasks = [_task(row, f"{file}: tasks[{i}]", root) for i, row in enumerate(content.get("tasks", []))]
    steps = [_step(row, f"{file}: pretrain[{i}]", root) for i, row in enumerate(content.get("pretrain", []))]
    for what, values in (
        ("seeds", seeds),
        ("protocols", protocols),
        ("checkpoints", [row[0] for row in checkpoints]),
        ("labels of checkpoints", [row[1] for row in checkpoints]),
        ("titles of tasks", [row["title"] for row in tasks]),
        ("names of pretrain", [row["name"] for row in steps]),
    ):
        if twice := [value for value in values if values.count(value) > 1]:
            raise UsageError(f"{file}: {what} contain {twice[0]!r} twice.", code="suite-value-twice")
        if not values and not what.startswith("names"):
            raise UsageError(f"{file}: {what} are missing.", code="suite-value-missing")
    return Suite(
        name, str(content.get("title", name)), tuple(checkpoints), tuple(tasks), tuple(protocols), cast(Mode, mode),
        tuple(seeds), tuple(steps), content.get("results"), _precision(content, tasks, file),
    )  # fmt: skip


def _precision(content: Mapping[str, Any], tasks: list[dict[str, Any]], file: Path) -> PrecisionChoice | None:
    """The precision that a suite sets, at its top or in its tasks; a suite has one precision only."""
    given = [content["precision"]] if "precision" in content else []
    given += [task["precision"] for task in tasks if "precision" in task]
    if len(set(given)) > 1 or (given and "precision" not in content and len(given) < len(tasks)):
        raise UsageError(
            f"{file}: its runs would have more than one precision ({', '.join(sorted(set(given)))}). Set it once, at the top of "
            'the file (precision = "fp32").',
            code="suite-precision-mixed",
        )
    return checked(given[0], f"{file}: precision") if given else None


def _check(table: object, keys: Mapping[str, type], where: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise UsageError(
            f"{where} should be a table of {', '.join(keys)}, not {table!r:.80}.", code="suite-table-expected"
        )
    for key, value in table.items():
        if key not in keys:
            raise UnknownNameError("key", key, keys, f"It is in {where}. Known keys there: {', '.join(keys)}.")
        expected = keys[key]
        if type(value) is not expected and not (expected is float and type(value) is int):
            raise UsageError(
                f"{where}: {key} is {value!r:.80}; it should be of type {expected.__name__}.", code="suite-type-wrong"
            )
    return table


def _named(table: dict[str, Any], where: str) -> dict[str, Any]:
    if not isinstance(table.get("name"), str) or not table["name"]:
        raise UsageError(f"{where} has no name.", code="suite-entry-without-name")
    return table


def _checkpoint(row: object, where: str) -> tuple[str, str]:
    if isinstance(row, str):
        row = {"name": row}
    table = _named(_check(row, _CHECKPOINT_KEYS, where), where)
    return table["name"], table.get("label", table["name"])


def _task(row: object, where: str, root: Path | str | None) -> dict[str, Any]:
    table = _named(_check(row, _TASK_KEYS, where), where)
    if "metric" in table and table["metric"] not in METRICS:
        raise UnknownNameError("metric", table["metric"], METRICS, f"It is in {where}.")
    if not 0 < table.get("fraction", 1.0) <= 1:
        raise UsageError(
            f"{where}: fraction is {table['fraction']}; it should be above 0 and at most 1.",
            code="fraction-out-of-range",
        )
    folds = table.get("folds")
    if folds is not None:
        if not folds or not all(type(fold) is int and fold >= 0 for fold in folds) or len(set(folds)) < len(folds):
            raise UsageError(
                f"{where}: folds must be distinct whole numbers of at least 0, not {folds}.", code="folds-invalid"
            )
        if "fold" in table:
            raise UsageError(
                f"{where}: give either fold (one fold) or folds (of a cross-validation, averaged), not both.",
                code="fold-and-folds-given",
            )
    resolved = {"title": short_task(table["name"]), **table}
    resolved["name"] = _resolved_task(table["name"], root)
    return resolved | {key: _resolved(table[key], root) for key in ("root", "split_file") if key in table}


def _step(row: object, where: str, root: Path | str | None) -> dict[str, Any]:
    """A pre-training step. Its other keys are options of pre-training; the dataclass of those options checks them."""
    if not isinstance(row, dict):
        raise UsageError(f"{where} should be a table, not {row!r:.80}.", code="suite-table-expected")
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
