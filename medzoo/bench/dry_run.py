"""Find the missing parts of a suite without training, decoding or downloading anything."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from medzoo.bench.campaign.pretrainings import missing_steps
from medzoo.bench.identity import known_result
from medzoo.bench.results.store import ResultStore
from medzoo.bench.suite import Suite, SuiteCell
from medzoo.bench.suite_options import Places, cell_options, check_suite, own_names
from medzoo.bench.suites.opened_tasks import OpenedTasks
from medzoo.bench.suites.plan import ASSUMED, resolution_line, time_line
from medzoo.bench.suites.precision import settle_precision
from medzoo.bench.suites.preflight import kinds_of, runs_of, with_baseline
from medzoo.errors import MedzooError

if TYPE_CHECKING:
    from collections.abc import Callable

    from medzoo.bench.cell_options import CellOptions
    from medzoo.data.task import Task


@dataclass
class Missing:
    """The missing parts of a suite.

    Args:
        steps: names of pre-trainings that are not done.
        cells: runs without a result.
        finished: number of runs that have a result.
        unknown: reasons why runs could not be looked up, each with the number of its runs.
        plan: what the columns can show, and how long the missing runs take.
    """

    steps: list[str] = field(default_factory=list)
    cells: list[SuiteCell] = field(default_factory=list)
    finished: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    plan: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"pre-train {name}" for name in self.steps]
        several = len({cell.protocol for cell in self.cells}) > 1
        lines += [f"{cell}, {cell.protocol}" if several else str(cell) for cell in self.cells]
        count = self.finished + len(self.cells)
        lines += self.plan
        lines.append(f"{self.finished} of {count} runs have a result, {len(self.cells)} are missing")
        if self.steps:
            lines[-1] += f"; so {'is' if len(self.steps) == 1 else 'are'} {len(self.steps)} pre-training"
            lines[-1] += "s" * (len(self.steps) > 1)
        lines += [f"not looked up ({number} of the missing): {why}" for why, number in self.unknown.items()]
        return "\n".join(lines)


def missing_of(suite: Suite, places: Places) -> Missing:
    """Look up every pre-training and every run of a suite.

    Args:
        suite: the suite.
        places: its folders.

    Raises:
        UsageError: for an option that no run could use.
    """
    check_suite(suite, places)
    places = replace(places, precision=settle_precision(suite, places.runs, places.common, note=False)[0])
    kinds = kinds_of(suite, places)
    suite = with_baseline(suite, kinds)
    missing = Missing(steps=missing_steps(suite, places))
    opened = OpenedTasks()
    for cell in runs_of(suite, kinds):
        if cell.checkpoint in missing.steps:  # weights that do not exist have no results
            missing.cells.append(cell)
            continue
        options = cell_options(suite, cell, places)
        if cell.checkpoint in own_names(suite):
            options = replace(options, checkpoint=str(places.runs / "pretrain" / cell.checkpoint), hub=None)
        try:
            known = known_result(options, cell.mode, opened)
        except MedzooError as error:
            known, why = None, str(error).partition("\n")[0]
            missing.unknown[why] = missing.unknown.get(why, 0) + 1
        if known is None:
            missing.cells.append(cell)
        else:
            missing.finished += 1
    missing.plan = _plan(suite, places, missing.cells, opened)
    return missing


def _plan(suite: Suite, places: Places, missing: list[SuiteCell], opened: Callable[[CellOptions], Task]) -> list[str]:
    """What each column can show, and how long the missing runs take."""
    lines: list[str | None] = []
    runs = {str(task["title"]): len(suite.seeds_of(task)) for task in suite.tasks}
    done = set()
    for cell in suite.cells():
        if cell.title in done:
            continue
        done.add(cell.title)
        try:
            task = opened(cell_options(suite, cell, places))
        except MedzooError:  # its runs are listed with the reason
            continue
        lines.append(resolution_line(cell.title, task, runs[cell.title]))
    lines = [line for line in lines if line is not None]
    lines += [ASSUMED] * bool(lines)
    results = [result for _, result in ResultStore(places.results).all()] if places.results.is_dir() else []
    return [line for line in [*lines, time_line(missing, results)] if line is not None]
