"""A suite on a real Slurm with two nodes: workers are killed, warned and cancelled, a node dies; the table is complete."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from cluster_suite import FAILING, RUNS, is_early, is_training
from expect import raises
from slurm_cluster import SlurmCluster, why_not

from medzoo.bench.campaign import head as head_module
from medzoo.bench.campaign.pilots import Pilot
from medzoo.bench.campaign.slurm import SlurmScheduler
from medzoo.bench.campaign.slurm_options import SlurmOptions
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
    return lambda pid, run: variable(pid, "SLURMD_NODENAME") == node and is_early(pid, run)


class Meanwhile(SlurmScheduler):
    """Between two looks at the queue: lets a requeued worker start, and cancels all workers while it computes.

    Slurm starts a requeued job after two minutes; the test does not wait.
    """

    command, requeued, looks, cancelled = None, "", 0, False

    def is_active(self, jobs):
        active = super().is_active(jobs)
        self.looks += 1
        if self.looks == 3:  # the head has found the jobs of the first command
            assert active
            subprocess.run(["scontrol", "update", f"JobId={self.requeued}", "StartTime=now"], check=True)
        if not self.cancelled and any(is_training(*one) for one in self.command.working("slurm").items()):
            self.cancelled = True
            subprocess.run(["scancel", *jobs], check=True)
        return active


def test_the_table_is_complete_whatever_happens_to_workers_and_to_the_command(command, slurm, local_rows, monkeypatch):
    head = command.start("slurm", *SLURM, "--workers", "3")
    command.wait_for_working("slurm", is_training)
    # the user stops the command and goes home; the workers go on
    head.send_signal(signal.SIGINT)
    code, said = command.end(head, "slurm")
    assert code == 130, said
    assert re.search(r"slurm: 3 workers submitted, job \d+", said) and "The workers go on" in said
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
    # the same command again: it finds the requeued worker, which is cancelled later, and replaces it
    monkeypatch.setattr(head_module, "POLL", 0.5)
    folder = command.folder / "slurm" / "campaign" / "slurm"
    scheduler = Meanwhile(SlurmOptions(cpus_per_worker=1, time_limit=30), folder, "cpu")
    scheduler.command, scheduler.requeued = command, job
    with pytest.warns(UserWarning, match="New workers are submitted"):
        filled = command.fill("slurm", scheduler)

    assert "Restarts=1" in slurm.ask("scontrol", "show", "job", job) and scheduler.cancelled
    # runs of a checkpoint that does not exist fail, with their machine
    (failure,) = filled.failures
    assert "missing" in failure and "(on " in failure
    state = command.state("slurm")
    assert (state.count("done"), state.count("failed"), len(state.jobs)) == (RUNS - FAILING, FAILING, 2)
    assert command.rows("slurm") == local_rows and len(local_rows) == RUNS - FAILING


def test_a_job_that_slurm_refuses(command, tmp_path):
    scheduler = SlurmScheduler(SlurmOptions(partition="nope"), tmp_path, "cpu")
    with raises(WorkerError, "slurm-refused") as caught:
        scheduler.submit(Pilot(load_suite(command.file), None, [], tmp_path, "plan"), 1)
    assert "invalid partition specified: nope" in str(caught.value)
