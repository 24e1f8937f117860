"""A small suite as a file, its command, and its results: every engine must give the same rows."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from medzoo.bench.campaign.record import Campaign
from medzoo.bench.campaign.status import campaign_state
from medzoo.bench.engines import fill_table
from medzoo.bench.results.store import ResultStore
from medzoo.bench.suites.read import load_suite
from medzoo.locks import process_alive
from medzoo.paths import data_dir
from medzoo.training.run_state.run_folder import RunFolder

EPOCHS = 120
SUITE = """
name = "cluster"
seeds = [0, 1, 2]
precision = "fp32"
checkpoints = [{ name = "lab/tiny", label = "tiny" }, { name = "test_resnet-missing", label = "missing" }, "resnet10t-random"]

[[tasks]]
name = "phantom_oct,n=24,n_validation=12,n_test=20"
title = "OCT"
size = 32
epochs = EPOCHS
batch_size = 8
"""
RUNS, FAILING = 9, 3  # the checkpoint "missing" does not exist
STEPS = 3 * EPOCHS  # of a run


class ClusterSuite:
    """A suite in a folder, its command, and what is in its record.

    Args:
        folder: of the suite's file and of all outputs.
        hub: directory hub.
    """

    def __init__(self, folder: Path, hub: Path) -> None:
        self.folder, self.hub = folder, hub
        self.file = folder / "cluster.toml"
        self.file.write_text(SUITE.replace("EPOCHS", str(EPOCHS)))
        self.started: list[subprocess.Popen] = []
        self.environment = {"MEDZOO_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}

    def start(self, out, *more):
        """The command as a process; what it prints goes to OUT.log."""
        given = [data_dir("recipes") / "benchmark.py", self.file, "--hub", self.hub, "--out", self.folder / out]
        with (self.folder / f"{out}.log").open("a") as log:
            command = [sys.executable, *map(str, given), "--device", "cpu", *more]
            self.started.append(
                subprocess.Popen(
                    command, env=os.environ | self.environment, stdout=log, stderr=log, preexec_fn=_heed_ctrl_c
                )
            )
        return self.started[-1]

    def fill(self, out, scheduler=None, workers=1):
        """The suite in this process."""
        given = load_suite(self.file), self.folder / out
        return fill_table(*given, device="cpu", hub=str(self.hub), workers=workers, scheduler=scheduler)

    def end(self, process, out, seconds=300):
        """Wait for a started command."""
        try:
            code = process.wait(seconds)
        finally:
            process.kill()
        return code, (self.folder / f"{out}.log").read_text()

    def state(self, out):
        """The state of the campaign."""
        return campaign_state(self.folder / out)

    def working(self, out):
        """The process ids of live workers that compute a run now, oldest first, with the run's folder."""
        campaign, found = Campaign(self.folder / out / "campaign"), {}
        plan = campaign.plan()
        for lines in campaign.events(plan["plan"]).values() if plan else ():
            begun = [line for line in lines if line["event"] in ("begin", "end", "stop", "left")]
            if begun and begun[-1]["event"] == "begin" and process_alive(lines[0]["pid"], lines[0]["born"]):
                found[lines[0]["pid"]] = self.folder / out / "runs" / begun[-1]["run"]
        return found

    def wait_for_working(self, out, is_wanted, seconds=180):
        """The process id and the run folder of a worker that computes a run now."""
        for _ in range(int(seconds / 0.05)):
            found = [(pid, run) for pid, run in self.working(out).items() if is_wanted(pid, run)]
            if found:
                return found[0]
            time.sleep(0.05)
        raise TimeoutError(f"no worker of {out} computes")

    def rows(self, out):
        """Run id → value, status, and the hash of the predictions."""
        store = ResultStore(self.folder / out / "results")
        return {
            result["run_id"]: (result["status"], json.dumps(result["metrics"]), result["predictions"]["sha256"])
            for _, result in store.all()
        }


def is_training(pid, run):
    """Whether the run of a worker has reached its training."""
    return (run / "log.jsonl").is_file()


def is_early(pid, run):
    """Whether a worker trains, and most of its run is still to come: a signal reaches it before its end."""
    steps = [row["step"] for row in RunFolder(run, "finetune", {}, {}).rows()]
    return bool(steps) and max(steps) < STEPS // 6


def _heed_ctrl_c() -> None:
    """A command that a script starts in the background ignores Ctrl-C, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
