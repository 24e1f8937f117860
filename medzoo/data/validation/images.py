"""Check every image and mask of a task before training."""

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
from medzoo.errors import DataContractError, MedzooError, listed, with_code

if TYPE_CHECKING:
    from medzoo.data.task import Task
    from medzoo.data.validation.report import TaskReport

_BLOCK = 256
_SIXTEEN_BITS = (0.0, 65535.0)
_NUMBER = re.compile(r"-?\d[\d.,]*(?:e[+-]?\d+)?")


@dataclass
class _ImageResult:
    """The result for one row."""

    problem: str = ""
    digest: bytes = b""
    pixel_type: str = ""
    size: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    peak: int = 0  # highest value of an unscaled 16-bit image
    mask: np.ndarray | None = None  # pixels of each value


def check_images(task: Task, report: TaskReport, *, user_data: bool, bar: bool) -> None:
    """Decode every image and mask with a few threads, and add errors, duplicates and notes to the report.

    Args:
        task: whose images are read.
        report: with the counts of its splits.
        user_data: whether the data are the user's own: then an image in two splits is a problem; in a published split it is a
            note.
        bar: show progress.
    """
    _Decoding(task, report, user_data).run(bar)


@dataclass
class _Decoding:
    """Decodes all images and masks of a task with a few threads, and collects the results."""

    task: Task
    report: TaskReport
    user_data: bool
    pixel_types: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)  # by kind: the note without its numbers
    examples: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # at most two of a kind
    sizes: Counter[tuple[int, ...]] = field(default_factory=Counter)
    peak: int = 0
    places: dict[bytes, list[tuple[str, int]]] = field(default_factory=lambda: defaultdict(list))

    def run(self, bar: bool) -> None:
        """Decode, and add the results to the report."""
        from tqdm import tqdm

        for split, facts in self.report.splits.items():
            totals = np.zeros(256, np.int64)
            present: Counter[int] = Counter()
            with tqdm(total=facts.images, desc=f"decode {split}", unit="img", disable=not bar) as progress:
                for row, result in enumerate(self._results(split, facts.images)):
                    progress.update()
                    self._add(split, row, result)
                    if result.mask is not None:
                        totals += result.mask
                        present.update(np.flatnonzero(result.mask[1:]).tolist())
                        facts.empty_masks = (facts.empty_masks or 0) + int(not result.mask[1:].any())
            # Counts of the masks.
            if facts.empty_masks is not None:
                facts.pixels = {name: int(totals[value]) for value, name in enumerate(self.task.classes, 1)}
            if self.task.kind == "segmentation":
                facts.classes = {name: present[value] for value, name in enumerate(self.task.classes)}
                absent = [name for name, count in facts.classes.items() if not count]
                if absent and split in ("train", "all"):
                    text = f"{split}: no mask has the class {listed(absent)}."
                    self.report.problems.append(with_code(DataContractError(text, code="class-in-no-mask")))
                elif absent:
                    self.report.notes.append(f"{split}: no mask has the class {listed(absent)}.")
        self._conclude()

    def _results(self, split: str, count: int) -> Iterator[_ImageResult]:
        numbers = iter(range(count))
        with ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2))) as pool:
            try:
                while block := list(islice(numbers, _BLOCK)):
                    yield from pool.map(lambda row: self._decode(split, row), block)
            finally:
                pool.shutdown(cancel_futures=True)

    def _decode(self, split: str, row: int) -> _ImageResult:
        task = self.task
        try:
            pixels, _ = task.read(split, row)
            array = pixels.array
            pixel_type = f"{array.dtype.name} {pixels.unit}"
            result = _ImageResult("", pixel_hash(pixels), pixel_type, array.shape[:2], pixels.notes)
            if array.dtype == np.uint16 and pixels.range == _SIXTEEN_BITS:
                result.peak = int(array.max())
            if task.kind == "segmentation":
                mask = task.read_mask(split, row)
                result.problem, result.mask = self._check_mask(mask, array.shape[:2])
        except (MedzooError, OSError, ValueError) as error:
            return _ImageResult(str(error))
        return result

    def _check_mask(self, mask: np.ndarray, size: tuple[int, ...]) -> tuple[str, np.ndarray | None]:
        if mask.shape != size:
            return f"the mask has the shape {mask.shape}, the image {size}", None
        values = np.bincount(mask.ravel(), minlength=256)[:256]
        strange = np.flatnonzero(values[len(self.task.classes) + 1 :]) + len(self.task.classes) + 1
        if len(strange):
            known = len(self.task.classes)
            return f"the mask has the values {listed(strange.tolist(), 5)}; the task has 0 to {known}", None
        return "", values

    def _add(self, split: str, row: int, result: _ImageResult) -> None:
        if result.digest:
            self.report.images_read += 1
            self.places[result.digest].append((split, row))
            self.pixel_types[result.pixel_type] += 1
            self.sizes[result.size] += 1
            self.peak = max(self.peak, result.peak)
            for note in sorted(set(result.notes)):
                kind = _NUMBER.sub("#", note)
                self.notes[kind] += 1
                if len(self.examples[kind]) < 2:
                    self.examples[kind].add(note)
        if result.problem:
            key, image = (str(self.task.tables[split][name][row].as_py()) for name in ("id", "image"))
            self.report.rows.append({"split": split, "id": key, "image": image, "problem": result.problem})

    def _label_conflicts(self, groups: list[list[tuple[str, int]]]) -> list[list[tuple[str, int]]]:
        """The groups of equal images with different labels."""
        if not self.task.has_labels or not groups:
            return []
        try:
            labels = {split: self.task.labels(split) for split in self.report.splits}
        except MedzooError:  # reported already
            return []
        return [places for places in groups if len({labels[split][row].tobytes() for split, row in places}) > 1]

    def _named(self, groups: list[list[tuple[str, int]]]) -> str:
        tables = self.task.tables
        return listed(
            (" = ".join(f"{split} {tables[split]['id'][row].as_py()}" for split, row in g) for g in groups), 5
        )

    def _conclude(self) -> None:
        # Images that cannot be decoded.
        report = self.report
        broken = [row for row in report.rows if row["id"]]
        if broken:
            text = "\n".join([f"{len(broken)} images or masks cannot be used:", *kinds_of(broken)])
            report.problems.append(with_code(DataContractError(text, code="images-unusable")))
        # Equal images.
        groups = [places for places in self.places.values() if len(places) > 1]
        shared = [places for places in groups if len({split for split, _ in places}) > 1]
        conflicts = self._label_conflicts(groups)
        found = []
        if shared:
            text = f"{len(shared)} images are in more than one split under different ids: {self._named(shared)}."
            found.append(DataContractError(text, code="equal-images-in-several-splits"))
        if conflicts:
            text = f"{len(conflicts)} images occur more than once with different labels: {self._named(conflicts)}."
            found.append(DataContractError(text, code="equal-images-with-other-labels"))
        if self.user_data:
            report.problems += map(with_code, found)
        else:
            report.notes += map(str, found)
        if groups:
            report.notes.append(
                f"{len(groups)} images occur more than once, {sum(map(len, groups))} times in total. `medzoo tasks duplicates` "
                "with the same name and options lists them, and near copies."
            )
        # Sizes, types and value ranges.
        if self.sizes:
            small, large = min(self.sizes, key=np.prod), max(self.sizes, key=np.prod)
            shapes = " to ".join(dict.fromkeys(" x ".join(map(str, size)) for size in (small, large)))
            types = ", ".join(f"{name} ({count})" for name, count in self.pixel_types.most_common(6))
            report.notes.append(f"images are {shapes} pixels: {types}.")
        if 255 < self.peak < 2**14:
            window = f",window=0:{2 ** self.peak.bit_length() - 1}"
            windowed = report.task.startswith(("folder:", "parquet:"))
            hint = f" Add their range after the task's name: {window}." if windowed else ""
            report.notes.append(
                f"no value of the uint16 images is above {self.peak:,}, but the type allows 65,535: the network gets nearly black "
                f"images.{hint}"
            )
        # Notes of the decoders.
        for kind, count in sorted(self.notes.items(), key=lambda pair: (-pair[1], pair[0]))[:10]:
            same = self.examples[kind]
            suffix = "" if len(same) == 1 else " (the numbers differ between images)"
            report.notes.append(f"{count} images: {min(same)}{suffix}.")
