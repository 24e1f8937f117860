"""Runs that are stopped from outside: kill -9 at any moment, SIGTERM, Ctrl-C, a launcher that dies. Nothing is lost."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from warm import WarmChild

from medzoo.bench.run import CellOptions, run_cell
from medzoo.paths import data_dir
from medzoo.recipe_args import parse

pytestmark = pytest.mark.slow
RECIPE = data_dir("recipes") / "finetune.py"
# A state after every step, so that a kill can fall into a write as well as between two; slowed down, to be caught.
CHILD = f"""
import runpy, sys, time
import medzoo.training.run_state.run_folder as runs, medzoo.training.finetune as finetune
runs.SAVE_SECONDS = 0.0
forward = finetune.FineTuneObjective.forward
def slow(self, batch, step):
    time.sleep(0.05)
    return forward(self, batch, step)
finetune.FineTuneObjective.forward = slow
runpy.run_path({str(RECIPE)!r}, run_name="__main__")
"""
LAUNCH = "from accelerate.commands.launch import main; main()"


@pytest.fixture
def start(warm):
    """Start the recipe in a process of its own."""

    def start_(arguments: list[str]):
        return warm.start(CHILD, *arguments)

    return start_


@pytest.fixture
def arguments(tiny_hub, tmp_path):
    def make(name: str) -> list[str]:
        return [
            "--checkpoint", "lab/tiny", "--hub", str(tiny_hub), "--task", "phantom_oct,n=60,n_validation=24,n_test=40",
            "--size", "32", "--epochs", "8", "--batch-size", "16", "--precision", "fp32", "--device", "cpu",
            "--out", str(tmp_path / name), "--results", str(tmp_path / f"{name}-results"),
        ]  # fmt: skip

    return make


def wait_for_step(run: Path, step: int, process: WarmChild) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        states = list((run / "resume").glob("step-*"))
        if any(int(state.name.split("-")[1]) >= step for state in states):
            return
        time.sleep(0.005)
    if process.poll() is None:
        pytest.fail(f"no state of step {step}: timeout")
    pytest.fail(f"no state of step {step}: {process.communicate()[1]}")


def check_whole(folder: Path) -> None:
    """Every file that has its name is whole; half ones carry the temporary prefix."""
    for path in folder.rglob("*.json"):
        if not any(part.startswith(".tmp-") for part in path.parts):
            json.loads(path.read_text())


def digest(results: Path) -> str:
    (path,) = results.glob("*@*/**/*.json")
    return json.loads(path.read_text())["predictions"]["sha256"]


def test_f37_f38_kill_9_again_and_again(start, arguments, tmp_path):
    (options,) = parse([CellOptions], "", arguments("straight"))
    straight = run_cell(options)
    for step in (2, 13):
        process = start(arguments("killed"))
        wait_for_step(tmp_path / "killed", step, process)
        time.sleep(0.01 * step)
        process.kill()
        process.wait()
        check_whole(tmp_path / "killed")
        check_whole(tmp_path / "killed-results")
        assert json.loads((tmp_path / "killed" / "status.json").read_text())["state"] == "running"
    last = start(arguments("killed"))
    assert last.wait(600) == 0, last.stderr
    assert digest(tmp_path / "killed-results") == straight.result["predictions"]["sha256"]
    status = json.loads((tmp_path / "killed" / "status.json").read_text())
    assert status["state"] == "done"
    assert json.loads((tmp_path / "killed" / "result.json").read_text())["train"]["resumes"] >= 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_f38_a_signal_saves_and_says_how_to_go_on(start, arguments, tmp_path, number, code):
    process = start(arguments("run"))
    wait_for_step(tmp_path / "run", 3, process)
    process.send_signal(number)
    _, error = process.communicate(timeout=300)
    assert process.returncode == code and "same command continues" in error and "Traceback" not in error
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "resumable"


def test_f38_a_dead_launcher_leaves_a_resumable_run(warm, arguments, tmp_path):
    child = tmp_path / "child.py"
    child.write_text(CHILD)
    launcher = warm.start(LAUNCH, "--cpu", str(child), *arguments("run"))  # as `accelerate launch`
    wait_for_step(tmp_path / "run", 3, launcher)
    pid = json.loads((tmp_path / "run" / "status.json").read_text())["pid"]
    assert pid != launcher.pid
    launcher.kill()
    launcher.wait()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "resumable":
            break
        time.sleep(0.1)
    else:
        os.kill(pid, signal.SIGKILL)
        pytest.fail("the run went on without its launcher")
