"""Tasks whose images are handed over, and that count how often they are read; builds in processes of their own."""

import json
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
from data_samples import INFO, rows

from medzoo import paths
from medzoo.data.decode_cache import decode
from medzoo.data.decode_cache import store as row_store
from medzoo.data.decode_cache.cache import decoded
from medzoo.data.images.read import Pixels
from medzoo.data.task import Task

COUNT = 60
FORK = multiprocessing.get_context("fork")  # a new interpreter would import torch first


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


def build(note, answers=None, *, part=0.1, alone=1e9, seconds=0.02, apart=False, workers=1, count=COUNT, patch=None):
    """What a process of its own does."""
    row_store.PART_SECONDS, decode.ALONE_SECONDS = part, alone
    if patch is not None:
        patch()
    data = decoded(task_with(Slow(note, seconds, apart), count), "train", size=8, workers=workers)
    if answers is not None:
        answers.put(int(data.images[:, 0, 0].astype(int).sum()))


def builder(note, **kwargs):
    process = FORK.Process(target=build, args=(note,), kwargs=kwargs)
    process.start()
    return process


def files(pattern="part-*.safetensors"):
    return sorted((paths.home() / "decoded").glob(f"*/{pattern}"))


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


def kept_rows():
    return sum(json.loads(path.read_bytes()[8:4096])["images"]["shape"][0] for path in files())


def right(data, count=COUNT):
    return data.images[:, 0, 0].tolist() == [n % 251 for n in range(count)]
