"""Several processes: one result, and never separate copies that nobody asked for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medzoo.paths import data_dir

pytestmark = pytest.mark.slow


def launch(tiny_hub, tmp_path, *flags: str, **environment: str) -> subprocess.CompletedProcess:
    arguments = [
        "--checkpoint", "lab/tiny", "--hub", str(tiny_hub), "--task", "phantom_oct,n=60,n_validation=24,n_test=40",
        "--size", "32", "--epochs", "2", "--batch-size", "16", "--precision", "fp32",
        "--out", str(tmp_path / "run"), "--results", str(tmp_path / "results"),
    ]  # fmt: skip
    command = [*flags, str(data_dir("recipes") / "finetune.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=600)


def test_two_processes_make_one_result(tiny_hub, tmp_path):
    accelerate = str(Path(sys.executable).with_name("accelerate"))
    flags = ["launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
    done = launch(tiny_hub, tmp_path, accelerate, *flags, "--dynamo_backend", "no", ACCELERATE_USE_CPU="1")
    assert done.returncode == 0, done.stderr[-3000:]
    (result,) = (tmp_path / "results").glob("*@*/**/*.json")
    assert json.loads(result.read_text())["status"] == "ok"
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "done"
    steps = [row["step"] for row in map(json.loads, (tmp_path / "run" / "log.jsonl").read_text().splitlines())]
    assert steps == sorted(steps) and steps[-1] == 6  # the second process wrote nothing


def test_copies_that_do_not_join_are_refused(tiny_hub, tmp_path):
    """A launcher that starts two processes which do not find each other would train twice, and race for the folder."""
    done = launch(tiny_hub, tmp_path, sys.executable, WORLD_SIZE="2")
    assert done.returncode == 2 and "train apart" in done.stderr and not list((tmp_path / "results").rglob("*.json"))
