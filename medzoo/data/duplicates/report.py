"""The result of a search for duplicates: groups of equal or near equal images, as counts, text, JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from medzoo.data.duplicates.perceptual_hash import BITS
from medzoo.store import write_text

Kind = Literal["bytes", "pixels", "near"]


@dataclass(frozen=True)
class Member:
    """One image of a group; label and patient are empty if unknown."""

    task: str
    split: str
    id: str
    label: str = ""
    patient: str = ""

    def __str__(self) -> str:
        known = [f"{word} {value}" for word, value in (("label", self.label), ("patient", self.patient)) if value]
        return f"{self.split} {self.id}" + (f" ({', '.join(known)})" if known else "")


@dataclass(frozen=True)
class Group:
    """Images with the same content.

    Args:
        kind: "bytes" (equal files), "pixels" (equal after decoding) or "near".
        members: images of the task first.
        distance: for near copies: the largest distance of a member to its nearest member, in bits of 256.
        confirmed: whether small images were compared too; False with an index without images.
    """

    kind: Kind
    members: tuple[Member, ...]
    distance: int = 0
    confirmed: bool = True

    def _own(self) -> list[Member]:
        return [member for member in self.members if member.task == self.members[0].task]

    @property
    def places(self) -> tuple[str, ...]:
        """The splits of the group's images; for other data, the name and the split."""
        first = self.members[0].task
        names = (one.split if one.task == first else f"{one.task}/{one.split}" for one in self.members)
        return tuple(dict.fromkeys(names))

    @property
    def labels(self) -> tuple[str, ...]:
        """The different labels of its images in the task."""
        return tuple(dict.fromkeys(member.label for member in self._own()))

    @property
    def patients(self) -> tuple[str, ...]:
        """The different patients of its images in the task."""
        return tuple(dict.fromkeys(member.patient for member in self._own() if member.patient))

    def to_dict(self) -> dict[str, Any]:
        """The group as JSON-like values."""
        return {
            "kind": self.kind,
            "distance": self.distance,
            "confirmed": self.confirmed,
            "places": list(self.places),
            "label_conflict": len(self.labels) > 1,
            "members": [asdict(member) for member in self.members],
        }


@dataclass(frozen=True)
class DuplicateReport:
    """All groups of a task.

    Args:
        task: whose images were compared.
        images: their number.
        against: the other data that they were compared with; None if they were compared with each other.
        groups: equal ones first, then by size.
        unreadable: images that could not be read, with the reason.
    """

    task: str
    images: int
    against: str | None
    groups: list[Group] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    @property
    def shared(self) -> list[Group]:
        """Groups in more than one split, or in other data."""
        return [group for group in self.groups if len(group.places) > 1]

    def summary(self) -> dict[str, Any]:
        """Counts, and the number of groups by kind and pair of places."""
        exact = [group for group in self.groups if group.kind != "near"]
        near = [group for group in self.groups if group.kind == "near"]
        between = Counter(
            f"{'near' if group.kind == 'near' else 'equal'}: {one} and {other}"
            for group in self.shared
            for one, other in combinations(group.places, 2)
        )
        return {
            "task": self.task,
            "images": self.images,
            "against": self.against,
            "equal_groups": len(exact),
            "equal_images": sum(len(group.members) for group in exact),
            "near_groups": len(near),
            "near_images": sum(len(group.members) for group in near),
            "shared_groups": len(self.shared),
            "between": dict(sorted(between.items())),
            "label_conflicts": sum(len(group.labels) > 1 for group in self.groups),
            "patients_joined": sum(len(group.patients) > 1 for group in self.groups),
            "unreadable_images": len(self.unreadable),
        }

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-like values."""
        groups = [group.to_dict() for group in self.groups]
        return {**self.summary(), "groups": groups, "unreadable": self.unreadable}

    def write_csv(self, path: Path) -> None:
        """Write one row per image, atomically."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["group", "kind", "distance", "label_conflict", "task", "split", "id", "label", "patient"])
        for number, group in enumerate(self.groups):
            head = [number, group.kind, group.distance, int(len(group.labels) > 1)]
            writer.writerows([*head, *asdict(member).values()] for member in group.members)
        write_text(path, text.getvalue())

    def to_text(self, limit: int = 10) -> str:
        """The report as text for a terminal.

        Args:
            limit: maximum number of groups, those in two places first, and of members per group.
        """
        facts = self.summary()
        lines = [
            f"{self.task}: {self.images:,} images" + (f" against {self.against}" if self.against else ""),
            f"  equal             {facts['equal_groups']} groups of {facts['equal_images']} images",
            f"  near copies       {facts['near_groups']} groups of {facts['near_images']} images",
            f"  in two places     {facts['shared_groups']} groups",
            *(f"      {count:>6}  {pair}" for pair, count in facts["between"].items()),
            f"  different labels  {facts['label_conflicts']} groups",
        ]
        if facts["patients_joined"]:
            lines.append(f"  several patients  {facts['patients_joined']} groups")
        if self.unreadable:
            lines.append(f"  not read          {len(self.unreadable)} images: {self.unreadable[0]}")
        for group in sorted(self.groups, key=lambda one: (len(one.places) < 2, len(one.labels) < 2))[:limit]:
            lines += ["", *_written(group, limit)]
        if len(self.groups) > limit:
            lines.append(f"\nand {len(self.groups) - limit} more groups; --out FILE.csv writes all")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.to_text()


def _written(group: Group, limit: int) -> list[str]:
    kinds = {"bytes": "equal files", "pixels": "equal pixels", "near": f"near, {group.distance} of {BITS} bits differ"}
    marks = [kinds[group.kind]]
    if not group.confirmed:
        marks.append("only hashes compared")
    if len(group.labels) > 1:
        marks.append("different labels")
    more = len(group.members) - limit
    return [
        f"{' + '.join(group.places)}: {'; '.join(marks)}",
        *(f"    {member}" for member in group.members[:limit]),
        *([f"    and {more} more"] if more > 0 else []),
    ]
