"""Tasks whose images are handed over, and that count how often they are read."""

import os
import time
from pathlib import Path

import numpy as np
from data_samples import INFO, rows

from medzoo.data.pixels import Pixels
from medzoo.data.task import Task


class Given:
    """Images handed over as arrays."""

    def __init__(self, images, masks=None):
        self._images, self._masks, self._reads = images, masks, []

    def read(self, key):
        self._reads.append(key)
        image = self._images[int(key)]
        if isinstance(image, Exception):
            raise image
        return image

    def read_mask(self, key):
        return self._masks[int(key)]


class Slow:
    """Draws grey images, notes each in a file, and takes its time: for builds that are killed or watched."""

    def __init__(self, note: Path, seconds: float = 0.01, apart: bool = False):
        self._note, self._seconds, self.apart = note, seconds, apart

    def read(self, key):
        with self._note.open("a") as file:
            file.write(f"{key} {os.getpid()}\n")
        time.sleep(self._seconds)
        return grey(int(key) % 251)

    def reads(self):
        return [line.split()[0] for line in self._note.read_text().splitlines()] if self._note.exists() else []


def task_with(reader, count, channels=None, mask=False, fingerprint="f" * 64, **other):
    ids = [str(n) for n in range(count)]
    chosen = {"channels": channels, "groups": "none: made up", **other}
    columns = rows(ids, [n % 2 for n in range(count)])
    if mask:
        chosen |= {"kind": "segmentation", "classes": ("finding", "other")}
        columns["mask"] = ids
    info = INFO.__class__(**{**INFO.__dict__, **chosen})
    return Task(info, {"train": columns}, reader, fingerprint)


def task_of(images, channels=None, masks=None, **other):
    return task_with(Given(images, masks), len(images), channels, masks is not None, **other)


def grey(value, size=(9, 7), dtype=np.uint8, scale=(0.0, 255.0)):
    return Pixels(np.full(size, value, dtype), scale, "grey")


def colour(value, size=(5, 5)):
    return Pixels(np.full((*size, 3), value, np.uint8), (0.0, 255.0), "rgb")


def part_of(task, chosen):
    """The same data with some rows only."""
    return task.with_tables({"train": task.tables["train"].take(chosen)})
