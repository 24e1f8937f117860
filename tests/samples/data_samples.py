"""Tiny tasks for the tests of this folder."""

import numpy as np

from medzoo.data.images.read import Pixels
from medzoo.data.task import Task
from medzoo.data.task_info import TaskInfo
from medzoo.data.task_registry import load_task, open_family, task_names

INFO = TaskInfo(
    name="t", title="", kind="binary", classes=("no", "yes"), metric="auroc", unit="image", groups="patient_id", channels=1,
    license="CC0-1.0", url="", citation="", how="",
)  # fmt: skip


class Reader:
    def read(self, key):
        return Pixels(np.zeros((4, 4), np.uint8), (0, 255), "grey")

    def read_mask(self, key):
        return np.zeros((4, 4), np.uint8)


def make(info=INFO, **splits):
    return Task(info, splits, Reader(), "0" * 64)


def rows(ids, labels, patients=None):
    return {"id": ids, "image": ids, "label": labels, "patient_id": ids if patients is None else patients}


def fake_task(name, root, n=12, seed=0):
    """A tiny data set of any family, written and opened again."""
    family = open_family(task_names()[name])
    family.fake(root, n, seed, name)
    if name.endswith(":PATH"):
        return load_task(name.replace("PATH", str(root)))
    if hasattr(family, "_md5"):
        return family.load(name, root, check_md5=False)
    if name.startswith("phantom"):
        return load_task(f"{name},n=12,n_validation=10,n_test=10")
    return load_task(name, root=root)
