"""The head of a campaign with a scheduler of threads: it follows, replaces pilots that are gone, and ends with an error in time."""

import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from expect import raises

from medzoo.bench.campaign import head as module
from medzoo.bench.campaign import worker as worker_module
from medzoo.bench.campaign.head import CampaignHead
from medzoo.bench.campaign.pilots import PilotJob
from medzoo.bench.campaign.status import campaign_state
from medzoo.bench.suite_options import places_of
from medzoo.errors import ResultError, WorkerError
from medzoo.training.run_state.run_folder import Interrupted


class Threads:
    """A scheduler whose pilots are threads; each job has a `before` that may raise, as on a broken machine."""

    name, uses_gpu = "threads", False

    def __init__(self, logs):
        self.folder, self.submitted, self.before, self.silent, self.ended = logs, [], lambda job: None, False, []
        self._pilots = {}

    def submit(self, pilot, count):
        job = str(len(self.submitted))
        self.submitted.append(count)

        def work():
            try:
                self.before(int(job))
                pilot()
            except (RuntimeError, Interrupted) as error:
                (self.folder / f"{job}.err").write_text(f"Traceback\n{error}\n")

        self._pilots[job] = [threading.Thread(target=work) for _ in range(count)]
        for thread in self._pilots[job]:
            thread.start()
        return PilotJob(job, self.folder)

    def is_active(self, jobs):
        return None if self.silent else any(one.is_alive() for job in jobs for one in self._pilots.get(job, []))

    def queue(self, jobs):
        return f"{jobs} wait"

    def advice(self, jobs):
        return f"They go on: {jobs}."

    def logs(self, job):
        return [self.folder / f"{job.name}.err"]

    def finished(self, jobs):
        self.ended = list(jobs)

    def close(self):
        pass

    def join(self):
        for pilots in self._pilots.values():
            for pilot in pilots:
                pilot.join(30)


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 0.01)
    monkeypatch.setattr(module, "POLL", 0.02)
    monkeypatch.setattr(worker_module, "PAUSE", 0.01)


@pytest.fixture
def made(make_worker, suite, campaign, tmp_path, monkeypatch):
    """A head and its scheduler; the store of results is a dictionary that the stand-in of a run fills."""
    stored, schedulers = {}, []
    make_worker()  # sets the stand-in of a run
    plain = worker_module.run_cell

    def make(behave=lambda seed: None):
        def run_cell(options, mode, *, stored_is_enough):
            behave(options.seed)
            outcome = plain(options, mode, stored_is_enough=stored_is_enough)
            stored[options.seed] = {"identity": {"seed": options.seed}, "status": "ok", "train": {}}
            return outcome

        monkeypatch.setattr(worker_module, "run_cell", run_cell)
        monkeypatch.setattr(module, "known_result", lambda options, mode, opened: stored.get(options.seed))
        monkeypatch.setattr(
            module, "ResultStore", lambda folder: SimpleNamespace(path=lambda identity: folder / str(identity["seed"]))
        )
        scheduler = Threads(tmp_path)
        schedulers.append(scheduler)
        head = CampaignHead(suite, places_of(suite, tmp_path / "out"), suite.cells(), campaign, scheduler)
        return SimpleNamespace(head=head, scheduler=scheduler, computed=make_worker.computed, stored=stored)

    yield make
    for one in schedulers:
        one.join()


def test_pilots_do_all_runs_and_the_head_none(made, suite, campaign, tmp_path):
    one = made()
    one.head.fill(2)
    assert sorted(one.computed.names) == [0, 1, 2, 3] and one.scheduler.submitted == [2]
    assert list(one.head.outcomes) == suite.cells() and one.head.failed == {}
    assert not any(outcome.cached for outcome in one.head.outcomes.values())
    plan = campaign.plan()
    assert plan["engine"] == "threads" and one.scheduler.ended == ["0"]
    state = campaign_state(tmp_path / "out")
    assert state.count("done") == 4 and "threads job 0: 2 workers submitted" in str(state)


def test_no_more_pilots_than_runs_and_none_for_stored_runs(made):
    one = made()
    one.stored.update({seed: {"identity": {"seed": seed}, "status": "ok", "train": {}} for seed in (0, 1, 2)})
    one.head.fill(8)
    assert one.scheduler.submitted == [1] and one.computed.names == [3]
    assert [outcome.cached for outcome in one.head.outcomes.values()] == [True, True, True, False]
    again = made()
    again.head.fill(8)
    assert again.scheduler.submitted == [] and len(again.head.outcomes) == 4


def broken(job):
    raise RuntimeError("ModuleNotFoundError: No module named 'torch'")


def test_pilots_that_are_gone_are_replaced(made):
    one = made()
    one.scheduler.before = lambda job: broken(job) if job < 2 else None
    with pytest.warns(UserWarning, match="4 runs are left"):
        one.head.fill(3)
    assert one.scheduler.submitted == [3, 3, 3] and len(one.head.outcomes) == 4


def test_after_some_replacements_it_is_an_error_that_names_the_output(made, tmp_path):
    one = made()
    one.scheduler.before = broken
    with pytest.warns(UserWarning), raises(WorkerError, "pilots-gone") as caught:
        one.head.fill(2)
    assert one.scheduler.submitted == [2] * (1 + module.REPLACEMENTS)
    assert "No module named 'torch'" in str(caught.value) and f"{module.REPLACEMENTS}.err" in str(caught.value)


def test_a_finished_run_makes_new_replacements_possible(made, monkeypatch):
    """Pilots with a short time limit end often; that is no reason to stop."""
    monkeypatch.setattr(module, "REPLACEMENTS", 1)
    one, ended = made(), []

    def one_run_only(seed):
        if len(one.computed.names) > len(ended):
            ended.append(seed)
            raise Interrupted("the end of the time limit", 143, Path("runs"))

    one = made(one_run_only)
    with pytest.warns(UserWarning):
        one.head.fill(1)
    assert len(one.scheduler.submitted) == 4 and len(one.head.outcomes) == 4


def test_a_scheduler_that_does_not_answer_is_no_reason_to_replace_pilots(made, monkeypatch, capsys):
    monkeypatch.setattr(module.progress, "FIRST_SECONDS", 0.0)
    one = made()
    one.scheduler.silent = True
    release = threading.Timer(0.5, lambda: setattr(one.scheduler, "silent", False))
    one.scheduler.before = lambda job: release.join() if job == 0 else None
    release.start()
    one.head.fill(1)
    assert one.scheduler.submitted == [1] and len(one.head.outcomes) == 4
    assert capsys.readouterr().err.count("no worker computes now; ['0'] wait") == 1


def test_the_same_command_follows_pilots_that_wait_in_the_queue(made, campaign, suite, tmp_path):
    one, go = made(), threading.Event()
    one.scheduler.before = lambda job: go.wait(30)
    plans = len(list((campaign.folder / "plans").iterdir()))
    first = threading.Thread(target=one.head.fill, args=(2,))
    first.start()
    while not campaign.jobs(campaign.plan()["plan"]):
        time.sleep(0.01)
    second = CampaignHead(suite, one.head.places, suite.cells(), campaign, one.scheduler)
    threading.Timer(0.2, go.set).start()
    second.fill(2)
    first.join(30)
    assert one.scheduler.submitted == [2] and len(second.outcomes) == len(one.head.outcomes) == 4
    assert len(list((campaign.folder / "plans").iterdir())) == plans + 1


def test_a_failed_run_is_reported_with_its_machine(made):
    def failing(seed):
        if seed == 1:
            raise ResultError("/data/x does not exist", code="data-missing")

    one = made(failing)
    one.head.fill(2)
    (why,) = one.head.failed.values()
    assert "/data/x does not exist (on " in why and len(one.head.outcomes) == 3


def test_a_result_that_is_not_visible_here_is_a_failure(made, monkeypatch):
    monkeypatch.setattr(module, "LATE", 0.0)
    one = made()
    one.head._look_up = lambda cell: None
    one.head.fill(1)
    assert len(one.head.failed) == 4 and not one.head.outcomes
    assert "All machines must see the same folder" in next(iter(one.head.failed.values()))


def test_ctrl_c_says_what_the_pilots_do(made, capsys, monkeypatch):
    one = made()
    monkeypatch.setattr(one.head, "_show", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        one.head.fill(1)
    assert "They go on: ['0']." in capsys.readouterr().err
