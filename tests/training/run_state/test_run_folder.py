"""A run folder belongs to one run and one process, and loses nothing."""

import json
import os
import signal
import subprocess
import sys
import tomllib

import pytest
from expect import raises
from hypothesis import given
from hypothesis import strategies as st

from medzoo.errors import ResumeError, RunFolderError
from medzoo.training.options.toml_files import to_toml
from medzoo.training.run_state.run_folder import Interrupted, RunFolder

IDENTITY = {"task": "oct", "seed": 0}


def test_a_folder_of_strangers_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with raises(RunFolderError, "run-folder-not-empty"), RunFolder(tmp_path, "finetune", IDENTITY, {}).open():
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_f40_another_run_is_named_and_left_alone(tmp_path):
    with RunFolder(tmp_path / "run", "finetune", IDENTITY, {"seed": 0}).open() as run:
        run.log({"step": 1})
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with raises(RunFolderError, "folder-of-other-run"):
        with RunFolder(tmp_path / "run", "finetune", {**IDENTITY, "seed": 1}, {}).open():
            pass
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}


def test_never_wants_a_new_folder(tmp_path):
    with RunFolder(tmp_path, "finetune", IDENTITY, {}, resume="never").open():
        pass
    with raises(RunFolderError, "run-exists", match="--resume auto"):
        with RunFolder(tmp_path, "finetune", IDENTITY, {}, resume="never").open():
            pass


def test_f41_two_processes_do_not_share_a_folder(tmp_path):
    with RunFolder(tmp_path, "finetune", IDENTITY, {}).open():
        with raises(RunFolderError, "lock-held"), RunFolder(tmp_path, "finetune", IDENTITY, {}).open():
            pass


def test_a_dead_owner_is_no_owner(tmp_path):
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    import socket

    (tmp_path / ".claim").write_text(json.dumps({"host": socket.gethostname(), "pid": int(child.stdout)}))
    with RunFolder(tmp_path, "finetune", IDENTITY, {}).open() as run:
        assert run.status()["state"] == "running"


@pytest.mark.parametrize(
    ("error", "state"),
    [(None, "done"), (ValueError("x"), "failed"), (KeyboardInterrupt(), "resumable")],
)
def test_every_end_is_noted(tmp_path, error, state):
    try:
        with RunFolder(tmp_path, "finetune", IDENTITY, {}).open():
            if error:
                raise error
    except BaseException as caught:
        assert caught is error
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["state"] == state and not (tmp_path / ".claim").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_asks_the_run_to_stop(tmp_path, number, code):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as stop, RunFolder(tmp_path, "finetune", IDENTITY, {}).open() as run:
        assert run.stop_reason(1) is None
        os.kill(os.getpid(), number)
        assert run.stop_reason(2) == signal.Signals(number).name
        raise run.interrupted()
    assert stop.value.code == code and "same command" in str(stop.value)
    assert signal.getsignal(number) is before


def test_a_second_interrupt_does_not_wait(tmp_path):
    with pytest.raises(KeyboardInterrupt), RunFolder(tmp_path, "finetune", IDENTITY, {}).open():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "resumable"


def test_a_dead_launcher_stops_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    run = RunFolder(tmp_path, "finetune", IDENTITY, {})
    assert run.stop_reason(1) is None
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert "launcher" in (run.stop_reason(2) or "")


def test_the_log_survives_a_cut_line_and_rewinds(tmp_path):
    run = RunFolder(tmp_path, "finetune", IDENTITY, {})
    for step in (10, 20, 30):
        run.log({"step": step})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 4')
    run.rewind(20)
    assert [row["step"] for row in run.rows()] == [10, 20]


def test_a_wrong_resume_path_is_an_error(tmp_path):
    with raises(ResumeError, "resume-folder-missing"):
        _ = RunFolder(tmp_path, "finetune", IDENTITY, {}, resume=str(tmp_path / "nowhere")).source


VALUES = st.one_of(
    st.text(), st.integers(-(2**60), 2**60), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)
)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.one_of(VALUES, st.lists(VALUES))))
def test_options_survive_toml(options):
    assert tomllib.loads(to_toml(options)) == options


def test_a_run_that_failed_before_it_had_anything_gives_its_folder_up(tmp_path):
    with pytest.raises(ValueError), RunFolder(tmp_path, "finetune", IDENTITY, {}).open():
        raise ValueError
    with RunFolder(tmp_path, "finetune", {**IDENTITY, "seed": 1}, {}).open() as run:
        (tmp_path / "result.json").write_text("{}")
    assert run.status()["identity"]["seed"] == 1
    with pytest.raises(RunFolderError), RunFolder(tmp_path, "finetune", IDENTITY, {}).open():
        pass


def test_four_label_policies_are_four_identities_of_one_split(tmp_path):
    from medzoo.data.tasks import chexpert
    from medzoo.store import sha256_of
    from medzoo.training.options.shared import SharedOptions, open_task, task_identity

    chexpert.fake(tmp_path, 40)
    found = []
    for policy in ("mask", "zero", "one", "soft", "soft:0.6:0.8", None):
        options = SharedOptions(task="chexpert", root=str(tmp_path), label_policy=policy)
        found.append(task_identity(open_task(options), options, 32))
    assert len({sha256_of(identity) for identity in found}) == 5  # the usual one is mask
    assert len({identity["split_hash"] for identity in found}) == 1
