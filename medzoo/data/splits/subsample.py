"""Fixed parts of large training sets: ranked by a hash of (purpose, seed, id) within each class, so nothing else decides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from medzoo.data.vocabulary import EXCLUDED

SEED = 0  # part of the data's identity, not of a run
VALIDATION = 0.1


def cut_training(ids: Sequence[str], labels: Sequence[int], percent: int) -> list[str]:
    """Validation images, and the share of the others that trains; the same validation images whatever the share.

    A smaller share is part of every larger one, and each class keeps at least one image.

    Args:
        ids: of the training images.
        labels: of the training images.
        percent: of the images that are not for validation, those that train; the rest is excluded.

    Returns:
        train, validation or excluded, for each id.

    >>> cut_training([f"i{number}" for number in range(10)], [0] * 10, 50).count("train")
    5
    """
    members: dict[int, list[int]] = {}
    for row, label in enumerate(labels):
        members.setdefault(label, []).append(row)
    words = [EXCLUDED] * len(ids)
    for rows in members.values():
        ranked = sorted(rows, key=lambda row: _rank("validation", ids[row]))
        apart = min(len(rows) - 1, max(1, int(VALIDATION * len(rows) + 0.5)))
        rest = sorted(ranked[apart:], key=lambda row: _rank("percent", ids[row]))
        for row in ranked[:apart]:
            words[row] = "validation"
        for row in rest[: max(1, int(percent * len(rest) / 100 + 0.5))]:
            words[row] = "train"
    return words


def _rank(purpose: str, key: str) -> bytes:
    return hashlib.sha256(f"{purpose}\0{SEED}\0{key}".encode()).digest()
