"""Task families, found by file name in `medzoo/data/tasks`; nothing heavy is imported to list them."""

from __future__ import annotations

import os
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from medzoo.data.splits.assign import arrange, take_fraction
from medzoo.data.task import Task
from medzoo.data.task_info import Choice, LoadOptions, TaskInfo
from medzoo.errors import UnknownNameError, UsageError
from medzoo.paths import plain_path

_FOLDER = Path(__file__).with_name("tasks")


class TaskFamily(Protocol):
    """What a file in `medzoo/data/tasks` holds; `tests/typed_contracts.py` lets mypy check every one.

    Args:
        TASKS: name → facts. A name that ends in ":PATH" takes the user's path, as in folder:scans.
        CHOICES: what may follow the name, as in phantom_ct,n=2000.
        TAKES: which options of `load_task` its `load` takes.
    """

    TASKS: dict[str, TaskInfo]
    CHOICES: dict[str, Choice]
    TAKES: LoadOptions

    def load(self, name: str, root: Path | None = None, *args: Any, **choices: Any) -> Task:  # noqa: ANN401
        """Open one of TASKS.

        Args:
            name: a key of TASKS.
            root: the folder of the data.
            args: none. `*args: Any, **choices: Any` is how a Protocol allows any further keyword arguments.
            choices: a keyword argument for each of CHOICES, for each option in TAKES, and `path` for names with ":PATH".
        """

    def fake(self, root: Path, n: int, seed: int = 0, name: str | None = None) -> None:
        """Write a tiny data set in the layout and the file formats of the real one.

        Args:
            root: the folder to write.
            n: about how many training images.
            seed: of random pixels.
            name: a key of TASKS; None for the first.
        """


def open_family(family: str) -> TaskFamily:
    """The module of a family, by its file name."""
    return cast(TaskFamily, import_module(f"medzoo.data.tasks.{family}"))


@cache
def task_names() -> dict[str, str]:
    """Task name → family.

    >>> task_names()["retinamnist"]
    'medmnist'
    """
    families = sorted(path.stem for path in _FOLDER.glob("*.py") if not path.stem.startswith("_"))
    return {task: family for family in families for task in open_family(family).TASKS}


def split_name(name: str) -> tuple[str, str | None, dict[str, str]]:
    """A task's name → (listed name, path, choices).

    Raises:
        UsageError: for a choice that is not key=value, or is there twice.

    >>> split_name("phantom_ct,n=2000")
    ('phantom_ct', None, {'n': '2000'})
    >>> split_name("folder:scans/knee")
    ('folder:PATH', 'scans/knee', {})
    >>> split_name("folder:scans/chest,window=lung")
    ('folder:PATH', 'scans/chest', {'window': 'lung'})
    >>> split_name("rsna_pe,window=-160:240")
    ('rsna_pe', None, {'window': '-160:240'})
    >>> split_name("folder:scans/knee,window=percentile:1,99")
    ('folder:PATH', 'scans/knee', {'window': 'percentile:1,99'})
    """
    prefix, colon, path = name.partition(":")
    if colon and "," not in prefix:  # a colon after a comma is part of a choice, as in window=-160:240
        base = f"{prefix}:PATH"
        known = open_family(task_names()[base]).CHOICES if base in task_names() else ("window",)
        place, chosen = _path_and_choices(path, tuple(known), name)
        return base, place, chosen
    base, *rest = name.split(",")
    choices: dict[str, str] = {}
    for part in rest:
        key, equals, value = part.partition("=")
        if part and not equals and list(choices)[-1:] == ["window"]:
            choices["window"] += f",{part}"  # a comma inside of the choice, as in window=percentile:1,99
            continue
        if not equals or not key or not value or key in choices:
            raise UsageError(f"Task {name!r}: {part!r} should be key=value, once each, as in phantom_ct,n=2000.")
        choices[key] = value
    return base, None, choices


def _path_and_choices(path: str, known: tuple[str, ...], name: str) -> tuple[str, dict[str, str]]:
    """A path, which may hold commas, and what stands behind it as `,key=value` with a known key; values may hold commas too."""
    starts = list(re.finditer(rf",({'|'.join(map(re.escape, known))})=", path)) if known else []
    ends = [start.start() for start in starts[1:]] + [len(path)]
    choices: dict[str, str] = {}
    for start, end in zip(starts, ends, strict=True) if starts else ():
        value = path[start.end() : end]
        if not value or start[1] in choices:
            raise UsageError(
                f"Task {name!r}: {start[1]} should stand once, with a value, as in folder:scans,window=lung."
            )
        choices[start[1]] = value
    return path[: starts[0].start()] if starts else path, choices


def load_from_family(
    name: str,
    *,
    root: str | os.PathLike[str] | None,
    label_policy: str | None,
    groups: str | None,
    pooled: bool = False,
    unlabelled: bool = False,
) -> Task:
    """Call the family's `load` with what it takes; an option that it does not take is an error, never ignored.

    Args:
        name: the task's name with its choices.
        root: folder of the data.
        label_policy: for families that have uncertain labels.
        groups: for families that do not know their groups.
        pooled: the splits will be replaced, so that families may join them (and a leak between them is no error yet).
        unlabelled: labels are not needed; families that always have them are opened as ever.

    Raises:
        UsageError: for a choice or an option that the family does not have.
    """
    base, path, choices = split_name(name)
    if base not in task_names():
        raise UsageError(f"Task {name}: say where the data are, as in {base}:some/folder.")
    family = open_family(task_names()[base])
    options: dict[str, Any] = {}
    for key, value in choices.items():
        if key not in family.CHOICES:
            known = ", ".join(family.CHOICES) or "none"
            raise UsageError(f"Task {base} has no choice {key!r}; it has {known}.")
        options[key] = family.CHOICES[key].parse(name, key, value)
    for key, given in (("label_policy", label_policy), ("groups", groups)):
        if given is None:
            continue
        if not getattr(family.TAKES, key):
            raise UsageError(
                f"Task {base} fixes its {key.replace('_', ' ')} itself; leave --{key.replace('_', '-')} out."
            )
        options[key] = given
    place = None if root is None else plain_path(root).expanduser()
    if path is not None:
        options["path"] = path
    if family.TAKES.pooled:
        options["pooled"] = pooled
    if family.TAKES.unlabelled:
        options["unlabelled"] = unlabelled
    return family.load(base, place, **options)


def list_tasks() -> list[str]:
    """The names of all tasks; `folder:PATH` and `parquet:PATH` stand for your own data.

    >>> "pneumoniamnist" in list_tasks()
    True
    """
    return sorted(task_names())


def task_info(name: str) -> TaskInfo:
    """The facts of a task, without its data.

    Raises:
        UnknownNameError: for a name that no family holds.

    >>> task_info("pneumoniamnist").classes
    ('normal', 'pneumonia')
    """
    if not isinstance(name, str):
        raise UsageError(
            f"The task is {name!r}; give the name of a task, or folder:PATH. `medzoo tasks list` shows all."
        )
    base, _, _ = split_name(name)
    known = task_names()
    base = f"{base}:PATH" if f"{base}:PATH" in known else base  # "folder" asks for the page of folder:PATH
    if base not in known:
        raise UnknownNameError("task", name, known, "`medzoo tasks list` shows all; your own data is folder:PATH.")
    return open_family(known[base]).TASKS[base]


def load_task(
    name: str,
    *,
    root: str | os.PathLike[str] | None = None,
    split_file: str | os.PathLike[str] | None = None,
    fold: int | None = None,
    fraction: float = 1.0,
    seed: int = 0,
    label_policy: str | None = None,
    groups: str | None = None,
    unlabelled: bool = False,
) -> Task:
    """Open a task: its splits, labels and groups, checked; images stay where they are until read.

    Data without a validation split get one cut from train (10 % of the groups); data without any split get
    train/validation/test of 70/10/20 %. Both depend on the seed and the group ids alone.

    Args:
        name: a task, with choices after commas: "phantom_ct", "phantom_ct,n=2000", "folder:PATH", "parquet:PATH",
            "folder:PATH,label=dx,group=case" (`medzoo tasks info folder` lists what may stand there).
        root: the folder that holds the data.
        split_file: JSON or CSV that maps ids to train, validation, test or excluded; or a folder with one list a split
            (train.txt, val.csv, ...), as the studies publish them.
        fold: 0 to 4: of five group folds over all data, this is the test set and the next one validation. With a folder of
            lists that hold folds (train_fold1.csv), which of them.
        fraction: share of the training groups to keep; smaller fractions are parts of larger ones, stratified by class.
        seed: of fractions, folds and made splits (not of training).
        label_policy: uncertain labels (-1) become not annotated ("mask", the default), "zero", "one", or in training a number
            drawn anew for every image and epoch ("soft", "soft:LOW:HIGH").
        groups: for your own data: the column that groups images of one patient, "parent" for the folders that images lie in,
            "dicom:patient" (or study, series) for their headers, or "none".
        unlabelled: of your own data, leave labels out: any folder of images or table of paths will do, groups need not be
            stated, and without a stated split all images are for training.

    Raises:
        UnknownNameError: for a name that no family holds.
        DataContractError: if the data are missing, or not what the task says.

    >>> load_task("phantom_oct").labels("test").shape
    (400,)
    """
    if not 0 < fraction <= 1:
        raise UsageError(f"The fraction is {fraction}; it should be above 0 and at most 1.")
    task_info(name)
    pooled = split_file is not None or fold is not None
    task = load_from_family(
        name, root=root, label_policy=label_policy, groups=groups, pooled=pooled, unlabelled=unlabelled
    )
    task = arrange(task, split_file=split_file, fold=fold, seed=seed)
    return task if fraction == 1 else take_fraction(task, fraction, seed=seed)
