"""The rows of the analysis of sites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from medzoo.analysis.sites.neighbours import NeighbourCounts

Row = dict[str, Any]
DRAWS = 2000  # of the bootstrap over patients
NOTHING = "no neighbour has the same class and another site, or another class and the same site"


def index_row(of: Row, found: NeighbourCounts, random: Sequence[NeighbourCounts], seed: int) -> Row:
    """The index of a network with its interval over patients, chance, and the range over random networks.

    Args:
        of: measure, role, network and what else the row says.
        found: of the network.
        random: of random networks on the same images.
        seed: of the bootstrap.
    """
    null = [one.balanced for one in random if one.balanced is not None]
    drawn = found.drawn(DRAWS, seed)
    if found.index in (0, 1):  # then every draw has this value, although other patients need not
        drawn = np.full_like(drawn, np.nan)
    (low, high), (balanced_low, balanced_high) = ends(drawn[:, 0]), ends(drawn[:, 1])
    raw = [one.index for one in random if one.index is not None]
    sums = found.counts.sum(0)
    return {
        **of, "value": found.index, "low": low, "high": high, "chance": found.chance,
        "baseline": float(np.mean(raw)) if raw else None, "balanced": found.balanced, "balanced_low": balanced_low,
        "balanced_high": balanced_high, "balanced_baseline": float(np.mean(null)) if null else None,
        "balanced_baseline_low": min(null, default=None), "balanced_baseline_high": max(null, default=None),
        "same_class_other_site": float(sums[0]), "other_class_same_site": float(sums[1]), "n_images": len(found.patients),
        "n_patients": len(set(found.patients.tolist())), "reason": "" if found.index is not None else NOTHING,
    }  # fmt: skip


def difference_row(first: NeighbourCounts, second: NeighbourCounts, seed: int) -> Row | None:
    """The balanced index of the second network minus that of the first, on the same draws of patients; None if an index is missing.

    Args:
        first: of the first network.
        second: of the second network, on the same images.
        seed: of the bootstrap.
    """
    if first.balanced is None or second.balanced is None:
        return None
    low, high = ends(second.drawn(DRAWS, seed)[:, 1] - first.drawn(DRAWS, seed)[:, 1])
    value = second.balanced - first.balanced
    named = {"measure": "balanced robustness index: difference", "role": "second minus first"}
    return {**named, "value": value, "low": low, "high": high, "reason": ""}


def ends(drawn: np.ndarray, most_missing: float = 0.05) -> tuple[float | None, float | None]:
    """The 95 % percentile interval of a bootstrap; none if too many draws have no value.

    Args:
        drawn: (D,) values, NaN where there is none.
        most_missing: share of the draws.

    >>> ends(np.linspace(0, 1, 101))
    (0.025, 0.975)
    """
    known = drawn[~np.isnan(drawn)]
    if not len(known) or len(known) < (1 - most_missing) * len(drawn):
        return None, None
    return float(np.quantile(known, 0.025)), float(np.quantile(known, 0.975))
