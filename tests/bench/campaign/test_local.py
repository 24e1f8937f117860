"""Processes of one machine: each sees its own GPU, and a stopped one ends without a traceback."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from expect import raises

from medzoo.bench.campaign import local
from medzoo.bench.campaign import worker as worker_module
from medzoo.bench.suite_options import places_of
from medzoo.errors import WorkerError
from medzoo.training.run_state.run_folder import Interrupted


@pytest.mark.parametrize(
    ("visible", "count", "seen"), [(None, 3, ["1", "2"]), ("5,7", 2, ["7", "5"]), (None, 1, [None, None])]
)
def test_each_process_is_started_with_its_gpu(monkeypatch, visible, count, seen):
    """The variable is set before the process exists: to look for GPUs could start CUDA there."""
    monkeypatch.delenv(local.DEVICES, raising=False)
    if visible is not None:
        monkeypatch.setenv(local.DEVICES, visible)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    started = []

    def process(**_):
        start = lambda: started.append(os.environ.get(local.DEVICES))  # noqa: E731
        return SimpleNamespace(start=start, join=lambda: None, exitcode=0)

    monkeypatch.setattr(local.multiprocessing, "get_context", lambda kind: SimpleNamespace(Process=process))
    local.work_together(3, lambda: None, print, ())
    assert started == seen and os.environ.get(local.DEVICES) == visible


def test_a_stopped_process_says_so_in_one_line(monkeypatch):
    monkeypatch.setattr(local.signal, "signal", lambda *_: None)
    said = []
    monkeypatch.setattr(local.progress, "say", said.append)

    def work():
        raise Interrupted("SIGTERM", 143, Path("runs/x"))

    with pytest.raises(SystemExit) as ended:
        local._start(work, ())
    assert ended.value.code == 143 and len(said) == 1 and "SIGTERM" in said[0]


def test_sigterm_while_the_others_still_work_ends_them(monkeypatch):
    """This process has done its share and waits; to end it must not leave processes behind."""
    monkeypatch.setattr(local, "gpus_of", lambda workers: [])
    ended, joined = [], []

    def join():
        joined.append(1)
        if len(joined) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    process = lambda **_: SimpleNamespace(  # noqa: E731
        start=lambda: None, join=join, terminate=lambda: ended.append(1), exitcode=0
    )
    monkeypatch.setattr(local.multiprocessing, "get_context", lambda kind: SimpleNamespace(Process=process))
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # without the fix this test would go on without a word
    try:
        with pytest.raises(SystemExit):
            local.work_together(2, lambda: None, print, ())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended == [1] and len(joined) == 2


@pytest.fixture
def broken_gpu(make_worker, suite, campaign, tmp_path, monkeypatch):
    """Fill the suite on a GPU that the run of seed 1 breaks; started processes are played in this one."""
    monkeypatch.setattr(worker_module, "device_kind", lambda device: "cuda")
    monkeypatch.setattr(local, "stored_results", lambda folder: [])
    started = []

    def fill(workers, behave, play=None):
        mine = make_worker(behave=behave)

        def work_together(count, mine, work, given):
            started.append(count)
            mine()
            if len(started) > 1:
                (play or work)(*given)

        monkeypatch.setattr(local, "work_together", work_together)
        return local.fill_locally(suite, places_of(suite, tmp_path / "out"), mine.cells, campaign, workers=workers)

    fill.started = started
    return fill


def breaks_at(*seeds):
    def behave(seed):
        if seed in seeds:
            raise RuntimeError("CUDA error: device-side assert triggered")

    return behave


def test_new_processes_go_on_after_an_error_that_breaks_the_gpu(broken_gpu, make_worker):
    """Also if the next one breaks it again; no run is tried twice."""
    worker = broken_gpu(1, breaks_at(0, 2))
    assert make_worker.computed.names == [0, 1, 2, 3] and broken_gpu.started == [1, 2, 2]
    assert [cell.seed for cell in worker.failed] == [0, 2] and not worker.left
    assert [cell.seed for cell in worker.elsewhere] == [1, 3]


def test_new_processes_that_end_at_once_are_not_started_forever(broken_gpu):
    with raises(WorkerError, "workers-ended"):
        broken_gpu(3, breaks_at(0), play=lambda *_: None)
    assert broken_gpu.started == [3, 4]
