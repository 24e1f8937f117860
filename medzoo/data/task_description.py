"""A description of a task, from its facts only: the source of its images, what they show, and the next commands."""

from __future__ import annotations

import re
from textwrap import indent
from typing import Literal

from medzoo.data.task_info import TaskInfo

Source = Literal["drawn", "download", "your copy", "your own"]
SOURCES: dict[Source, str] = {
    "drawn": "drawn by code, nothing to download",
    "download": "downloaded at first use",
    "your copy": "from your copy of the files: --root FOLDER",
    "your own": "your own data, by path",
}
# Words in a title, in the order of the search; the first match decides.
_MODALITIES = (
    ("CT", r"\bCT\b|tomograph"),
    ("MR", r"\bMRI?\b"),
    ("ultrasound", r"ultrasound"),
    ("OCT", r"\bOCT\b"),
    ("mammography", r"mammogra"),
    ("X-ray", r"radiograph|X-ray"),
    ("dermoscopy", r"dermoscop|skin"),
    ("microscopy", r"histopath|tissue|microscop|lymph node|blood cell"),
    ("fundus", r"fundus|retina"),
    ("natural", r"\bImageNet|iNaturalist|texture|photograph"),
)


def source_of(info: TaskInfo) -> Source:
    """Where a task's images come from.

    >>> from medzoo.data.task_registry import task_info
    >>> [source_of(task_info(name)) for name in ("phantom_ct", "pneumoniamnist", "chestxray14", "folder:PATH")]
    ['drawn', 'download', 'your copy', 'your own']
    """
    if info.name.endswith(":PATH"):
        return "your own"
    if info.layout:
        return "your copy"
    return "drawn" if info.how.startswith("drawn") else "download"


def modality_of(info: TaskInfo) -> str:
    """The kind of image, from the words of the title; several are joined by `, `; the text is empty if there is none.

    >>> from medzoo.data.task_registry import task_info
    >>> modality_of(task_info("chestxray14")), modality_of(task_info("phantom_ct"))
    ('X-ray', 'CT')
    """
    found = [name for name, words in _MODALITIES if re.search(words, info.title)]
    if len(found) > 1 and not {"CT", "MR", "ultrasound"} >= set(found):
        found = found[:1]
    return ", ".join(found)


def info_text(info: TaskInfo) -> str:
    """A page about a task: its facts, how to get its images and their terms, the layout of the folder, the next commands."""
    return "\n\n".join(part for part in (_facts(info), _getting(info), _more(info), _commands(info)) if part)


def _facts(info: TaskInfo) -> str:
    lines = [f"{info.name}: {info.title}", ""]
    known = f"{len(info.classes)} classes: {', '.join(info.classes)}" if info.classes else "classes from the data"
    kind = f"{info.kind}; {known}"
    if source_of(info) == "your own":
        kind = "decided by the labels: classes, several findings per image, values to regress, or masks"
    rows = [
        ("kind", kind),
        ("images", ", ".join(filter(None, [modality_of(info), {1: "grey", 3: "colour"}.get(info.channels or 0, "")]))),
        ("window", f"{info.window[0]:g} to {info.window[1]:g}" if info.window else ""),
        (
            "measured",
            f"{info.metric}, for each {info.unit}" + (f", mean over {', '.join(info.scored)}" if info.scored else ""),
        ),
        ("regions", "; ".join(f"{name}: mask values {values}" for name, values in (info.regions or {}).items())),
        ("patients", info.groups if info.groups.startswith("none") else f"grouped by {info.groups}"),
        ("splits", info.split),
        ("labels", "may be uncertain: --label-policy mask, zero, one or soft" if info.uncertain else ""),
        (
            "sharing",
            "labels of single cases are not published: the terms forbid it" if info.labels_stay else "",
        ),
    ]
    return "\n".join([*lines, *(_row(key, value) for key, value in rows if value)])


def _getting(info: TaskInfo) -> str:
    lines = [f"How to get it ({SOURCES[source_of(info)]}):", f"  {info.how}"]
    lines += [
        _row(key, value)
        for key, value in (("from", info.url), ("terms", info.license), ("cite", info.citation))
        if value
    ]
    if info.layout:
        lines += ["", "The folder after unpacking:", *(f"  {line}" for line in info.layout.splitlines())]
    return "\n".join(lines)


def _more(info: TaskInfo) -> str:
    lines = ["Layouts and columns:\n" + indent(info.note, "  ")] if source_of(info) == "your own" and info.note else []
    lines += [f"Note: {info.note}"] if info.note and not lines else []
    if info.published:
        lines.append("Published: " + "; ".join(f"{key} {value}" for key, value in info.published.items()))
    return "\n".join(lines)


def commands_of(info: TaskInfo, checkpoint: str = "NAME") -> tuple[str, ...]:
    """The next commands: check the data, search copies of images, train.

    Args:
        info: of the task.
        checkpoint: to train.

    >>> from medzoo.data.task_registry import task_info
    >>> commands_of(task_info("chestxray14"))[0]
    'medzoo tasks check chestxray14 --root FOLDER'
    """
    root = " --root FOLDER" if source_of(info) == "your copy" else ""
    groups = " [--groups COLUMN]" if info.name in ("folder:PATH", "parquet:PATH") else ""
    return (
        f"medzoo tasks check {info.name}{root}{groups}",
        f"medzoo tasks duplicates {info.name}{root}{groups}",
        f"accelerate launch recipes/finetune.py --checkpoint {checkpoint} --task {info.name}{root}{groups}",
    )


def _commands(info: TaskInfo) -> str:
    return "\n".join(["Then:", *(f"  {command}" for command in commands_of(info))])


def _row(key: str, value: object) -> str:
    return f"  {key:<10}{str(value).replace(chr(10), chr(10) + ' ' * 12)}"
