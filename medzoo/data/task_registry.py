"""Task families, found by file name in `medzoo/data/tasks`. Listing them imports no heavy package."""

from __future__ import annotations

import os
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from medzoo.data.splits.assign import arrange
from medzoo.data.splits.reduce_training import check_part, reduce_training
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
        UsageError: for a choice that is not key=value, or occurs twice.

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
            choices["window"] += f",{part}"  # a comma inside the choice, as in window=percentile:1,99
            continue
        if not equals or not key or not value or key in choices:
            raise UsageError(
                f"Task {name!r}: {part!r} is not a valid choice. Give key=value, each key once, as in phantom_ct,n=2000.",
                code="task-choice-malformed",
            )
        choices[key] = value
    return base, None, choices


def _path_and_choices(path: str, known: tuple[str, ...], name: str) -> tuple[str, dict[str, str]]:
    """Split a path from the choices `,key=value` with known keys after it. The path and the values may contain commas."""
    starts = list(re.finditer(rf",({'|'.join(map(re.escape, known))})=", path)) if known else []
    ends = [start.start() for start in starts[1:]] + [len(path)]
    choices: dict[str, str] = {}
    for start, end in zip(starts, ends, strict=True) if starts else ():
        value = path[start.end() : end]
        if not value or start[1] in choices:
            raise UsageError(
                f"Task {name!r}: give {start[1]} once, with a value, as in folder:scans,window=lung.",
                code="task-choice-malformed",
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
    """Call the family's `load` with the options that it accepts; any other given option is an error.

    Args:
        name: the task's name with its choices.
        root: folder of the data.
        label_policy: for families that have uncertain labels.
        groups: for families that do not know their groups.
        pooled: the splits will be replaced: families may join them, and a leak between them is not an error.
        unlabelled: labels are not needed; families that always have labels ignore it.

    Raises:
        UsageError: for a choice or an option that the family does not have.
    """
    base, path, choices = split_name(name)
    if base not in task_names():
        raise UsageError(f"Task {name} needs the path of the data, as in {base}:some/folder.", code="task-path-missing")
    family = open_family(task_names()[base])
    options: dict[str, Any] = {}
    for key, value in choices.items():
        if key not in family.CHOICES:
            known = ", ".join(family.CHOICES) or "none"
            raise UsageError(f"Task {base} has no choice {key!r}; it has {known}.", code="task-choice-unknown")
        options[key] = family.CHOICES[key].parse(name, key, value)
    for key, given in (("label_policy", label_policy), ("groups", groups)):
        if given is None:
            continue
        if not getattr(family.TAKES, key):
            raise UsageError(
                f"Task {base} does not take {key.replace('_', ' ')}. Remove --{key.replace('_', '-')}.",
                code="task-option-fixed",
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
    """The names of all tasks; `folder:PATH` and `parquet:PATH` are for your own data.

    >>> "pneumoniamnist" in list_tasks()
    True
    """
    return sorted(task_names())


def task_info(name: str) -> TaskInfo:
    """The facts of a task, without its data.

    Raises:
        UnknownNameError: for a name that no family has.

    >>> task_info("pneumoniamnist").classes
    ('normal', 'pneumonia')
    """
    if not isinstance(name, str):
        raise UsageError(
            f"The task is {name!r}. Give the name of a task, or folder:PATH. `medzoo tasks list` shows all.",
            code="task-name-not-text",
        )
    base, _, _ = split_name(name)
    known = task_names()
    base = f"{base}:PATH" if f"{base}:PATH" in known else base  # "folder" means folder:PATH
    if base not in known:
        raise UnknownNameError("task", name, known, "`medzoo tasks list` shows all; your own data is folder:PATH.")
    return open_family(known[base]).TASKS[base]


def load_task(
    name: str,
    *,
    root: str | os.PathLike[str] | None = None,
    split_file: str | os.PathLike[str] | None = None,
    fold: int | None = None,
    fold_count: int | None = None,
    fraction: float = 1.0,
    per_class: int | None = None,
    draw: int | None = None,
    seed: int = 0,
    label_policy: str | None = None,
    groups: str | None = None,
    unlabelled: bool = False,
) -> Task:
    """Open a task and check its splits, labels and groups. Images are decoded only when they are read.

    If the data have no validation split, 10 % of the training groups become one. If the data have no splits, 70/10/20 % of the
    groups become train/validation/test. Both depend only on the seed and the group ids.

    Args:
        name: a task, with choices after commas: "phantom_ct", "phantom_ct,n=2000", "folder:PATH", "parquet:PATH",
            "folder:PATH,label=dx,group=case" (`medzoo tasks info folder` lists the choices).
        root: the folder of the data.
        split_file: JSON or CSV that maps ids to train, validation, test or excluded; or a folder with one list per split
            (train.txt, val.csv, ...), as the studies publish them.
        fold: 0 to 4: of five group folds over all data, this fold is the test set and the next one is validation. With a folder
            of lists for several folds (train_fold1.csv), the fold to use.
        fold_count: another number of group folds, 2 or more, for data without folds. With 2, validation is 10 % of the other fold.
        fraction: fraction of the training groups to use, stratified by class; a smaller fraction is a part of every larger one.
        per_class: number of training images per class, from as many patients as possible (few-shot); validation and test stay
            complete, and a smaller number is a part of every larger one of the same draw.
        draw: number of the random part that `per_class` or `fraction` takes, from 0; by default the first one.
        seed: of fractions, folds and made splits (not of training).
        label_policy: uncertain labels (-1) become not annotated ("mask", the default), "zero", "one", or in training a random
            number for every image and epoch ("soft", "soft:LOW:HIGH").
        groups: for your own data: the column that groups images of one patient, "parent" for the folders of the images,
            "dicom:patient" (or study, series) for their headers, or "none".
        unlabelled: for your own data: do not use labels. Any folder of images or table of paths is accepted, groups are
            optional, and if no split is given, all images are for training.

    Raises:
        UnknownNameError: for a name that no family has.
        DataContractError: if the data are missing, or not as the task describes them.

    >>> load_task("phantom_oct").labels("test").shape
    (400,)
    """
    check_part(fraction, per_class, draw)
    task_info(name)
    pooled = split_file is not None or fold is not None
    task = load_from_family(
        name, root=root, label_policy=label_policy, groups=groups, pooled=pooled, unlabelled=unlabelled
    )
    task = arrange(task, split_file=split_file, fold=fold, seed=seed, fold_count=fold_count)
    return reduce_training(task, fraction=fraction, per_class=per_class, draw=draw, seed=seed)
