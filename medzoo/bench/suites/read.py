"""Read a suite from a TOML file with a closed schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from medzoo import paths
from medzoo.bench.metrics import METRICS
from medzoo.bench.published.read import load_published
from medzoo.bench.results.store import safe_name
from medzoo.bench.suite import PROTOCOLS, SEEDS, Suite, short_task
from medzoo.bench.suites.axes import AXES, check_draws, columns_of
from medzoo.closed_schema import parse
from medzoo.errors import UnknownNameError, UsageError
from medzoo.precision import PrecisionChoice
from medzoo.training.options.fields import option
from medzoo.training.options.protocol_options import Mode
from medzoo.training.options.toml_files import read_toml


@dataclass(frozen=True)
class _CheckpointRow:
    """An entry of `checkpoints`: a name alone, or a table with a label.

    Args:
        name: to load: a name, hf-hub:org/name, org/name, a folder, or the name of a `pretrain` step.
        label: of its row in the table; by default the name.
        control: the checkpoint that it is compared with, instead of the suite's control; of several, the table marks the verdict of
            the first, and lists the differences to all.
    """

    name: str
    label: str | None = None
    control: str | tuple[str, ...] = ()


@dataclass(frozen=True)
class _TaskRow:
    """An entry of `tasks`: the column of the table, and the options of its runs that may differ between tasks.

    Args:
        name: a task (`medzoo tasks list`), or folder:PATH or parquet:PATH.
        title: of the column; by default the short name of the task.
        metric: shown in the table; by default that of the task.
        mode: fine-tuning or a probe, instead of the suite's.
        seeds: one run for each, instead of the suite's.
        root: folder of the data set, where the task needs one.
        groups: column with the patient of each image, or none (own data only).
        split_file: JSON or CSV file with the split of each image, or a folder with one list per split.
        label_policy: how to treat uncertain labels: mask, zero, one, soft or soft:LOW:HIGH.
        epochs: instead of the protocol's.
        size: side of the input in pixels, instead of the protocol's.
        batch_size: images per step, instead of the protocol's.
        learning_rate: instead of the protocol's.
        precision: fp32, bf16 or auto; all tasks of a suite have the same.
    """

    name: str
    title: str | None = None
    metric: str | None = None
    mode: Mode | None = None
    seeds: tuple[int, ...] | None = option("one run for each", None, least=0)
    folds: tuple[int, ...] | None = option("of a cross-validation, averaged", None, least=0)
    per_class: int | tuple[int, ...] | None = option(
        "few-shot: training images per class; a column for each", None, least=1
    )
    fractions: tuple[float, ...] | None = option("of the training patients; a column for each", None, above=0, most=1)
    sizes: tuple[int, ...] | None = option("sides of the input in pixels; a column for each", None, least=8, most=4096)
    draws: int | None = option("random parts of the training images, averaged", None, least=1, most=1000)
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
    """The content of a suite's TOML file; the options of pre-training are checked by their own dataclass.

    Args:
        name: a single word; by default the name of the file.
        title: of the table; by default the name.
        results: folder of the store of results; by default OUT/results.
        mode: fine-tuning, or a probe on frozen features.
        control: a checkpoint of the suite; all others are compared with it.
        published: a study in recipes/published whose numbers the table shows next to its own.
        protocols: names of protocols, or TOML files.
        checkpoints: the rows of the table: names, or tables with `name` and `label`.
        tasks: the columns of the table.
        pretrain: pre-trainings that come first, in order: `name` of the checkpoint, and options of recipes/pretrain.py.
        precision: of all runs: fp32, bf16 or auto, which takes the best one for the machine that starts the suite.
    """

    name: str | None = None
    title: str | None = None
    results: str | None = None
    mode: Mode = "finetune"
    control: str | None = None
    margin: float | None = option("the largest difference that does not matter", None, above=0, most=1000)
    published: str | None = None  # a study in recipes/published/
    seeds: tuple[int, ...] = option("one run for each", SEEDS, least=0)
    protocols: tuple[str, ...] = PROTOCOLS
    checkpoints: tuple[str | _CheckpointRow, ...] = ()
    tasks: tuple[_TaskRow, ...] = ()
    pretrain: tuple[Mapping[str, Any], ...] = ()
    # for every task that does not set them
    folds: tuple[int, ...] | None = option("of a cross-validation", None, least=0)
    per_class: int | tuple[int, ...] | None = option("training images per class", None, least=1)
    fractions: tuple[float, ...] | None = option("of the training patients", None, above=0, most=1)
    sizes: tuple[int, ...] | None = option("sides of the input, pixels", None, least=8, most=4096)
    draws: int | None = option("random parts of the training images", None, least=1, most=1000)
    precision: PrecisionChoice | None = None


def list_suites() -> list[str]:
    """The names of the suites that ship with medzoo."""
    return sorted(path.stem for path in (paths.data_dir("recipes") / "suites").glob("*.toml"))


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
    common = {name: value for name in AXES if (value := getattr(content, name)) is not None}
    tasks = [
        column
        for i, row in enumerate(content.tasks)
        for column in columns_of(_task(row, f"{where}: tasks[{i}]", root), common, f"{where}: tasks[{i}]")
    ]
    check_draws(content.draws, tasks, where)
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
        control=content.control,
        controls={
            row.name: (row.control,) if isinstance(row.control, str) else row.control for row in rows if row.control
        },
        margin=content.margin,
        published=content.published,
    )
    if suite.published is not None:
        load_published(suite.published)
    _check_distinct(suite, where)
    _check_control(suite, where)
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
    lists |= {f"seeds of {task['title']}": task["seeds"] for task in suite.tasks if "seeds" in task}
    lists |= {f"controls of {name}": (name, *others) for name, others in suite.controls.items()}
    for what, values in lists.items():
        if twice := [value for value in values if values.count(value) > 1]:
            raise UsageError(
                f"{where}: {what} contain {twice[0]!r} twice. Remove one of them.", code="suite-value-twice"
            )
        if not values and not what.startswith("names"):
            raise UsageError(f"{where}: {what} are missing. Add at least one.", code="suite-value-missing")


def _check_control(suite: Suite, where: str) -> None:
    """The controls are checkpoints of the suite, and a margin needs one."""
    if suite.margin is not None and suite.control is None:
        raise UsageError(f"{where}: margin needs control, a checkpoint of the suite.", code="margin-invalid")
    names = [one for row in suite.checkpoints for one in row]
    wanted = [suite.control] * (suite.control is not None) + [one for some in suite.controls.values() for one in some]
    if unknown := [one for one in wanted if one not in names]:
        known = ", ".join(name for name, _ in suite.checkpoints)
        raise UsageError(
            f"{where}: the control {unknown[0]!r} is not a checkpoint of the suite ({known}).", code="control-not-a-row"
        )


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
    return f"{kind}:{_resolved(place, root)}" if colon and kind in ("folder", "parquet", "mix", "shards") else name
