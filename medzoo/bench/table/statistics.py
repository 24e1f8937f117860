"""The statistics of a table's cells and columns, as the table shows them."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log10

from medzoo.bench.statistics.comparison import Comparison
from medzoo.bench.statistics.intervals import Interval
from medzoo.bench.statistics.resolution import Resolution

MARKS = {"better": " ▲", "worse": " ▼", "equivalent": " ≈", "undecided": ""}  # against the control


@dataclass(frozen=True)
class ControlDifference:
    """A cell compared with that of another row, on the same patients.

    Args:
        control: label of the other row.
        difference: to it, with the verdict after Holm's correction.
        p_adjusted: of the difference, in the family of the table.
        family: number of comparisons in it.
    """

    control: str
    difference: Comparison
    p_adjusted: float | None
    family: int


@dataclass(frozen=True)
class CellStatistics:
    """What the predictions of a cell's runs say about its mean.

    Args:
        interval: for other patients and other seeds.
        contrasts: with the controls of its row; the verdict of the first one is marked in the table.
        ranks: first and last possible place in the column.
        may_be_best: whether no checkpoint of the column is significantly better.
        within_noise: whether permuted labels, or random weights, reach its mean.
        reliability: mean probability and frequency of each bin; empty without probabilities.
        floor: the value that the scores of its first run reach with permuted labels in one of 40 cases.
        run_values: of each run over the labels of the mean; empty if these are the values in the results.
    """

    interval: Interval | None = None
    contrasts: tuple[ControlDifference, ...] = ()
    ranks: tuple[int, int] | None = None
    may_be_best: bool = False
    within_noise: bool = False
    floor: float | None = None
    reliability: tuple[tuple[float, float], ...] = ()
    run_values: tuple[float, ...] = ()

    @property
    def contrast(self) -> ControlDifference | None:
        """The one that the table marks."""
        return self.contrasts[0] if self.contrasts else None

    @property
    def difference(self) -> Comparison | None:
        """To the control, with the verdict after Holm's correction."""
        return None if self.contrast is None else self.contrast.difference

    @property
    def p_adjusted(self) -> float | None:
        """Of the difference, in the family of the table."""
        return None if self.contrast is None else self.contrast.p_adjusted


@dataclass(frozen=True)
class ColumnStatistics:
    """What a column can show.

    Args:
        random: the best mean of a network with random weights.
        winner: row of the best mean.
        winner_value: its mean, corrected for having been chosen.
        resolution: of a typical pair of checkpoints.
        notes: why cells have no statistics.
        not_compared: rows with a mean that cannot be compared with their control: other test images, or no predictions.
        not_ranked: rows with a mean that have no rank, for the same reasons.
    """

    winner: int | None = None
    winner_value: float | None = None
    resolution: Resolution | None = None
    notes: tuple[str, ...] = ()
    random: float | None = None
    not_compared: tuple[int, ...] = ()
    not_ranked: tuple[int, ...] = ()


def digits_of(width: float, usual: int = 3) -> int:
    """Digits after the point that an interval justifies: the first digit of its half width, but at most one digit less than usual.

    Args:
        width: of the interval.
        usual: digits of the metric.

    >>> digits_of(0.024), digits_of(0.008), digits_of(0.3)
    (2, 3, 2)
    """
    return 4 if width <= 0 else min(4, max(usual - 1, ceil(-log10(width / 2))))
