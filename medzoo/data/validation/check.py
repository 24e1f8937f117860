"""Check the data of a task before training: tables, files, labels, splits, images, masks."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.data.files.checksums import changed_files, find_sums, read_sums
from medzoo.data.problems import collecting
from medzoo.data.splits.assign import arrange
from medzoo.data.task_registry import load_from_family, task_info
from medzoo.data.validation.extra_files import extra_files
from medzoo.data.validation.images import check_images
from medzoo.data.validation.report import SplitFacts, TaskReport
from medzoo.errors import DataContractError, MedzooError, listed, with_code

if TYPE_CHECKING:
    from medzoo.data.task import Task


def check_task(
    name: str,
    *,
    root: str | os.PathLike[str] | None = None,
    split_file: str | os.PathLike[str] | None = None,
    fold: int | None = None,
    label_policy: str | None = None,
    groups: str | None = None,
    unlabelled: bool = False,
    images: bool = True,
    sums: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> TaskReport:
    """Report all problems of a task's data; `load_task` stops at the first.

    Args:
        name: as for `load_task`, as are root, split_file, fold, label_policy, groups and seed.
        root: the data's folder.
        split_file: ids → splits.
        fold: of a cross-validation.
        label_policy: of uncertain labels.
        groups: column of the patients, for your own data.
        unlabelled: do not use labels, as in pre-training.
        images: decode every image and mask.
        sums: a checksum list (as sha256sum writes it) for the files below root; by default SHA256SUMS or a similar file in root.
        seed: of made splits.
        progress: show bars; by default on a terminal.

    Raises:
        UnknownNameError: for a name that no family has.
        UsageError: for options that the task does not take.

    >>> report = check_task("phantom_oct,n=8,n_validation=4,n_test=4")
    >>> report.passed, report.splits["train"].classes
    (True, {'normal': 1, 'drusen': 3, 'fluid': 3, 'atrophy': 1})
    """
    # Open the task with all errors collected.
    kind = task_info(name).kind
    report = TaskReport(name, "" if ":" in name else kind)  # the kind of your own data follows from their labels
    options = {"root": root, "label_policy": label_policy, "groups": groups, "unlabelled": unlabelled}
    advice: list[str] = []
    task, errors, made = _open(name, options, split_file, fold, seed, advice)
    report.problems += map(with_code, errors)
    report.notes += advice
    if task is None:
        return report
    # Counts and notes.
    report.task, report.kind = task.name, task.kind
    report.fingerprint, report.split_hash = task.fingerprint, task.split_hash
    bar = sys.stderr.isatty() if progress is None else progress
    for split in task.tables:
        report.splits[split] = _counts(task, split)
    report.notes += [note for note in task.notes if not made or "made here" not in note]
    if made:
        reason = "the data have no splits" if "train" in made else f"no usable row is in {listed(made)}"
        report.notes.append(f"{reason}: made here by {_unit(task)}, with seed {seed}.")
    if task.has_labels and "test" not in task.tables:
        report.notes.append(
            "there is no test split: the images can be used for pre-training; fine-tuning, probes and tables need a test split."
        )
    report.notes += _absent_classes(task, report.splits)
    if ":" in name:
        report.notes += _doubtful_classes(task)
    # Files and pixels.
    _check_files(task, report, errors, sums, images, bar)
    if images:
        check_images(task, report, user_data=":" in name, bar=bar)
    return report


def _open(
    name: str,
    options: dict[str, Any],
    split_file: str | os.PathLike[str] | None,
    fold: int | None,
    seed: int,
    advice: list[str],
) -> tuple[Task | None, list[DataContractError], list[str]]:
    """The task if it could be built, all errors, and the splits that the data do not have."""
    task: Task | None = None
    in_data: set[str] = set()
    pooled = split_file is not None or fold is not None
    errors: list[DataContractError] = []
    first = None
    try:
        with collecting(advice) as errors:
            task = load_from_family(name, **options, pooled=pooled)
            in_data, first = set(task.tables), len(errors)
            task = arrange(task, split_file=split_file, fold=fold, seed=seed)
    except Exception:
        if not errors:  # an exception after a collected error is its consequence
            raise
    made = [] if task is None or pooled else sorted(set(task.tables) - in_data)
    return task, errors[:first] + _new(errors[:first], errors[first:]) if first is not None else errors, made


def _unit(task: Task) -> str:
    """What a split that is made here keeps together."""
    return "image, because the patients are unknown" if task.info.groups.startswith("none") else "patient (or group)"


def _new(before: Sequence[DataContractError], after: Sequence[DataContractError]) -> list[DataContractError]:
    """The errors of the arranged splits without repetitions: `arrange` checks the same rows again, in other splits."""
    reported: dict[str, set[str]] = {}
    new = []
    for number, error in enumerate([*before, *after]):
        known = reported.get(error.code)
        if number >= len(before) and (known is None or not known.issuperset(error.offenders)):
            new.append(error)
        reported.setdefault(error.code, set()).update(error.offenders)
    return new


def _counts(task: Task, split: str) -> SplitFacts:
    facts = SplitFacts(images=task.tables[split].num_rows)
    if not task.info.groups.startswith("none"):
        facts.patients = len(set(task.groups(split)))
    if not task.has_labels:
        return facts
    try:
        labels = task.labels(split)
    except MedzooError:  # reported already
        return facts
    if task.kind == "regression":
        facts.values = (float(labels.min()), float(labels.mean()), float(labels.max())) if len(labels) else None
        return facts
    facts.classes = task.counts(split)
    if task.kind == "multilabel":
        missing = dict(zip(task.classes, np.isnan(labels).sum(axis=0).tolist(), strict=True))
        facts.not_annotated = {name: count for name, count in missing.items() if count}
    return facts


def _absent_classes(task: Task, splits: dict[str, SplitFacts]) -> list[str]:
    notes = []
    for split, facts in splits.items():
        absent = [name for name, count in (facts.classes or {}).items() if not count]
        if absent and split not in ("train", "all"):
            notes.append(f"{split}: no image of {listed(absent)}; the metric of this class is undefined there.")
    return notes


def _doubtful_classes(task: Task) -> list[str]:
    """Notes on suspicious classes in a user's own labels."""
    if task.kind not in ("binary", "multiclass"):
        return []
    if len(task.classes) == 1:
        return [
            f"all images have the class {task.classes[0]}: the data can be used only for pre-training without labels."
        ]
    similar: dict[str, list[str]] = {}
    for name in task.classes:
        similar.setdefault(re.sub(r"[\s_]", "", name).casefold(), []).append(name)
    repeated = [" = ".join(map(repr, names)) for names in similar.values() if len(names) > 1]
    return [f"classes that may be one class with several spellings: {listed(repeated)}."] if repeated else []


def _check_files(
    task: Task,
    report: TaskReport,
    errors: Sequence[DataContractError],
    sums: Any,  # noqa: ANN401
    images: bool,
    bar: bool,
) -> None:
    """Find extra files, and files that differ from a checksum list."""
    # Files that rows name, and files that they do not name.
    root = getattr(task.reader, "root", None)
    keys = [str(key) for split in task.tables for name in ("image", "mask") for key in _column(task, split, name)]
    named = dict.fromkeys(part for key in keys for part in key.partition("#")[0].split("|"))
    if not isinstance(root, Path) or not root.is_dir():
        return
    if not any("#" in key for key in keys):
        found = extra_files(root, named, errors)
        report.problems += found.problems
        report.notes += found.notes
    # Compare with the checksum list.
    path = Path(sums) if sums is not None else find_sums(root)
    if path is None or not images:
        return
    from tqdm import tqdm

    known = read_sums(path)
    listed_files = [name for name in named if name in known]
    with tqdm(total=len(listed_files), desc=f"compare with {path.name}", unit="file", disable=not bar) as progress:
        changed = changed_files(root, known, listed_files, progress.update)
    if changed:
        text = f"{len(changed)} files have another checksum than in {path}: {listed(changed)}. Download them again."
        report.problems.append(with_code(DataContractError(text, code="checksums-differ")))
        report.rows += [
            {"split": "", "id": "", "image": name, "problem": f"checksum differs from {path.name}"} for name in changed
        ]
    report.notes.append(f"{len(listed_files)} of {len(named)} files were compared with {path.name}.")


def _column(task: Task, split: str, name: str) -> list[Any]:
    return task.column(split, name) if name in task.tables[split].column_names else []
