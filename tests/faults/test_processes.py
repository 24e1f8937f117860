"""Several processes: one result, and never separate copies that nobody asked for."""

import json
import os
import socket
import time

import pytest
from warm import WarmChild

from medzoo.bench.results.store import ResultStore, run_id
from medzoo.bench.run import CellOptions, run_cell
from medzoo.paths import data_dir
from medzoo.training.run_state.run_folder import Interrupted, RunFolder

pytestmark = pytest.mark.slow


TASK = "phantom_oct,n=60,n_validation=24,n_test=40"
LAUNCH = "from accelerate.commands.launch import main; main()"  # as `accelerate launch`
TWO = (
    "--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
)  # fmt: skip


def command_line(tiny_hub, tmp_path) -> list[str]:
    return [
        str(data_dir("recipes") / "finetune.py"), "--checkpoint", "lab/tiny", "--hub", str(tiny_hub), "--task", TASK,
        "--size", "32", "--epochs", "2", "--batch-size", "16", "--precision", "fp32",
        "--out", str(tmp_path / "run"), "--results", str(tmp_path / "results"),
    ]  # fmt: skip


def start(warm, tiny_hub, tmp_path, **environment: str) -> WarmChild:
    """One process of those that a launcher starts."""
    recipe, *arguments = command_line(tiny_hub, tmp_path)
    program = f"import runpy\nrunpy.run_path({recipe!r}, run_name='__main__')"
    return warm.start(program, *arguments, env={**os.environ, **environment})


def test_two_processes_make_one_result(warm, tiny_hub, tmp_path):
    arguments = (*TWO, *command_line(tiny_hub, tmp_path))
    done = warm.run(LAUNCH, *arguments, env={**os.environ, "ACCELERATE_USE_CPU": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    (result,) = (tmp_path / "results").glob("*@*/**/*.json")
    assert json.loads(result.read_text())["status"] == "ok"
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "done"
    steps = [row["step"] for row in map(json.loads, (tmp_path / "run" / "log.jsonl").read_text().splitlines())]
    assert steps == sorted(steps) and steps[-1] == 6  # the second process wrote nothing
    told = done.stderr.splitlines()
    assert sum("2 processes" in line and "run folder" in line for line in told) == 1
    assert sum(line.startswith("epoch ") for line in told) == 2
    # batch statistics and noise are a process's own: it is another run than that of one process, whose name stays what it was
    ((_, stored),) = ResultStore(tmp_path / "results").all()
    assert stored["identity"]["processes"] == 2
    alone = {key: value for key, value in stored["identity"].items() if key != "processes"}
    assert run_id(alone) != stored["run_id"]


def test_a_run_of_one_process_does_not_go_on_with_two(warm, tiny_hub, tmp_path, monkeypatch):
    init = RunFolder.__init__
    monkeypatch.setattr(
        RunFolder, "__init__", lambda self, *a, **k: (init(self, *a, **k), setattr(self, "stop_at_step", 3))[0]
    )
    with pytest.raises(Interrupted):
        run_cell(
            CellOptions(
                checkpoint="lab/tiny", hub=str(tiny_hub), task=TASK, size=32, epochs=2, batch_size=16, precision="fp32",
                out=str(tmp_path / "run"), results=str(tmp_path / "results"),
            )
        )  # fmt: skip
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # as `accelerate launch --num_processes 2` starts them
    common = {
        "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
        "ACCELERATE_MIXED_PRECISION": "no", "ACCELERATE_USE_CPU": "1",
    }  # fmt: skip
    started = [start(warm, tiny_hub, tmp_path, RANK=rank, LOCAL_RANK=rank, **common) for rank in "01"]
    deadline = time.monotonic() + 120
    while all(child.poll() is None for child in started) and time.monotonic() < deadline:
        time.sleep(0.05)
    (refused,) = [child for child in started if child.poll() is not None][:1]
    for child in started:  # a launcher ends the others
        child.kill()
        child.wait()
    said = "".join(child.stderr for child in started)
    assert refused.returncode not in (0, -9) and "--num_processes 1 " in said
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}


def test_copies_that_do_not_join_are_refused(warm, tiny_hub, tmp_path):
    """A launcher that starts two processes which do not find each other would train twice, and race for the folder."""
    done = start(warm, tiny_hub, tmp_path, WORLD_SIZE="2")
    done.wait()
    assert done.returncode == 2 and "joined" in done.stderr and not list((tmp_path / "results").rglob("*.json"))
