"""The report of `medzoo tasks check` on a data set: counts by split and class, all problems, and notes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medzoo.errors import listed


@dataclass
class SplitFacts:
    """Counts of one split.

    Args:
        images: rows.
        patients: different patients (or groups); None where the data have none.
        classes: images of each class (multilabel: with the label present; segmentation: with the class in the mask); None if the
            labels were not usable.
        not_annotated: multilabel: images without an annotation of a class, for classes that have such images.
        pixels: segmentation: pixels of each class.
        empty_masks: segmentation: images with an empty mask.
        values: regression: lowest, mean and highest value.
    """

    images: int = 0
    patients: int | None = None
    classes: dict[str, int] | None = None
    not_annotated: dict[str, int] = field(default_factory=dict)
    pixels: dict[str, int] = field(default_factory=dict)
    empty_masks: int | None = None
    values: tuple[float, float, float] | None = None


@dataclass
class TaskReport:
    """The complete report.

    Args:
        task: name with its choices.
        kind: of the task; "" for your own data that could not be read.
        problems: errors for training, or errors that the owner of the data should fix; each names its first offenders, and ends
            with its code.
        notes: information that is not an error.
        rows: every image with a problem: split, id, image, problem.
        splits: counts.
        images_read: number of decoded images.
        fingerprint: of the data; None if the task could not be built.
        split_hash: hash of the patients in each split.
    """

    task: str
    kind: str
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rows: list[dict[str, str]] = field(default_factory=list)
    splits: dict[str, SplitFacts] = field(default_factory=dict)
    images_read: int = 0
    fingerprint: str | None = None
    split_hash: str | None = None

    @property
    def passed(self) -> bool:
        """Whether there are no problems."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-like values."""
        splits = {
            name: {k: v for k, v in vars(facts).items() if v not in (None, {})} for name, facts in self.splits.items()
        }
        return {**vars(self), "splits": splits, "passed": self.passed}

    def __str__(self) -> str:
        facts = [self.kind, f"{self.images_read:,} images decoded" if self.images_read else ""]
        lines = [f"{self.task}: {', '.join(filter(None, facts))}".removesuffix(": ")]
        if self.splits:
            lines += ["", *_table(self.splits)]
        if self.problems:
            lines += ["", f"{len(self.problems)} problem{'s' * (len(self.problems) > 1)}:"]
            lines += [f"  {number}. {_indented(text, 5)}" for number, text in enumerate(self.problems, 1)]
        if self.notes:
            lines += ["", "notes:", *(f"  - {_indented(text, 4)}" for text in self.notes)]
        if self.passed:
            lines += ["", "no problems"]
        return "\n".join(lines)


def kinds_of(rows: Iterable[Mapping[str, str]], examples: int = 5, kinds: int = 12) -> list[str]:
    """Problems of images by kind, the most frequent first: the number, one description, and a few of the images.

    Two problems are of one kind if they differ only in names and numbers.

    Args:
        rows: split, id, image, problem.
        examples: maximum number of images to name for each kind.
        kinds: maximum number of kinds to list separately.

    >>> rows = [{"split": "test", "id": f"{i}.png", "image": f"{i}.png", "problem": f"x/{i}.png: cut off"} for i in range(9)]
    >>> kinds_of(rows, examples=2)
    ['9 images: cut off. They are test 0.png, test 1.png and 7 more.']
    """
    found: dict[str, tuple[str, list[str]]] = {}
    for row in rows:
        text = without_names(row["problem"], (row["image"], row["id"]))
        kind = re.sub(r"\d+", "#", text)
        place = row["id"] if row["id"].startswith(f"{row['split']}/") else f"{row['split']} {row['id']}"
        found.setdefault(kind, (text, []))[1].append(place.strip())
    ordered = sorted(found.values(), key=lambda pair: -len(pair[1]))
    lines = [f"{_images(names)}: {text}. {_named(names, examples)}" for text, names in ordered[:kinds]]
    if rest := [name for _, names in ordered[kinds:] for name in names]:
        lines.append(f"{_images(rest)}: {len(ordered) - kinds} more kinds of problems. {_named(rest, examples)}")
    return lines


def _images(names: Sequence[str]) -> str:
    return f"{len(names):,} image{'' if len(names) == 1 else 's'}"


def _named(names: Sequence[str], examples: int) -> str:
    return f"{'It is' if len(names) == 1 else 'They are'} {listed(names, examples)}."


def without_names(text: str, names: Iterable[str]) -> str:
    """The text of a problem without the name of the image.

    Args:
        text: such as "/data/a/1.png: cut off".
        names: of the image, as keys: a path, a part of a path, or `file#key`.

    >>> without_names("/data/a/1.png: cut off", ["a/1.png"])
    'cut off'
    """
    parts = {part for key in names for part in (key, key.partition("#")[0]) if part}
    for part in sorted(parts, key=len, reverse=True):
        text = re.sub(rf"[^\s:'\"()]*{re.escape(part)}(?![\w.])(: ?)?", lambda hit: "" if hit[1] else "it", text)
    return text.strip().rstrip(".")


def _table(splits: dict[str, SplitFacts]) -> list[str]:
    """Counts as lines, with one column per split."""
    rows: dict[str, list[Any]] = {"": list(splits), "images": [facts.images for facts in splits.values()]}

    def add(name: str, values: list[Any]) -> None:
        if any(value is not None for value in values):
            rows[name] = values

    add("patients", [facts.patients for facts in splits.values()])
    for name in dict.fromkeys(name for facts in splits.values() for name in facts.classes or {}):
        add(name, [(facts.classes or {}).get(name) for facts in splits.values()])
    for name in dict.fromkeys(name for facts in splits.values() for name in facts.not_annotated):
        add(f"{name}, not annotated", [facts.not_annotated.get(name, 0) for facts in splits.values()])
    for name in dict.fromkeys(name for facts in splits.values() for name in facts.pixels):
        add(f"{name}, pixels", [facts.pixels.get(name) for facts in splits.values()])
    add("empty masks", [facts.empty_masks for facts in splits.values()])
    for place, name in enumerate(("lowest", "mean", "highest")):
        add(name, [None if facts.values is None else f"{facts.values[place]:.4g}" for facts in splits.values()])
    # Numbers as text, and the widths of the columns.
    cells = {
        name: ["-" if value is None else f"{value:,}" if isinstance(value, int) else str(value) for value in values]
        for name, values in rows.items()
    }
    first = max(map(len, cells))
    widths = [max(len(values[place]) for values in cells.values()) for place in range(len(splits))]
    return [
        f"  {name:<{first}}" + "".join(f"  {value:>{width}}" for value, width in zip(values, widths, strict=True))
        for name, values in cells.items()
    ]


def _indented(text: str, by: int) -> str:
    return text.replace("\n", "\n" + " " * by)
