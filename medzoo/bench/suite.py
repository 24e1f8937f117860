"""A suite: the checkpoints, tasks, protocols and seeds of one table, read from a TOML file with a closed schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from medzoo import paths
from medzoo.bench.metrics import METRICS
from medzoo.bench.results.store import safe_name
from medzoo.closed_schema import parse
from medzoo.errors import UnknownNameError, UsageError
from medzoo.precision import PrecisionChoice
from medzoo.training.options.fields import option
from medzoo.training.options.protocol_options import Mode
from medzoo.training.options.toml_files import read_toml

SEEDS, PROTOCOLS = (0, 1, 2), ("medzoo",)  # of a suite that does not name any


@dataclass(frozen=True)
class _CheckpointRow:
    """An entry of `checkpoints`: a name alone, or a table with a label."""

    name: str
    label: str | None = None


@dataclass(frozen=True)
class _TaskRow:
    """An entry of `tasks`: the column of the table, and the options of its runs that may differ between tasks."""

    name: str
    title: str | None = None
    metric: str | None = None
    folds: tuple[int, ...] | None = option("of a cross-validation, averaged", None, least=0)
    root: str | None = None
    groups: str | None = None
    split_file: str | None = None
    fold: int | None = option("one of the cross-validation", None, least=0)
    fraction: float = option("of the training patients", 1.0, above=0, most=1)
    label_policy: str | None = None
    epochs: int | None = None
    size: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    precision: PrecisionChoice | None = None


@dataclass(frozen=True)
class _SuiteFile:
    """The content of a suite's TOML file; the options of pre-training are checked by their own dataclass."""

    name: str | None = None
    title: str | None = None
    results: str | None = None
    mode: Mode = "finetune"
    seeds: tuple[int, ...] = option("one run for each", SEEDS, least=0)
    protocols: tuple[str, ...] = PROTOCOLS
    checkpoints: tuple[str | _CheckpointRow, ...] = ()
    tasks: tuple[_TaskRow, ...] = ()
    pretrain: tuple[Mapping[str, Any], ...] = ()
    precision: PrecisionChoice | None = None


_NOT_OF_A_RUN = ("name", "title", "metric", "folds", "precision")  # all other keys of a task are options of its runs


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
    protocols: tuple[str, ...] = PROTOCOLS
    mode: Mode = "finetune"
    seeds: tuple[int, ...] = SEEDS
    pretrain: tuple[Mapping[str, Any], ...] = ()
    results: str | None = None
    precision: PrecisionChoice | None = None

    def cells(self) -> list[SuiteCell]:
        """All runs, ordered by seed: if the work stops early, every cell of the table has a value."""
        return [
            SuiteCell(
                checkpoint, label, task["name"], task["title"], protocol, self.mode, seed, task.get("metric"),
                {key: value for key, value in task.items() if key not in _NOT_OF_A_RUN} | fold,
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

    where = str(file)
    content = parse(_SuiteFile, read_toml(file, "The suite"), where, UsageError)
    name = content.name or file.stem
    if safe_name(name) != name:
        raise UsageError(
            f"{where}: name is {name!r}; use only letters, digits, `-`, `_` and `.`.", code="suite-name-invalid"
        )
    rows = [_CheckpointRow(row) if isinstance(row, str) else row for row in content.checkpoints]
    tasks = [_task(row, f"{where}: tasks[{i}]", root) for i, row in enumerate(content.tasks)]
    steps = [_step(row, f"{where}: pretrain[{i}]", root) for i, row in enumerate(content.pretrain)]
    suite = Suite(
        name=name,
        title=content.title or name,
        checkpoints=tuple((row.name, row.label or row.name) for row in rows),
        tasks=tuple(tasks),
        protocols=content.protocols,
        mode=content.mode,
        seeds=content.seeds,
        pretrain=tuple(steps),
        results=content.results,
        precision=_precision(content, where),
    )
    _check_distinct(suite, where)
    return suite


def _check_distinct(suite: Suite, where: str) -> None:
    """Every list of a suite needs values, and no value twice; pre-training is optional."""
    lists: dict[str, Sequence[object]] = {
        "seeds": suite.seeds,
        "protocols": suite.protocols,
        "checkpoints": [name for name, _ in suite.checkpoints],
        "labels of checkpoints": [label for _, label in suite.checkpoints],
        "titles of tasks": [task["title"] for task in suite.tasks],
        "names of pretrain": [step["name"] for step in suite.pretrain],
    }
    for what, values in lists.items():
        if twice := [value for value in values if values.count(value) > 1]:
            raise UsageError(f"{where}: {what} contain {twice[0]!r} twice.", code="suite-value-twice")
        if not values and not what.startswith("names"):
            raise UsageError(f"{where}: {what} are missing.", code="suite-value-missing")


def _precision(content: _SuiteFile, where: str) -> PrecisionChoice | None:
    """The precision that a suite sets, at its top or in its tasks; a suite has one precision only."""
    of_tasks = [task.precision for task in content.tasks if task.precision]
    given = {one for one in (content.precision, *of_tasks) if one}
    if len(given) > 1 or (of_tasks and not content.precision and len(of_tasks) < len(content.tasks)):
        raise UsageError(
            f"{where}: its runs would have more than one precision ({', '.join(sorted(given))}). Set it once, at the top of "
            'the file (precision = "fp32").',
            code="suite-precision-mixed",
        )
    return given.pop() if given else None


def _task(row: _TaskRow, where: str, root: Path | str | None) -> dict[str, Any]:
    """The keys that a task sets, with its title and its paths."""
    if row.metric is not None and row.metric not in METRICS:
        raise UnknownNameError("metric", row.metric, METRICS, f"It is in {where}.")
    if row.folds is not None and (not row.folds or len(set(row.folds)) < len(row.folds)):
        raise UsageError(f"{where}: folds must be distinct, not {list(row.folds)}.", code="folds-invalid")
    if row.folds is not None and row.fold is not None:
        raise UsageError(
            f"{where}: give either fold (one fold) or folds (of a cross-validation, averaged), not both.",
            code="fold-and-folds-given",
        )
    given = {one.name: getattr(row, one.name) for one in fields(row) if getattr(row, one.name) != one.default}
    given |= {key: _resolved(given[key], root) for key in ("root", "split_file") if key in given}
    return {"title": short_task(row.name), **given, "name": _resolved_task(row.name, root)}


def _step(row: Mapping[str, Any], where: str, root: Path | str | None) -> dict[str, Any]:
    """A pre-training step with its paths resolved."""
    if not isinstance(row.get("name"), str) or not row["name"]:
        raise UsageError(f"{where}: the key 'name' is missing.", code="missing-key")
    table = dict(row)
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
