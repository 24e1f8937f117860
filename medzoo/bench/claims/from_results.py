"""What your own results say about a claim: the difference on each task, and the mean of the differences over tasks."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from medzoo.bench.claims.read import Claim
from medzoo.bench.metrics import metric
from medzoo.bench.published.read import load_published
from medzoo.bench.results.store import ResultStore
from medzoo.bench.statistics.comparison import Comparison, Verdict
from medzoo.bench.statistics.crossed import t_quantile, t_tail
from medzoo.bench.table.cell import TableCell
from medzoo.bench.table.model import Column
from medzoo.bench.table.table import table
from medzoo.zoo.registry.registry import info

LEVEL = 0.95


@dataclass(frozen=True)
class OwnDifference:
    """A pair of checkpoints on one task, from stored results.

    Args:
        task: title of its column.
        how: protocol, mode and part of the training images.
        better: checkpoint that is claimed to be better.
        than: the other one.
        metric: name.
        delta: of the means, first minus second.
        low: lower end of the interval; None without predictions.
        high: upper end.
        p_holm: in the family of the pair's table.
        verdict: on the first checkpoint.
        runs: numbers of runs.
        df: degrees of freedom.
        note: what the comparison does not include.
    """

    task: str
    how: str
    better: str
    than: str
    metric: str
    delta: float
    low: float | None = None
    high: float | None = None
    p_holm: float | None = None
    verdict: Verdict = "undecided"
    runs: tuple[int, int] = (0, 0)
    df: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class Contrast:
    """The mean of the differences of one pair over tasks with the same metric and protocol.

    Args:
        better: checkpoint that is claimed to be better.
        than: the other one.
        metric: name.
        how: protocol and mode.
        tasks: number of tasks.
        delta: mean of the differences.
        low: lower end of the interval.
        high: upper end.
        p: two-sided.
        verdict: on the first checkpoint.
    """

    better: str
    than: str
    metric: str
    how: str
    tasks: int
    delta: float
    low: float
    high: float
    p: float
    verdict: Verdict


def stored_names(results: Path) -> set[str]:
    """The names of all checkpoints in a store.

    Args:
        results: folder of a store.
    """
    return {result["identity"]["checkpoint"]["id"] for _, result in ResultStore(results).all()}


def own_differences(claim: Claim, results: Path, named: set[str] | None = None) -> list[OwnDifference]:
    """The differences of a claim's pairs in a store, on the tasks of its columns.

    Args:
        claim: to check.
        results: folder of a store.
        named: of `stored_names`, if it is known.
    """
    named = stored_names(results) if named is None else named
    study = load_published(claim.study)
    tasks = list(
        dict.fromkeys(
            column.task
            for one in study.tables
            if one.name in claim.tables
            for column in one.columns
            if column.task is not None and (not claim.columns or column.name in claim.columns)
        )
    )
    found: list[OwnDifference] = []
    for better, than in claim.pairs:
        names = [study.row(name).checkpoint for name in (better, than)]
        known = [name for name in names if name is not None and _is_stored(name, named)]
        if len(known) < 2 or not tasks:
            continue
        made = table(results, checkpoints=known, tasks=tasks, control=known[1])
        first = next(number for number, row in enumerate(made.rows) if row.checkpoint == known[0])
        second = next(number for number, row in enumerate(made.rows) if row.checkpoint == known[1])
        for place, column in enumerate(made.columns):
            cells = made.grid[first][place], made.grid[second][place]
            if column.reported or cells[0].mean is None or cells[1].mean is None:
                continue
            found.append(_own(column, *cells, known[0], known[1]))
    return found


def _is_stored(name: str, named: set[str]) -> bool:
    return name in named or any(alias in named for alias in info(name).alias)


def _own(column: Column, first: TableCell, second: TableCell, better: str, than: str) -> OwnDifference:
    delta = (first.mean or 0.0) - (second.mean or 0.0)
    counts = len(first.values), len(second.values)
    found: Comparison | None = None if first.statistics is None else first.statistics.difference
    if found is None or first.statistics is None:
        why = "no predictions are stored, or the test images differ"
        return OwnDifference(column.title, column.how, better, than, column.metric, delta, runs=counts, note=why)
    return OwnDifference(
        column.title,
        column.how,
        better,
        than,
        column.metric,
        found.delta,
        found.low,
        found.high,
        first.statistics.p_adjusted,
        found.verdict,
        counts,
        found.df,
        found.note,
    )


def contrasts(found: list[OwnDifference]) -> list[Contrast]:
    """The mean difference of each pair over at least two tasks that share metric, protocol and mode.

    The tasks have different patients, so their errors are independent.

    Args:
        found: of one claim.

    Source: degrees of freedom: Satterthwaite 1946 (doi:10.2307/3002019).

    >>> rows = [OwnDifference(task, "medzoo", "a", "b", "auroc", 0.02, 0.0, 0.04, df=30.0) for task in ("x", "y")]
    >>> [(one.tasks, round(one.delta, 3), round(one.low, 3), one.verdict) for one in contrasts(rows)]
    [(2, 0.02, 0.006, 'better')]
    """
    groups: dict[tuple[str, str, str, str], dict[str, OwnDifference]] = {}
    for one in found:
        if one.low is not None and one.high is not None and one.df > 0:
            groups.setdefault((one.better, one.than, one.metric, one.how), {}).setdefault(one.task, one)
    made = []
    for (better, than, name, how), by_task in groups.items():
        rows = list(by_task.values())
        if len(rows) < 2:
            continue
        parts = [(((one.high or 0.0) - (one.low or 0.0)) / 2 / t_quantile(LEVEL, one.df)) ** 2 for one in rows]
        se = sqrt(sum(parts)) / len(rows)
        delta = sum(one.delta for one in rows) / len(rows)
        spread = sum(part**2 / one.df for part, one in zip(parts, rows, strict=True))
        df = sum(parts) ** 2 / spread if spread else float(len(rows))
        reach = t_quantile(LEVEL, df) * se
        p = min(1.0, 2 * t_tail(abs(delta) / se, df)) if se else float(delta == 0)
        up = (delta > 0) == metric(name).higher_is_better
        verdict: Verdict = "undecided" if p >= 1 - LEVEL else "better" if up else "worse"
        made.append(Contrast(better, than, name, how, len(rows), delta, delta - reach, delta + reach, p, verdict))
    return made
