"""Run the missing parts of a suite and write its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medzoo import progress
from medzoo.bench.campaign.head import CampaignHead
from medzoo.bench.campaign.local import fill_locally
from medzoo.bench.campaign.pilots import Scheduler
from medzoo.bench.campaign.pretrainings import missing_steps, run_pretraining
from medzoo.bench.campaign.record import Campaign
from medzoo.bench.identity import known_result
from medzoo.bench.results.outcome import Outcome
from medzoo.bench.results.store import ResultStore
from medzoo.bench.run import run_cell
from medzoo.bench.suite import Suite, SuiteCell
from medzoo.bench.suite_options import Places, cell_options, check_suite, hub_name, own_names, places_of
from medzoo.bench.suites.opened_tasks import OpenedTasks
from medzoo.bench.suites.precision import settle_precision
from medzoo.bench.suites.preflight import (
    Kinds,
    baseline_notes,
    foreseen,
    kinds_of,
    runs_of,
    say_added,
    say_first,
    with_baseline,
)
from medzoo.bench.suites.prepare import prepare
from medzoo.bench.table.table import Table, suite_table
from medzoo.errors import UsageError, listed
from medzoo.precision import device_kind


def fill(
    suite: Suite, places: Places, kinds: Kinds | None = None, workers: int = 1, scheduler: Scheduler | None = None
) -> tuple[list[tuple[SuiteCell, Outcome]], list[str]]:
    """Run the missing parts of a suite: first pre-training, then every cell and seed that has no result.

    A suite that fine-tunes on masks gets the plain U-Net from scratch as a row, if it does not name it.
    A failed run does not stop the others. After an unexpected error on a GPU, other processes compute them.

    Args:
        suite: the suite.
        places: its folders.
        kinds: of its tasks, if they are known.
        workers: number of processes that compute runs.
        scheduler: starts them on other machines; None uses this machine.

    Returns:
        Each run with its outcome, and one line for each cause of failure, with its runs.
    """
    check_suite(suite, places)
    kinds = kinds_of(suite, places) if kinds is None else kinds
    whole = with_baseline(suite, kinds)
    added, suite = whole is not suite, whole
    precision, begun = settle_precision(suite, places.runs, places.common)
    places = replace(places, precision=precision)
    say_first(suite, places, kinds, begun)
    if added:
        say_added(kinds)
    for problem in foreseen(suite, places):
        progress.warn(problem)
    if scheduler is not None:
        _say_if_it_pretrains_without_gpu(suite, places, scheduler)
    # the workers of a scheduler begin when the weights are there
    run_pretraining(suite, places, workers if scheduler is None else 1)
    cells, campaign = runs_of(suite, kinds), Campaign(places.runs.parent / "campaign")
    if scheduler is None:
        found = _locally(suite, places, cells, campaign, workers)
    else:
        found = _by_pilots(suite, places, cells, campaign, workers, scheduler)
    outcomes, failed = [], dict[str, list[SuiteCell]]()
    for cell in cells:
        if (why := found.failed.get(cell)) is not None:
            failed.setdefault(why, []).append(cell)
        if cell in found.outcomes:
            outcomes.append((cell, found.outcomes[cell]))
    return outcomes, [f"{_named(cells)}: {why}" for why, cells in failed.items()]


def _say_if_it_pretrains_without_gpu(suite: Suite, places: Places, scheduler: Scheduler) -> None:
    if scheduler.uses_gpu and device_kind("auto") == "cpu" and (missing := missing_steps(suite, places)):
        progress.warn(
            f"This machine has no GPU, and does {progress.counted(len(missing), 'pre-training')} of the suite itself. For a GPU, "
            "stop this command, and run it with --pretrain-only, and without --engine, as a job of its own first."
        )


@dataclass(frozen=True)
class _Found:
    """What became of the runs."""

    outcomes: Mapping[SuiteCell, Outcome]
    failed: Mapping[SuiteCell, str]


def _locally(suite: Suite, places: Places, cells: Sequence[SuiteCell], campaign: Campaign, workers: int) -> _Found:
    """Run all cells without a result on this machine, and collect the outcomes of all workers."""
    worker = fill_locally(suite, places, cells, campaign, workers=workers)
    others, failed, opened = dict[SuiteCell, Outcome](), dict(worker.failed), OpenedTasks()
    for cell in worker.elsewhere:
        options = cell_options(suite, cell, places)
        if not worker.must_restart:
            others[cell] = run_cell(options, cell.mode, stored_is_enough=True)
        # with a broken GPU this process loads no network
        elif (result := known_result(options, cell.mode, opened)) is not None:
            path = ResultStore(places.results).path(result["identity"])
            others[cell] = Outcome(dict(result), path, None, cached=True)
        else:
            failed[cell] = f"ResultError: {places.results} has no result of it. Run the same command again."
    return _Found(others | worker.outcomes, failed)


def _by_pilots(
    suite: Suite, places: Places, cells: Sequence[SuiteCell], campaign: Campaign, workers: int, scheduler: Scheduler
) -> _Found:
    """Let the pilots of a scheduler run all cells without a result; this process only prepares and follows."""
    is_auto = places.precision is not None and suite.precision in (None, "auto")
    if is_auto and scheduler.uses_gpu and device_kind("auto") == "cpu":
        progress.warn(
            f"This machine has no GPU: the precision of all runs, {places.precision}, is the best one for its CPU. For the GPUs "
            'of the workers, set the precision in the suite (precision = "bf16" or "fp32"), and choose another --out.'
        )
    opened = OpenedTasks()  # the head looks results up with the tasks that were opened to decode them
    for problem in prepare(suite, places, cells, opened):
        progress.warn(problem)
    head = CampaignHead(suite, places, cells, campaign, scheduler, opened)
    try:
        head.fill(workers)
    finally:
        scheduler.close()
    return _Found(head.outcomes, head.failed)


def _named(cells: Sequence[SuiteCell]) -> str:
    """The names of runs that failed for the same reason; of many, the first ones."""
    names = listed(cells, 3)
    return names if len(cells) == 1 else f"{len(cells)} runs ({names})"


def pretrain_only(
    suite: Suite, out: Path, *, device: str = "auto", hub: str | None = None, workers: int = 1
) -> list[str]:
    """Do the pre-trainings of a suite and nothing else, for example as one job of a cluster; returns their names in the hub.

    The suite goes on in the precision of this machine.

    Args:
        suite: the suite.
        out: the parent folder, as for `fill_table`.
        device: "auto" or "cpu".
        hub: directory hub for names that are not the suite's own; by default MEDZOO_HUB.
        workers: number of processes that compute pre-trainings.

    Raises:
        UsageError: if the suite has none.
    """
    if not suite.pretrain:
        raise UsageError(
            f"Suite {suite.name} has no [[pretrain]] steps. Leave out --pretrain-only.",
            code="suite-without-pretraining",
        )
    places = places_of(suite, out, device=device, hub=hub)
    check_suite(suite, places)
    precision, _ = settle_precision(suite, places.runs, places.common)
    run_pretraining(suite, replace(places, precision=precision), workers)
    return [hub_name(suite, name) for name in own_names(suite)]


@dataclass(frozen=True)
class Filled:
    """A filled suite: its table, the table's files, the outcomes, and one line for each cause of failure."""

    table: Table
    files: dict[str, Path]
    outcomes: list[Outcome]
    failures: list[str]


def fill_table(
    suite: Suite,
    out: Path,
    *,
    device: str = "auto",
    hub: str | None = None,
    workers: int = 1,
    scheduler: Scheduler | None = None,
) -> Filled:
    """Fill a suite below `out` (runs/, results/, hub/) and write its table there.

    Args:
        suite: the suite.
        out: the parent folder.
        device: "auto" or "cpu".
        hub: directory hub for names that are not the suite's own; by default MEDZOO_HUB.
        workers: number of processes that compute runs.
        scheduler: starts them on other machines; None uses this machine.
    """
    places = places_of(suite, out, device=device, hub=hub)
    kinds = kinds_of(suite, places)
    filled, failures = fill(suite, places, kinds, workers, scheduler)
    whole = with_baseline(suite, kinds)
    results = [(cell, outcome.path, outcome.result) for cell, outcome in filled]
    made = suite_table(whole, results, baseline_notes(whole, kinds))
    return Filled(made, made.write(out), [outcome for _, outcome in filled], failures)
