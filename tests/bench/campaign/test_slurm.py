"""Pilots on Slurm without a Slurm: the job that is submitted, what is refused, and the signals that a pilot gets."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from expect import raises

from medzoo.bench.campaign import slurm as module
from medzoo.bench.campaign.pilots import Pilot
from medzoo.bench.campaign.slurm import SlurmPilot, SlurmScheduler
from medzoo.bench.campaign.slurm_options import SlurmOptions, other_parameters
from medzoo.bench.suite_options import places_of
from medzoo.errors import MissingExtraError, UsageError, WorkerError
from medzoo.training.run_state.run_folder import Interrupted

pytest.importorskip("submitit")


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Stand-ins for Slurm's programs; `write(name, script)` replaces one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def write(name, script):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    for name in ("sbatch", "squeue", "srun"):
        write(name, "exit 1")
    return write


@pytest.fixture
def pilot(suite, campaign, tmp_path):
    return Pilot(suite, places_of(suite, tmp_path / "out"), suite.cells(), campaign.folder, "plan")


def submitted(programs, pilot, folder, count=3, device="auto", **options):
    programs("sbatch", 'echo "Submitted batch job 7"')
    scheduler = SlurmScheduler(SlurmOptions(**options), folder, device)
    job = scheduler.submit(pilot, count)
    return job, (folder / "7_submission.sh").read_text()


def test_pilots_are_one_array_job(programs, pilot, tmp_path):
    more = {"partition": "gpu", "account": "lab", "time_limit": 60, "memory": 1.5, "cpus_per_worker": 6}
    job, text = submitted(programs, pilot, tmp_path / "s", sbatch="qos=long --exclusive", **more)
    lines = text.splitlines()
    for line in (
        "array=0-2%3", "partition=gpu", "account=lab", "time=60", "mem=1536M", "cpus-per-task=6", "gpus-per-node=1", "nodes=1",
        "qos=long", "exclusive", "signal=USR2@90", "job-name=medzoo-camp", "ntasks-per-node=1",
    ):  # fmt: skip
        assert f"#SBATCH --{line}" in lines, text
    assert lines[-1].startswith("srun ") and "--cpus-per-task=6" in lines[-1]  # srun does not take it from sbatch
    assert job.name == "7" and len(list((tmp_path / "s").glob("7_*_submitted.pkl"))) == 3


def test_each_task_gets_the_pilot(programs, pilot, tmp_path):
    from submitit.core.utils import DelayedSubmission

    submitted(programs, pilot, tmp_path / "s")
    work = DelayedSubmission.load(tmp_path / "s" / "7_1_submitted.pkl")
    assert work.function == SlurmPilot(pilot, 240) and work._timeout_countdown == module.REQUEUES
    again = work._checkpoint_function()
    assert again.function == SlurmPilot(pilot, 240)


def test_defaults_ask_for_nothing_that_a_cluster_decides(programs, pilot, tmp_path):
    job, text = submitted(programs, pilot, tmp_path / "s", count=1, device="cpu")
    for word in ("partition", "account", "mem", "gpus", "array", "qos"):
        assert f"--{word}" not in text.partition("# command")[0].replace("--signal", ""), word
    assert job.name == "7"
    _, text = submitted(programs, pilot, tmp_path / "t", count=1, device="cpu", gpus_per_worker=1)
    assert "gpus-per-node=1" in text


def test_a_short_limit_has_a_short_warning(programs, pilot, tmp_path):
    assert "signal=USR2@40" in submitted(programs, pilot, tmp_path / "s", time_limit=2)[1]


def test_what_sbatch_says_is_in_the_error(programs, pilot, tmp_path, capfd):
    programs("sbatch", 'echo "sbatch: error: invalid partition specified: nope" >&2; exit 1')
    scheduler = SlurmScheduler(SlurmOptions(partition="nope"), tmp_path / "s")
    with raises(WorkerError, "slurm-refused") as caught:
        scheduler.submit(pilot, 2)
    assert "invalid partition specified: nope" in str(caught.value) and "--partition" in str(caught.value)
    assert "invalid partition" not in capfd.readouterr().err  # said once


def test_a_machine_without_slurm(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with raises(WorkerError, "slurm-missing") as caught:
        SlurmScheduler(SlurmOptions(), tmp_path)
    assert "sbatch" in str(caught.value)


def test_without_submitit(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with raises(MissingExtraError, "missing-submitit") as caught:
        SlurmScheduler(SlurmOptions(), tmp_path)
    assert "medzoo[slurm]" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("qos=long, x", "sbatch-options-invalid"),
        ("qos=", "sbatch-options-invalid"),
        ("-p gpu", "sbatch-options-invalid"),
        ("--comment='open", "sbatch-options-invalid"),
        ("qos=a\n--wrap=b", "sbatch-option-reserved"),
        ("--partition=gpu", "sbatch-option-reserved"),
        ("array=0-9", "sbatch-option-reserved"),
        ("--signal=USR1@10", "sbatch-option-reserved"),
    ],
)
def test_other_options_that_cannot_work_are_refused(text, code):
    with raises(UsageError, code):
        other_parameters(text)


@pytest.mark.parametrize(
    "options", [{"time_limit": 1}, {"gpus_per_worker": 2}, {"cpus_per_worker": 0}, {"memory": 0.0}, {"sbatch": "X"}]
)
def test_invalid_options_are_refused(options):
    with pytest.raises(UsageError):
        SlurmOptions(**options).check()


def test_the_queue_is_asked_for_the_users_jobs(programs, tmp_path):
    programs(
        "squeue",
        f'[ "$2 $3" = "-u {os.getuid()}" ] && printf "5|RUNNING|None\\n7|PENDING|Priority\\n7|PENDING|Priority\\n"',
    )
    scheduler = SlurmScheduler(SlurmOptions(), tmp_path)
    assert scheduler.is_active(["7"]) is True and scheduler.is_active(["6", "70"]) is False
    assert scheduler.queue(["7"]) == "job 7 is PENDING (Priority)" and "no job" in scheduler.queue(["6"])
    programs("squeue", 'echo "7|COMPLETING|None"')
    assert scheduler.is_active(["7"]) is False
    programs("squeue", 'echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1')
    assert scheduler.is_active(["7"]) is None and "does not answer" in scheduler.queue(["7"])


@pytest.fixture
def called(monkeypatch):
    """Run a pilot whose work is a function; the numbers of the signals that submitit's handler got."""
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGTERM)}
    monkeypatch.setattr(module, "AGAIN", 0.05)

    def run(work, minutes=240):
        got = []
        signal.signal(signal.SIGUSR2, lambda number, frame: got.append(number))
        SlurmPilot(SimpleNamespace(work=work), minutes)()
        return got

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupted(by):
    """A run that is in progress: its folder handles SIGTERM, saves, and ends with Interrupted."""

    def work(stops):
        saved = []
        outer = signal.signal(signal.SIGTERM, lambda number, frame: saved.append(number))
        os.kill(os.getpid(), by)
        for _ in range(500):
            if saved:
                break
            signal.sigtimedwait([], 0.01)
        signal.signal(signal.SIGTERM, outer)
        assert saved
        raise Interrupted("SIGTERM", 0, None)

    return work


def test_the_warning_of_slurm_saves_the_run_and_the_pilot_starts_again(called):
    assert called(interrupted(signal.SIGUSR2)) == [signal.SIGUSR2]


def test_a_cancelled_pilot_saves_its_run_and_ends(called):
    assert called(interrupted(signal.SIGTERM)) == []


def test_a_warning_between_two_runs_stops_before_the_next_one(called):
    def work(stops):
        assert not stops()
        os.kill(os.getpid(), signal.SIGUSR2)
        assert stops()
        return ["a run"]

    assert called(work) == [signal.SIGUSR2]


def test_a_signal_that_a_loading_run_misses_is_repeated(called):
    def work(stops):
        os.kill(os.getpid(), signal.SIGUSR2)  # while it loads
        return interrupted(signal.SIGCONT)(stops)  # now its folder is open

    assert called(work) == [signal.SIGUSR2]


def test_a_pilot_whose_time_is_over_starts_again_if_runs_are_left(called, monkeypatch):
    monkeypatch.setattr("medzoo.bench.campaign.pilots.working_seconds", lambda limit: 0.0)
    assert called(lambda stops: ["left"] if stops() else []) == [signal.SIGUSR2]
    assert called(lambda stops: []) == []


def test_a_pilot_without_work_ends(called):
    assert called(lambda stops: []) == []
    assert called(lambda stops: ["a run of another worker"]) == []  # its patience is over, its time is not


def test_a_cluster_that_does_not_requeue_is_a_warning(called, monkeypatch):
    def refuse(number, frame):
        raise subprocess.CalledProcessError(1, ["scontrol", "requeue", "7"])

    def work(stops):
        return ["left"] if stops() else []

    monkeypatch.setattr("medzoo.bench.campaign.pilots.working_seconds", lambda limit: 0.0)
    called(lambda stops: [])  # keeps the handlers
    signal.signal(signal.SIGUSR2, refuse)
    with pytest.warns(UserWarning, match="does not put this job back"):
        SlurmPilot(SimpleNamespace(work=work), 240)()


def test_submitits_handler_requeues_this_pilot(programs, pilot, tmp_path, monkeypatch):
    """`checkpoint_and_try_requeue` writes the same work again and calls scontrol requeue."""
    from submitit.core.job_environment import SignalHandler
    from submitit.core.utils import DelayedSubmission, JobPaths
    from submitit.slurm.slurm import SlurmJobEnvironment

    submitted(programs, pilot, tmp_path / "s")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    programs("scontrol", f'echo "$@" > {tmp_path}/asked')
    paths = JobPaths(tmp_path / "s", job_id="7_1")
    handler = SignalHandler(SlurmJobEnvironment(), paths, DelayedSubmission.load(paths.submitted_pickle))
    with pytest.raises(SystemExit):
        handler.checkpoint_and_try_requeue(signal.SIGUSR2)
    assert (tmp_path / "asked").read_text().split() == ["requeue", "7_1"]
    assert DelayedSubmission.load(paths.submitted_pickle).function == SlurmPilot(pilot, 240)
