"""Processes of one machine: each sees its own GPU, and a stopped one ends without a traceback."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from medzoo.bench.campaign import local
from medzoo.training.run_state.run_folder import Interrupted


@pytest.mark.parametrize(
    ("visible", "count", "seen"), [(None, 3, ["1", "2"]), ("5,7", 2, ["7", "5"]), (None, 1, [None, None])]
)
def test_each_process_is_started_with_its_gpu(monkeypatch, visible, count, seen):
    """The variable is set before the process exists: to look for GPUs could start CUDA there."""
    monkeypatch.delenv(local.DEVICES, raising=False)
    if visible is not None:
        monkeypatch.setenv(local.DEVICES, visible)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    started = []

    def process(**_):
        start = lambda: started.append(os.environ.get(local.DEVICES))  # noqa: E731
        return SimpleNamespace(start=start, join=lambda: None, exitcode=0)

    monkeypatch.setattr(local.multiprocessing, "get_context", lambda kind: SimpleNamespace(Process=process))
    local.work_together(3, lambda: None, print, ())
    assert started == seen and os.environ.get(local.DEVICES) == visible


def test_a_stopped_process_says_so_in_one_line(monkeypatch):
    monkeypatch.setattr(local.signal, "signal", lambda *_: None)
    said = []
    monkeypatch.setattr(local.progress, "say", said.append)

    def work():
        raise Interrupted("SIGTERM", 143, Path("runs/x"))

    with pytest.raises(SystemExit) as ended:
        local._start(work, ())
    assert ended.value.code == 143 and len(said) == 1 and "SIGTERM" in said[0]
