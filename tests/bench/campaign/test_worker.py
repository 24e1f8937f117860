"""Workers: each run is computed once, failures are shared, and what a dead worker leaves is done by the others."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from medzoo.bench.campaign import worker as module
from medzoo.bench.campaign.record import Campaign
from medzoo.bench.campaign.status import campaign_state
from medzoo.errors import DivergedError, ResultError
from medzoo.training.run_state.run_folder import Interrupted


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 0.02)


def test_one_worker_does_all_runs_in_order(make_worker, tmp_path):
    worker = make_worker()
    worker.work()
    assert make_worker.computed.names == [0, 1, 2, 3] and len(worker.outcomes) == 4
    state = campaign_state(tmp_path / "out")
    assert state.count("done") == 4 and [one.state for one in state.workers] == ["ended"]


def test_two_workers_share_the_runs_and_do_none_twice(make_worker, campaign, tmp_path):
    first = make_worker()
    second = make_worker(first.plan)
    barrier = threading.Barrier(2, timeout=20)

    def together(seed):
        if seed in (0, 1):
            barrier.wait()  # both have a run at the same time

    make_worker(first.plan, together)
    threads = [threading.Thread(target=one.work) for one in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(make_worker.computed.names) == [0, 1, 2, 3]
    assert len(first.outcomes) + len(second.outcomes) == 4 and not set(first.outcomes) & set(second.outcomes)
    assert campaign_state(tmp_path / "out").count("done") == 4


def test_the_expected_time_is_that_of_all_workers(make_worker, monkeypatch):
    """Two of the four runs are done by another worker meanwhile."""
    moves, worker = [], make_worker()
    monkeypatch.setattr(module.progress.Steps, "move_to", lambda steps, done, ready=None: moves.append((done, ready)))
    other = make_worker(worker.plan)
    other.stops = lambda: len(other.outcomes) == 2

    def behave(seed):
        if seed == 0:
            other.work()  # it takes the next free runs

    make_worker(worker.plan, behave)
    worker.work()
    assert (3, 0) in moves and moves[-1] == (4, 0) and len(worker.outcomes) == 2


def test_a_run_of_another_worker_is_waited_for(make_worker, campaign):
    worker = make_worker()
    held = worker.cells[0]
    with campaign.claim(held):
        thread = threading.Thread(target=worker.work)
        thread.start()
        for _ in range(500):
            if len(make_worker.computed.names) == 3:
                break
            threading.Event().wait(0.02)
        assert make_worker.computed.names == [1, 2, 3] and thread.is_alive()
    thread.join(30)
    assert make_worker.computed.names == [1, 2, 3, 0]


def failing(seed):
    if seed == 1:
        raise ResultError("no value", code="metric-undefined")


def test_a_failed_run_stops_no_other_and_is_not_tried_again_by_another_worker(make_worker, tmp_path):
    worker = make_worker(behave=failing)
    worker.work()
    assert len(worker.outcomes) == 3 and list(worker.failed.values()) == ["ResultError: no value"]
    joining = make_worker(worker.plan, failing)
    joining.work()
    assert make_worker.computed.names == [0, 1, 2, 3] and list(joining.failed.values()) == ["ResultError: no value"]
    assert [cell.seed for cell in joining.elsewhere] == [0, 2, 3] and not worker.elsewhere
    state = campaign_state(tmp_path / "out")
    assert state.count("failed") == 1 and list(state.reasons.values()) == ["ResultError: no value"]
    assert "no value" in str(state)


def test_a_new_start_tries_a_failed_run_again(make_worker):
    make_worker(behave=failing).work()
    again = make_worker()
    again.work()
    assert make_worker.computed.names == [0, 1, 2, 3, 0, 1, 2, 3] and not again.failed


def test_a_diverged_run_is_done_and_reported(make_worker, monkeypatch, tmp_path):
    worker = make_worker()
    plain = module.run_cell

    def diverges(options, mode, **rest):
        outcome = plain(options, mode, **rest)
        if options.seed == 2:
            outcome.result["status"] = "diverged"

            def refuse():
                raise DivergedError("the loss is NaN", code="run-diverged")

            outcome.raise_if_diverged = refuse
        return outcome

    monkeypatch.setattr(module, "run_cell", diverges)
    worker.work()
    assert len(worker.outcomes) == 4 and len(worker.failed) == 1
    state = campaign_state(tmp_path / "out")
    assert state.count("done") == 4 and len(state.reasons) == 1


def test_an_interrupted_worker_leaves_its_run_to_the_next(make_worker, tmp_path):
    def stop(seed):
        if seed == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_worker(behave=stop).work()
    state = campaign_state(tmp_path / "out")
    assert state.count("done") == 2 and state.count("stale") == 1 and state.count("waiting") == 1
    make_worker().work()
    assert campaign_state(tmp_path / "out").count("done") == 4


DIES = """
import os, sys
from pathlib import Path
from medzoo.bench.campaign.record import Campaign
from medzoo.bench.suite import Suite
suite = Suite("camp", "Camp", (("resnet10t-random", "random"),), ({"name": "phantom_oct", "title": "oct"},), seeds=(0, 1, 2, 3))
campaign, cell = Campaign(Path(sys.argv[1])), suite.cells()[0]
with campaign.worker(sys.argv[2]) as worker, campaign.claim(cell):
    worker.note("begin", run=cell.folder.as_posix(), name=str(cell))
    os.kill(os.getpid(), 9)
"""


def test_the_run_of_a_killed_worker_becomes_free(make_worker, campaign, tmp_path):
    worker = make_worker()
    done = subprocess.run([sys.executable, "-c", DIES, str(campaign.folder), worker.plan], timeout=120, check=False)
    assert done.returncode == -9
    state = campaign_state(tmp_path / "out")
    assert state.count("stale") == 1 and [one.state for one in state.workers] == ["stale"]
    assert "stale" in str(state) and "continues it" in str(state)
    worker.work()
    assert make_worker.computed.names == [0, 1, 2, 3]
    assert campaign_state(tmp_path / "out").count("done") == 4


def test_the_plan_records_what_is_needed_to_repeat_it(make_worker, campaign, suite):
    make_worker()
    plan = campaign.plan()
    assert plan["suite"] == "camp" and [run["name"] for run in plan["runs"]] == [str(cell) for cell in suite.cells()]
    assert plan["medzoo"] and "git" in plan
    json.dumps(plan)


def test_a_start_joins_a_plan_that_is_at_work(campaign, suite):
    plan = campaign.start(suite.name, suite.cells())
    assert campaign.start(suite.name, suite.cells()) != plan  # nobody works on it
    plan = campaign.plan()["plan"]
    with campaign.worker(plan):
        assert Campaign(campaign.folder).start(suite.name, suite.cells()) == plan
        assert Campaign(campaign.folder).start(suite.name, suite.cells()[:2]) != plan  # other runs


def test_a_worker_that_should_stop_takes_no_new_run(make_worker):
    worker = make_worker()
    worker.stops = lambda: len(make_worker.computed.names) == 2
    worker.work()
    assert make_worker.computed.names == [0, 1] and [cell.seed for cell in worker.left] == [2, 3]


def test_a_worker_gives_its_machine_back_if_others_have_all_runs(make_worker, campaign):
    worker = make_worker()
    worker.patience = 0.1
    with campaign.claim(worker.cells[3]):
        worker.work()
    assert [cell.seed for cell in worker.left] == [3] and len(worker.outcomes) == 3


def breaking(error):
    def behave(seed):
        if seed == 1:
            raise error

    return behave


ERRORS = [
    RuntimeError("CUDA error: device-side assert triggered\nCompile with TORCH_USE_CUDA_DSA"),
    np.linalg.LinAlgError("SVD did not converge"),
    OSError(5, "Input/output error"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_unexpected_error_fails_its_run_only(make_worker, tmp_path, error):
    worker = make_worker(behave=breaking(error))
    worker.work()
    assert make_worker.computed.names == [0, 1, 2, 3] and len(worker.outcomes) == 3 and not worker.must_restart
    (why,) = worker.failed.values()
    assert why.startswith(type(error).__name__) and "\n" not in why
    (file,) = (tmp_path / "out" / "campaign" / "errors").iterdir()
    assert str(file.parent) in why and worker.cells[1].folder.name in file.name and "in behave" in file.read_text()
    state = campaign_state(tmp_path / "out")
    assert (state.count("failed"), state.count("done")) == (1, 3)


def test_an_unexpected_error_on_a_full_disk_is_recorded_without_its_traceback(make_worker, tmp_path):
    (tmp_path / "out" / "campaign").mkdir(parents=True)
    (tmp_path / "out" / "campaign" / "errors").write_text("")  # a folder cannot be made here
    worker = make_worker(behave=breaking(ValueError("x")))
    worker.work()
    assert list(worker.failed.values()) == ["ValueError: x"]


def test_a_run_that_was_saved_after_a_signal_has_not_failed(make_worker, tmp_path):
    with pytest.raises(Interrupted):
        make_worker(behave=breaking(Interrupted("SIGTERM", 143, Path("runs/x")))).work()
    state = campaign_state(tmp_path / "out")
    assert state.count("failed") == 0 and state.count("stale") == 1


def test_after_an_unexpected_error_on_a_gpu_another_process_goes_on(make_worker, monkeypatch):
    """An error of CUDA makes every later call in its process fail, so the process takes no other run."""
    monkeypatch.setattr(module, "device_kind", lambda device: "cuda")
    worker = make_worker(behave=breaking(ERRORS[0]))
    worker.work()
    assert (
        worker.must_restart and make_worker.computed.names == [0, 1] and [cell.seed for cell in worker.left] == [2, 3]
    )
    fresh = make_worker(worker.plan, breaking(ERRORS[0]))
    fresh.work()
    assert make_worker.computed.names == [0, 1, 2, 3] and not fresh.left and not fresh.must_restart
    assert worker.look() == 0 and [cell.seed for cell in worker.elsewhere] == [2, 3] and len(worker.failed) == 1


def test_an_expected_error_on_a_gpu_does_not_end_the_worker(make_worker, monkeypatch):
    monkeypatch.setattr(module, "device_kind", lambda device: "cuda")
    worker = make_worker(behave=failing)
    worker.work()
    assert len(worker.outcomes) == 3 and not worker.must_restart
