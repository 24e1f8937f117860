"""Pilots through Parsl: the user's configuration, and a real campaign with a worker that is killed."""

import os
import sys

import pytest
from expect import raises

from medzoo.bench.campaign.parsl import ParslScheduler, read_config, run_pilot
from medzoo.errors import MissingExtraError, UsageError, WorkerError


def test_without_parsl(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "parsl", None)
    with raises(MissingExtraError, "missing-parsl") as caught:
        ParslScheduler(tmp_path, 2)
    assert "medzoo[parsl]" in str(caught.value)


def test_the_users_file_has_a_config_object(tmp_path):
    pytest.importorskip("parsl")
    file = tmp_path / "mine.py"
    with raises(UsageError, "parsl-config-missing"):
        read_config(file)
    for text in ("", "config = {}", "settings = 1"):
        file.write_text(text)
        with raises(UsageError, "parsl-config-invalid"):
            read_config(file)
    file.write_text("from parsl.config import Config\nconfig = Config(retries=7)\n")
    assert read_config(file).retries == 7


def test_jobs_of_an_earlier_process_have_ended(tmp_path):
    pytest.importorskip("parsl")
    assert ParslScheduler(tmp_path, 1).is_active(["1"]) is False


def test_a_process_with_a_broken_gpu_is_not_used_again(monkeypatch):
    exits = []
    monkeypatch.setattr(os, "_exit", exits.append)

    def pilot(code):
        def work():
            raise WorkerError("", code=code)

        return work

    run_pilot(pilot("worker-must-restart"))
    assert exits == [1]
    with raises(WorkerError, "pilots-gone"):
        run_pilot(pilot("pilots-gone"))
