"""The order in which several workers take runs: the longest first, so that none works alone at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medzoo.bench.results.store import ResultStore
from medzoo.bench.suite import SuiteCell
from medzoo.bench.suites.plan import run_seconds


def longest_first(cells: Sequence[SuiteCell], results: Iterable[Mapping[str, Any]]) -> list[SuiteCell]:
    """Runs by their expected time; the seeds (and folds or draws) still come one after another, as in the suite.

    So every cell of the table has a value early, and only the last seed decides how evenly the workers end. A run without an
    estimate comes first, because it may be the longest. Results do not depend on the order.

    Args:
        cells: runs in the order of the suite.
        results: stored ones, whose times are the estimates.

    Source: R. L. Graham, Bounds on multiprocessing timing anomalies, 1969 (longest processing time first)
    """
    seconds = dict(zip(cells, run_seconds(cells, results), strict=True))
    rounds = {key: number for number, key in enumerate(dict.fromkeys(map(_round, cells)))}
    longest = max((value for value in seconds.values() if value is not None), default=0.0)
    return sorted(cells, key=lambda cell: (rounds[_round(cell)], -_or(seconds[cell], longest)))


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def _round(cell: SuiteCell) -> tuple[object, ...]:
    return cell.seed, *(number for _, number in cell.repeat)


def stored_results(folder: Path) -> list[Mapping[str, Any]]:
    """All results of a store; none if it does not exist yet.

    Args:
        folder: of the store.
    """
    return [result for _, result in ResultStore(folder).all()] if folder.is_dir() else []
