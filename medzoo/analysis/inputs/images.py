"""The images of a comparison: a random part of a split, decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medzoo.data.decode_cache.cache import decoded
from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.rng import permutation
from medzoo.errors import NotApplicableError

if TYPE_CHECKING:
    from medzoo.data.task import Task


def some_images(task: Task, split: str, *, size: int, count: int, seed: int) -> Decoded:
    """A random part of a split in random order; only these images are decoded.

    Args:
        task: the data.
        split: "train", "validation" or "test".
        size: side of the images, pixels.
        count: the most images.
        seed: of the draw.

    Raises:
        UsageError: if there is no such split.
        NotApplicableError: if all images are the same.

    >>> from medzoo.data.task_registry import load_task
    >>> some_images(load_task("phantom_oct,n=8,n_validation=4,n_test=8"), "test", size=32, count=5, seed=0).images.shape
    (5, 32, 32)
    """
    rows = len(task.groups(split))
    # a random order also where all images are used: neighbours in a batch should not be slices of one patient
    chosen = permutation("compare", seed, 0, rows)[:count]
    task = task.with_tables({**task.tables, split: task.tables[split].take(chosen)})
    images = decoded(task, split, size=size)
    check_differ(images)
    return images


def task_facts(task: Task) -> dict[str, str]:
    """A task in an identity.

    Args:
        task: opened.
    """
    return {
        "id": task.name,
        "version": task.version,
        "fingerprint": task.fingerprint,
        "split_hash": task.split_hash,
    }


def image_facts(images: Decoded, split: str, seed: int) -> dict[str, str | int]:
    """Drawn images in an identity.

    Args:
        images: of `some_images`.
        split: that they are from.
        seed: of the draw.
    """
    return {"sha256": images.sha256, "count": len(images.ids), "split": split, "seed": seed}


def check_differ(images: Decoded) -> None:
    """Refuse images that are all the same: every network gives them the same features, and no similarity is defined.

    Args:
        images: decoded.

    Raises:
        NotApplicableError: if all are equal.
    """
    first = np.asarray(images.images[0:1])
    if len(images.ids) > 1 and all(
        (np.asarray(images.images[row : row + 1]) == first).all() for row in range(1, len(images.ids))
    ):
        raise NotApplicableError(
            f"All {len(images.ids):,} images are the same. Give images that differ, or check how they were exported.",
            code="images-identical",
        )
