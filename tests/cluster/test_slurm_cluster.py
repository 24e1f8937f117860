"""A suite on a real Slurm with two nodes: workers are killed, warned and cancelled, a node dies; the table is complete."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from cluster_suite import FAILING, RUNS, is_training
from expect import raises
from slurm_cluster import SlurmCluster, why_not

from medzoo.bench.campaign import head as head_module
from medzoo.bench.campaign.pilots import Pilot
from medzoo.bench.campaign.slurm import SlurmOptions, SlurmScheduler
from medzoo.bench.suites.read import load_suite
from medzoo.errors import WorkerError

pytest.importorskip("submitit")
pytestmark = [pytest.mark.slurm, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]
SLURM = ("--engine", "slurm", "--cpus-per-worker", "1", "--time-limit", "30")


@pytest.fixture(scope="module")
def slurm():
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # sockets have short paths
    try:
        with SlurmCluster(folder / "c") as cluster:
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def command(cluster_suite, slurm, monkeypatch):
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    return cluster_suite


def variable(pid, name):
    """A variable in the environment of a process."""
    lines = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(line.partition(b"=")[::2] for line in lines).get(name.encode(), b"").decode()


def on_node(node):
    return lambda pid, run: variable(pid, "SLURMD_NODENAME") == node and is_training(pid, run)


def test_a_killed_worker_a_warned_one_and_a_dead_node_change_nothing(command, slurm, local_rows):
    head = command.start("slurm", *SLURM, "--workers", "3")
    # Slurm gives two workers to n1 and one to n2: kill one of n1
    killed, _ = command.wait_for_working("slurm", on_node("n1"))
    os.kill(killed, signal.SIGKILL)
    # the signal that Slurm sends before the time limit: the other worker of n1 saves its run and is requeued
    warned, run = command.wait_for_working("slurm", lambda pid, run: pid != killed and on_node("n1")(pid, run))
    job = f"{variable(warned, 'SLURM_ARRAY_JOB_ID')}_{variable(warned, 'SLURM_ARRAY_TASK_ID')}"
    slurm.ask("scancel", "--signal=USR2", job)
    slurm.wait(
        lambda: slurm.ask("squeue", "-h", "-j", job, "-o", "%t").strip() == "PD", 60, f"{job} in the queue again"
    )
    saved = any((run / "resume").glob("step-*"))
    # the node of the last worker dies
    command.wait_for_working("slurm", on_node("n2"))
    slurm.kill_node("n2")
    slurm.wait(lambda: not command.working("slurm"), 10, "the end of the workers")
    assert saved and command.state("slurm").count("done") < RUNS - FAILING
    # Slurm starts a requeued job after two minutes; the test does not wait
    slurm.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
    code, said = command.end(head, "slurm")

    # runs of a checkpoint that does not exist fail, with their machine
    assert code == 1 and "missing" in said and "(on " in said, said
    assert command.rows("slurm") == local_rows and len(local_rows) == RUNS - FAILING
    assert f"{RUNS - FAILING} results, 0 of them from the store" in said
    assert re.search(r"slurm: 3 workers submitted, job \d+", said) and "New workers" not in said
    assert "Restarts=1" in slurm.ask("scontrol", "show", "job", job)
    state = command.state("slurm")
    assert (state.count("done"), state.count("failed")) == (RUNS - FAILING, FAILING)
    slurm.start_node("n2")


class CancelledOnce(SlurmScheduler):
    """Cancels its jobs at the third look at the queue: after the head has found them there."""

    looks = 0

    def is_active(self, jobs):
        active = super().is_active(jobs)
        self.looks += 1
        if self.looks == 3:
            assert active
            subprocess.run(["scancel", *jobs], check=True)
        return active


def test_the_command_can_end_before_its_workers_and_cancelled_workers_are_replaced(
    command, slurm, local_rows, monkeypatch
):
    head = command.start("again", *SLURM, "--workers", "1")
    command.wait_for_working("again", is_training)
    head.send_signal(signal.SIGINT)  # the user goes home
    code, said = command.end(head, "again")
    assert code == 130 and "The workers go on" in said and slurm.ask("squeue", "-h")

    monkeypatch.setattr(head_module, "POLL", 0.5)
    folder = command.folder / "again" / "campaign" / "slurm"
    scheduler = CancelledOnce(SlurmOptions(cpus_per_worker=1, time_limit=30), folder, "cpu")
    with pytest.warns(UserWarning, match="New workers are submitted"):
        command.fill("again", scheduler)
    assert len(command.state("again").jobs) == 2 and command.rows("again") == local_rows


def test_a_job_that_slurm_refuses(command, tmp_path):
    scheduler = SlurmScheduler(SlurmOptions(partition="nope"), tmp_path, "cpu")
    with raises(WorkerError, "slurm-refused") as caught:
        scheduler.submit(Pilot(load_suite(command.file), None, [], tmp_path, "plan"), 1)
    assert "invalid partition specified: nope" in str(caught.value)
