"""Several workers on this machine: the calling process and processes that it starts."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import torch

from medzoo import cores, progress
from medzoo.bench.campaign.order import longest_first, stored_results
from medzoo.bench.campaign.record import Campaign
from medzoo.bench.campaign.worker import SuiteWorker
from medzoo.bench.suite import Suite, SuiteCell
from medzoo.bench.suite_options import Places
from medzoo.errors import WorkerError
from medzoo.training.run_state.run_folder import Interrupted

THREADS, DEVICES = "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"


def fill_locally(
    suite: Suite, places: Places, cells: Sequence[SuiteCell], campaign: Campaign, *, workers: int = 1
) -> SuiteWorker:
    """Compute all runs with some workers; returns that of the calling process.

    A worker that dies is reported; its run becomes free, and the others compute it.

    Args:
        suite: the suite.
        places: its folders.
        cells: all runs.
        campaign: its record.
        workers: number of processes, with this one.
    """
    plan = campaign.start(suite.name, cells)
    if workers > 1:
        cells = longest_first(cells, stored_results(places.results))
    mine = SuiteWorker(suite, places, cells, campaign, plan)
    given = (suite, places, list(cells), campaign, plan)
    work_together(workers, mine.work, _work_on_runs, given)
    # an error may have broken the GPU for this process and others: new processes do the rest
    while mine.must_restart and (left := mine.look()):
        progress.warn(
            "After an unexpected error on a GPU, its process takes no other run. New processes compute what is left: "
            f"{progress.counted(left, 'run')}."
        )
        work_together(workers + 1, _nothing, _work_on_runs, given)
        if mine.look() == left:
            raise WorkerError(
                f"All worker processes ended before they finished a run; {progress.counted(left, 'run')} of {len(cells)} are "
                f"left. See {campaign.folder / 'errors'}, correct the cause, then run the same command again: it continues.",
                code="workers-ended",
            )
    return mine


def _nothing() -> None:
    """The share of this process where others do all the work."""


def _work_on_runs(suite: Suite, places: Places, cells: Sequence[SuiteCell], campaign: Campaign, plan: str) -> None:
    """What a started process does."""
    SuiteWorker(suite, places, cells, campaign, plan).work()


def work_together(workers: int, mine: Callable[[], object], work: Callable[..., None], given: tuple[Any, ...]) -> None:
    """Let this process and some that it starts do the same work, each with its share of the cores or with a GPU; wait for all.

    Args:
        workers: number of processes, with this one.
        mine: what this process does; claims share the work with the others.
        work: what the others do, a function of a module.
        given: its arguments.
    """
    if workers == 1:
        mine()
        return
    gpus = gpus_of(workers)
    with _environment(THREADS, _threads_of(workers)):
        context = multiprocessing.get_context("spawn")
        children = [context.Process(target=_start, args=(work, given), daemon=False) for _ in range(1, workers)]
        for number, child in enumerate(children, start=1):
            # set before the process exists: to look for GPUs could start CUDA in it
            with _environment(DEVICES, gpus[number] if gpus else None):
                child.start()
        try:
            with _sigterm_ends():
                mine()
                for child in children:
                    child.join()
        except BaseException:
            for child in children:  # each saves its run, which can then be resumed
                with suppress(ProcessLookupError):
                    child.terminate()
            raise
        finally:
            for child in children:
                child.join()
    for number, child in enumerate(children, start=2):
        if child.exitcode:
            progress.warn(f"Worker {number} of {workers} ended with code {child.exitcode}; the others did its runs.")


@contextmanager
def _sigterm_ends() -> Iterator[None]:
    """Let SIGTERM end this process by an exception while it computes no run; otherwise it would leave the others behind."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():  # only this one can set what a signal does
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _start(work: Callable[..., None], given: tuple[Any, ...]) -> None:
    """The target of a started process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which then terminates this process
    try:
        work(*given)
    except Interrupted as stop:  # its run is saved
        progress.say(str(stop))
        raise SystemExit(stop.code) from None


def device_of(number: int, visible: str | None, count: int) -> str | None:
    """The GPU of a worker as CUDA_VISIBLE_DEVICES names it; None if there are not several. Worker 0 uses the first one.

    Args:
        number: of the worker, from 0.
        visible: CUDA_VISIBLE_DEVICES; None if it is not set.
        count: GPUs of the machine.

    >>> device_of(1, None, 4), device_of(5, None, 4), device_of(1, "6,7", 2), device_of(1, None, 1), device_of(1, "", 0)
    ('1', '1', '7', None, None)
    """
    devices = [part for part in visible.split(",") if part] if visible is not None else list(map(str, range(count)))
    return devices[number % len(devices)] if len(devices) > 1 else None


def gpus_of(workers: int) -> list[str]:
    """The GPU of each worker of this machine; empty if there are not several.

    Args:
        workers: their number.
    """
    visible, count = os.environ.get(DEVICES), torch.cuda.device_count()
    return [device for number in range(workers) if (device := device_of(number, visible, count)) is not None]


def _threads_of(workers: int) -> str | None:
    """The threads of each worker, so that they divide the cores; None if the user has set them."""
    return None if THREADS in os.environ else str(max(1, cores.usable_cores() // workers))


@contextmanager
def _environment(name: str, value: str | None) -> Iterator[None]:
    """A block in which a variable has a value, also in processes that are started there; None leaves it as it is."""
    if value is None:
        yield
        return
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
