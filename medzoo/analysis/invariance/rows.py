"""The rows of the analysis of invariance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from medzoo.analysis.invariance.changes import ImageChange
from medzoo.analysis.invariance.drift import Drift
from medzoo.bench import stats

Row = dict[str, Any]
NO_SPREAD = "the network gives all images the same features"


def mean_and_ends(values: np.ndarray, patients: np.ndarray) -> tuple[float, float | None, float | None]:
    """The mean over images, with the ends of its 95 % interval over patients.

    Args:
        values: (N,).
        patients: (N,).
    """
    found = stats.interval(np.zeros(len(values)), values[None], patients, "mean")
    return float(found.mean), found.low, found.high


def drift_row(of: Row, change: ImageChange, place: int, drifts: list[Drift | None], patients: np.ndarray) -> Row:
    """The drift of a network, or the mean of several random ones, for a strength of a change.

    Args:
        of: role and network.
        change: that was made.
        place: of the strength.
        drifts: of each network.
        patients: (N,).
    """
    row = {
        "measure": "drift", **of, "change": change.name, "unit": change.unit, "place": place,
        "strength": change.strengths[place],
    }  # fmt: skip
    known = [one for one in drifts if one is not None]
    if not known:
        return {**row, "value": None, "reason": NO_SPREAD}
    value, low, high = mean_and_ends(np.mean([one.relative for one in known], axis=0), patients)
    return {
        **row, "value": value, "low": low, "high": high, "cosine": float(np.mean([one.cosine for one in known])),
        "retrieval": float(np.mean([one.own for one in known])), "n_images": len(patients),
        "n_patients": len(set(patients.tolist())), "reason": "",
    }  # fmt: skip


def mean_rows(of: Mapping[str, Row], values: Mapping[str, np.ndarray], patients: np.ndarray) -> list[Row]:
    """The mean drift over all changes of each network, and the difference of the two networks.

    Args:
        of: role → role and network.
        values: role → (N,) mean drift of each image; a network without spread has none.
        patients: (N,).
    """
    rows: list[Row] = []
    for role, names in of.items():
        if role in values:
            value, low, high = mean_and_ends(values[role], patients)
            rows.append({"measure": "mean drift", **names, "value": value, "low": low, "high": high, "reason": ""})
        else:
            rows.append({"measure": "mean drift", **names, "value": None, "reason": NO_SPREAD})
    if {"first", "second"} <= set(values):
        rows.append({"measure": "mean drift: difference", **difference(values["first"], values["second"], patients)})
    return rows


def difference(first: np.ndarray, second: np.ndarray, patients: np.ndarray) -> Row:
    """Second minus first, on the same images, with its interval over patients.

    Args:
        first: (N,).
        second: (N,).
        patients: (N,).
    """
    value, low, high = mean_and_ends(second - first, patients)
    return {"role": "second minus first", "value": value, "low": low, "high": high, "reason": ""}
