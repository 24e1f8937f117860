"""The rows of the analysis of the feature space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from medzoo.analysis.feature_map.groups import most_frequent
from medzoo.analysis.feature_map.plane import as_text, principal_plane, umap_plane
from medzoo.analysis.feature_map.separability import LEAST, Scored, enough, scored
from medzoo.analysis.inputs.sides import Side, null_of

Row = dict[str, Any]
FeaturesOf = Callable[[Side], np.ndarray]


def map_rows(measure: str, side: Side, features: np.ndarray, names: np.ndarray, form: str, seed: int) -> list[Row]:
    """The points of a network's map: one row for each group, its coordinates as texts.

    Args:
        measure: "map of classes" or "map of domains".
        side: the network.
        features: (N, D).
        names: (N,) the group of each image.
        form: "pca" or "umap".
        seed: of UMAP.
    """
    points, share = principal_plane(features)
    if form == "umap":
        points = umap_plane(features, seed)
    shown = most_frequent(names)
    return [
        {
            "measure": measure, "role": side.role, "network": side.name, "group": group, "value": int((shown == group).sum()),
            "map": form, "variance": share if form == "pca" else None, "x": as_text(points[shown == group, 0]),
            "y": as_text(points[shown == group, 1]), "reason": "",
        }
        for group in sorted(set(shown.tolist()))
    ]  # fmt: skip


def separability_rows(
    measure: str,
    sides: Sequence[Side],
    random: Sequence[Side],
    features_of: FeaturesOf,
    labels: np.ndarray,
    patients: np.ndarray,
    seed: int,
) -> list[Row]:
    """How well each network's features separate groups, next to random weights, and the difference of the two networks.

    Args:
        measure: "class separability" or "domain separability".
        sides: the two networks.
        random: random weights.
        features_of: gives (N, D) of a network.
        labels: (N,) names of groups, or (N, L) of 0 and 1.
        patients: (N,).
        seed: of the folds.
    """
    used, aims, reason = _usable(labels, patients)
    if reason:
        return [
            {"measure": measure, "role": side.role, "network": side.name, "value": None, "reason": reason}
            for side in sides
        ]
    results = [scored(features_of(side)[used], aims, patients[used], seed) for side in (*sides, *random)]
    null = [value for one in results[len(sides) :] if (value := one.separability().value) is not None]
    rows = [_row(measure, side, one, null) for side, one in zip(sides, results, strict=False)]
    delta, low, high = results[0].difference(results[1])
    if np.isfinite(delta):
        names = f"{sides[1].name} − {sides[0].name}"
        ends = {"value": delta, "low": low, "high": high, "reason": ""}
        rows.append({"measure": f"{measure}: difference", "role": "second minus first", "network": names, **ends})
    return rows


def _usable(labels: np.ndarray, patients: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """Which images are used, their group numbers or labels, and why nothing can be measured."""
    if labels.ndim == 2:
        present = [len(set(patients[column == value])) for column in labels.T for value in (0, 1)]
        pairs = np.array(present).reshape(-1, 2)
        good = (pairs >= LEAST).all(1)
        reason = "" if good.any() else f"no label has {LEAST} patients with it and {LEAST} without it"
        return np.ones(len(labels), dtype=bool), labels[:, good].astype(np.int64), reason
    used = enough(labels, patients)
    names, numbers = np.unique(labels[used], return_inverse=True)
    reason = "" if len(names) > 1 else f"fewer than two groups have {LEAST} patients"
    return used, numbers, reason


def _row(measure: str, side: Side, one: Scored, null: list[float]) -> Row:
    found = one.separability()
    return {
        "measure": measure, "role": side.role, "network": side.name, "value": found.value, "low": found.low,
        "high": found.high, **null_of(null), "n_images": found.images, "n_patients": found.patients,
        "groups": one.truth.shape[1] if one.truth.ndim == 2 else 2, "reason": found.reason,
    }  # fmt: skip
