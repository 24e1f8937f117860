"""Fixed parts of large training sets: images are ranked by a hash of (purpose, seed, id) within each class."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from medzoo.data.vocabulary import EXCLUDED

SEED = 0  # part of the data's identity, not of a run
VALIDATION = 0.1


def cut_training(ids: Sequence[str], labels: Sequence[int], percent: int) -> list[str]:
    """Divide training images into validation and a percentage for training; validation does not depend on the percentage.

    A smaller part is contained in every larger one, and each class has at least one image.

    Args:
        ids: of the training images.
        labels: of the training images.
        percent: of the images that are not for validation: the percentage for training; the rest is excluded.

    Returns:
        train, validation or excluded, for each id.

    >>> cut_training([f"i{number}" for number in range(10)], [0] * 10, 50).count("train")
    5
    """
    members: dict[int, list[int]] = {}
    for row, label in enumerate(labels):
        members.setdefault(label, []).append(row)
    splits = [EXCLUDED] * len(ids)
    for rows in members.values():
        ranked = sorted(rows, key=lambda row: _rank("validation", ids[row]))
        count = min(len(rows) - 1, max(1, int(VALIDATION * len(rows) + 0.5)))
        rest = sorted(ranked[count:], key=lambda row: _rank("percent", ids[row]))
        for row in ranked[:count]:
            splits[row] = "validation"
        for row in rest[: max(1, int(percent * len(rest) / 100 + 0.5))]:
            splits[row] = "train"
    return splits


def _rank(purpose: str, key: str) -> bytes:
    return hashlib.sha256(f"{purpose}\0{SEED}\0{key}".encode()).digest()
