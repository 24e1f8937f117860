"""Measured duplicates between a task and pre-training data: reports of `medzoo tasks duplicates TASK --against DATA --json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medzoo.bench.contamination.image_sources import shared_data, task_data, without_size
from medzoo.errors import UsageError


@dataclass(frozen=True)
class MeasuredOverlap:
    """How many test images of a task are in other data.

    Args:
        task: its data, by name.
        data: the other data, by name.
        copies: test images with an equal image or a near copy there.
        kinds: of these copies, such as "equal pixels".
    """

    task: str
    data: str
    copies: int
    kinds: tuple[str, ...] = ()


def read_overlap(file: Path) -> MeasuredOverlap:
    """The overlap in a report of duplicates.

    Args:
        file: the JSON that `medzoo tasks duplicates TASK --against DATA --json` prints.

    Raises:
        UsageError: if it is not such a report, or was made without other data.
    """
    problem = f"{file} is not a report of `medzoo tasks duplicates TASK --against DATA --json`"
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        against = report["against"]
        if against is None:
            raise UsageError(
                f"{file} compares a task with itself. Make it with --against DATA.", code="duplicates-without-data"
            )
        task, copies, kinds = str(report["task"]), set(), set()
        for group in report["groups"]:
            if len(group["places"]) < 2:
                continue
            mine = [member["id"] for member in group["members"] if member["task"] == task and member["split"] == "test"]
            if mine and any(member["task"] != task for member in group["members"]):
                copies.update(mine)
                kinds.add(str(group["kind"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{problem}: {error!r}.", code="duplicates-report-invalid") from error
    return MeasuredOverlap(task_data(task), task_data(str(against)), len(copies), tuple(sorted(kinds)))


def is_of(overlap: MeasuredOverlap, data: str) -> bool:
    """Whether an overlap was measured with a pre-training data set; a size of images at the end of a name does not matter.

    Args:
        overlap: that was measured.
        data: name of the data set.

    >>> is_of(MeasuredOverlap("busi_224", "medical_mnist_64", 1), "medical_mnist")
    True
    """
    return without_size(overlap.data) == without_size(data)


def contamination(data: Sequence[str], task: str, measured: Iterable[MeasuredOverlap] = ()) -> str:
    """What is known about test images of a task in the pre-training data; empty if nothing is known against it.

    A measurement has priority over names: if it finds no copy in a data set, the name of this set gives no mark.

    Args:
        data: names of the pre-training data sets.
        task: as in a result.
        measured: overlaps that were measured.

    >>> contamination(["chestxray14"], "rsna_pneumonia")
    'pre-trained on chestxray14, which by its name has images of this task'
    >>> contamination(["own"], "pneumoniamnist", [MeasuredOverlap("pneumoniamnist", "own", 3)])
    '3 test images are in own (measured)'
    """
    found = {name: one.copies for one in measured for name in data if one.task == task_data(task) and is_of(one, name)}
    counted = [
        f"{copies:,} test image{'s are' if copies > 1 else ' is'} in {name}" for name, copies in found.items() if copies
    ]
    if counted:
        return ", ".join(counted) + " (measured)"
    shared = shared_data([name for name in data if name not in found], task)
    return f"pre-trained on {shared}, which by its name has images of this task" if shared else ""
