"""Every image and mask of a task, looked at before training."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from medzoo.data.duplicates.perceptual_hash import pixel_hash
from medzoo.data.validation.report import kinds_of
from medzoo.errors import MedzooError, listed

if TYPE_CHECKING:
    from medzoo.data.task import Task
    from medzoo.data.validation.report import TaskReport

_BLOCK = 256
_SIXTEEN_BITS = (0.0, 65535.0)
_NUMBER = re.compile(r"-?\d[\d.,]*(?:e[+-]?\d+)?")


@dataclass
class _Seen:
    """What one row gave."""

    problem: str = ""
    digest: bytes = b""
    look: str = ""
    size: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    peak: int = 0  # of 16 bits that are read as they are stored
    mask: np.ndarray | None = None  # pixels of each value


def look_at_images(task: Task, report: TaskReport, *, own: bool, bar: bool) -> None:
    """Decode every image and mask by a few threads, and put into the report what is wrong, doubled or worth a note.

    Args:
        task: whose images are read.
        report: with the counts of its splits.
        own: whether the data are the user's own, so that an image in two splits is a problem; of a published split it is a note.
        bar: show progress.
    """
    _Decoding(task, report, own).run(bar)


@dataclass
class _Decoding:
    """All images and masks of a task, decoded by a few threads."""

    task: Task
    report: TaskReport
    own: bool
    looks: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)  # by kind: the note without its numbers
    examples: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # at most two of a kind
    sizes: Counter[tuple[int, ...]] = field(default_factory=Counter)
    peak: int = 0
    places: dict[bytes, list[tuple[str, int]]] = field(default_factory=lambda: defaultdict(list))

    def run(self, bar: bool) -> None:
        """Decode, and put what was found into the report."""
        from tqdm import tqdm

        for split, facts in self.report.splits.items():
            totals = np.zeros(256, np.int64)
            present: Counter[int] = Counter()
            with tqdm(total=facts.images, desc=f"decode {split}", unit="img", disable=not bar) as shown:
                for row, seen in enumerate(self._seen(split, facts.images)):
                    shown.update()
                    self._note(split, row, seen)
                    if seen.mask is not None:
                        totals += seen.mask
                        present.update(np.flatnonzero(seen.mask[1:]).tolist())
                        facts.empty_masks = (facts.empty_masks or 0) + int(not seen.mask[1:].any())
            if facts.empty_masks is not None:
                facts.pixels = {name: int(totals[value]) for value, name in enumerate(self.task.classes, 1)}
            if self.task.kind == "segmentation":
                facts.classes = {name: present[value] for value, name in enumerate(self.task.classes)}
                absent = [name for name, count in facts.classes.items() if not count]
                if absent and split in ("train", "all"):
                    self.report.problems.append(f"{split}: no mask holds the class {listed(absent)}.")
                elif absent:
                    self.report.notes.append(f"{split}: no mask holds the class {listed(absent)}.")
        self._conclude()

    def _seen(self, split: str, count: int) -> Iterator[_Seen]:
        numbers = iter(range(count))
        with ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2))) as pool:
            try:
                while block := list(islice(numbers, _BLOCK)):
                    yield from pool.map(lambda row: self._look(split, row), block)
            finally:
                pool.shutdown(cancel_futures=True)

    def _look(self, split: str, row: int) -> _Seen:
        task = self.task
        try:
            pixels, _ = task.read(split, row)
            array = pixels.array
            look = f"{array.dtype.name} {pixels.unit}"
            seen = _Seen("", pixel_hash(pixels), look, array.shape[:2], pixels.notes)
            if array.dtype == np.uint16 and pixels.range == _SIXTEEN_BITS:
                seen.peak = int(array.max())
            if task.kind == "segmentation":
                mask = task.read_mask(split, row)
                seen.problem, seen.mask = self._judge(mask, array.shape[:2])
        except (MedzooError, OSError, ValueError) as error:
            return _Seen(str(error))
        return seen

    def _judge(self, mask: np.ndarray, size: tuple[int, ...]) -> tuple[str, np.ndarray | None]:
        if mask.shape != size:
            return f"the mask has the shape {mask.shape}, the image {size}", None
        values = np.bincount(mask.ravel(), minlength=256)[:256]
        strange = np.flatnonzero(values[len(self.task.classes) + 1 :]) + len(self.task.classes) + 1
        if len(strange):
            known = len(self.task.classes)
            return f"the mask holds the values {listed(strange.tolist(), 5)}; the task has 0 to {known}", None
        return "", values

    def _note(self, split: str, row: int, seen: _Seen) -> None:
        if seen.digest:
            self.report.images_read += 1
            self.places[seen.digest].append((split, row))
            self.looks[seen.look] += 1
            self.sizes[seen.size] += 1
            self.peak = max(self.peak, seen.peak)
            for note in set(seen.notes):
                kind = _NUMBER.sub("#", note)
                self.notes[kind] += 1
                if len(self.examples[kind]) < 2:
                    self.examples[kind].add(note)
        if seen.problem:
            key, image = (str(self.task.tables[split][name][row].as_py()) for name in ("id", "image"))
            self.report.rows.append({"split": split, "id": key, "image": image, "problem": seen.problem})

    def _torn(self, groups: list[list[tuple[str, int]]]) -> list[list[tuple[str, int]]]:
        """The groups of equal images whose labels are not equal."""
        if not self.task.has_labels or not groups:
            return []
        try:
            labels = {split: self.task.labels(split) for split in self.report.splits}
        except MedzooError:  # told already
            return []
        return [places for places in groups if len({labels[split][row].tobytes() for split, row in places}) > 1]

    def _named(self, groups: list[list[tuple[str, int]]]) -> str:
        tables = self.task.tables
        return listed(
            (" = ".join(f"{split} {tables[split]['id'][row].as_py()}" for split, row in g) for g in groups), 5
        )

    def _conclude(self) -> None:
        report = self.report
        broken = [row for row in report.rows if row["id"]]
        if broken:
            report.problems.append("\n".join([f"{len(broken)} images or masks cannot be used:", *kinds_of(broken)]))
        groups = [places for places in self.places.values() if len(places) > 1]
        shared = [places for places in groups if len({split for split, _ in places}) > 1]
        torn = self._torn(groups)
        doubts = report.problems if self.own else report.notes
        if shared:
            doubts.append(
                f"{len(shared)} images are in more than one split under different ids: {self._named(shared)}."
            )
        if torn:
            doubts.append(f"{len(torn)} images occur more than once with different labels: {self._named(torn)}.")
        if groups:
            report.notes.append(
                f"{len(groups)} images occur more than once, {sum(map(len, groups))} times in all; `medzoo tasks duplicates`, "
                "with the same name and options, shows them, and near copies."
            )
        if self.sizes:
            small, large = min(self.sizes, key=np.prod), max(self.sizes, key=np.prod)
            shapes = " to ".join(dict.fromkeys(" x ".join(map(str, size)) for size in (small, large)))
            looks = ", ".join(f"{look} ({count})" for look, count in self.looks.most_common(6))
            report.notes.append(f"images are {shapes} pixels: {looks}.")
        if 255 < self.peak < 2**14:
            windowed = report.task.startswith(("folder:", "parquet:"))
            how = (
                f" Give their range behind the task's name: ,window=0:{2 ** self.peak.bit_length() - 1}."
                if windowed
                else ""
            )
            report.notes.append(
                f"no value of the uint16 images is above {self.peak:,}, of 65,535 that may be: networks get them nearly black.{how}"
            )
        for kind, count in self.notes.most_common(10):
            same = self.examples[kind]
            other = "" if len(same) == 1 else " (other images: other numbers)"
            report.notes.append(f"{count} images: {min(same)}{other}.")
