"""Trackers get the rows of the log, also over a stop and a resume, and never end a training."""

import importlib.util
import json

import pytest
from expect import raises
from loop_samples import PLAN, fit, objective_of

from medzoo.errors import MissingExtraError
from medzoo.training.accelerator import make_accelerator
from medzoo.training.run_state import tracker
from medzoo.training.run_state.run_folder import Interrupted, RunFolder
from medzoo.training.run_state.tracker import Tracker, check_tracker

TRACKERS = ("tensorboard", "trackio", "wandb")


def train(folder, name, net, make_batches, stop=None):
    objective, views = objective_of("supervised", net)
    run = RunFolder(folder, "finetune", {"seed": 0}, {"epochs": 3, "size": None, "classes": ("a", "b")})
    run.tracker = Tracker(name, run.path, "a title", run.options)
    run.stop_at_step = stop
    with run.open():
        fit(objective, make_batches(views), PLAN, run, make_accelerator("fp32", "cpu"), validate=lambda: (0.5, 1.0))
    return run


def test_tensorboard_shows_the_log_once_after_a_stop_and_a_resume(tmp_path, tiny_net, make_batches):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(Interrupted):
        train(tmp_path / "run", "tensorboard", tiny_net, make_batches, stop=5)
    run = train(tmp_path / "run", "tensorboard", tiny_net, make_batches)
    shown = EventAccumulator(str(run.path / "tensorboard")).Reload()
    rows = [row for row in run.rows() if "loss" in row]
    assert rows and {"loss", "score", "learning_rate", "validation_loss"} <= set(shown.Tags()["scalars"])
    for key in ("loss", "score", "learning_rate"):
        logged = [(row["step"], row[key]) for row in run.rows() if key in row]
        events = [(event.step, pytest.approx(event.value)) for event in shown.Scalars(key)]
        assert events == logged


def test_a_tracker_that_fails_does_not_end_the_training(tmp_path, tiny_net, make_batches, monkeypatch):
    class Broken:
        calls = 0

        def start(self):
            pass

        store_init_configuration = finish = start

        def log(self, values, step):
            Broken.calls += 1
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Tracker, "_make", lambda self, step: Broken())
    monkeypatch.setattr(Broken, "store_init_configuration", lambda self, values: json.dumps(values))
    with pytest.warns(UserWarning, match="No space left on device") as warned:
        run = train(tmp_path / "run", "wandb", tiny_net, make_batches)
    assert run.status()["state"] == "done" and [row for row in run.rows() if "loss" in row]
    assert Broken.calls == 1 and len(warned) == 1


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_that_is_not_installed_is_refused_before_the_training(name, monkeypatch):
    monkeypatch.setattr(tracker, "find_spec", lambda package: None)
    with raises(MissingExtraError, f"missing-{name}"):
        check_tracker(name)
    check_tracker("none")


@pytest.mark.parametrize("name", TRACKERS)
def test_every_tracker_exists_in_accelerate(name):
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    assert name in LOGGER_TYPE_TO_CLASS


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="needs wandb")
def test_wandb_writes_into_the_run_folder_without_a_network(tmp_path, tiny_net, make_batches, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    run = train(tmp_path / "run", "wandb", tiny_net, make_batches)
    assert list((run.path / "wandb").glob("offline-run-*/*.wandb"))


@pytest.mark.skipif(importlib.util.find_spec("trackio") is None, reason="needs trackio")
def test_trackio_keeps_the_run(tmp_path, tiny_net, make_batches, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    train(tmp_path / "run", "trackio", tiny_net, make_batches)
    assert list((tmp_path / "trackio").glob("*.db"))
