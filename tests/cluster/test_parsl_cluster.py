"""A suite through Parsl's processes: one of them is killed while it computes; the table is complete."""

import os
import signal
import threading

import pytest
from cluster_suite import FAILING, RUNS, is_training

from medzoo.bench.campaign.parsl import ParslScheduler

pytestmark = pytest.mark.parsl
pytest.importorskip("parsl")


def test_the_run_of_a_killed_worker_is_done_by_others(cluster_suite, local_rows):
    killed = []

    def kill():
        pid, _ = cluster_suite.wait_for_working("parsl", is_training)
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    thread = threading.Thread(target=kill)
    thread.start()
    scheduler = ParslScheduler(cluster_suite.folder / "parsl" / "campaign" / "parsl", 2)
    filled = cluster_suite.fill("parsl", scheduler, workers=2)
    thread.join(60)
    assert killed and len(filled.outcomes) == RUNS - FAILING and len(filled.failures) == 1
    assert cluster_suite.rows("parsl") == local_rows
    state = cluster_suite.state("parsl")
    assert state.count("done") == RUNS - FAILING and "stale" in [worker.state for worker in state.workers]
    assert "parsl job 1: 2 workers submitted" in str(state)
