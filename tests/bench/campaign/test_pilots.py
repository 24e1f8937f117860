"""Pilots: what a worker on another machine does after an error that may have broken its GPU."""

import pytest
from expect import raises

from medzoo.bench.campaign import worker as module
from medzoo.bench.campaign.pilots import Pilot
from medzoo.errors import WorkerError


@pytest.fixture
def pilot(make_worker, suite, campaign, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "device_kind", lambda device: "cuda")

    def behave(seed):
        if seed == 1:
            raise RuntimeError("CUDA error: device-side assert triggered")

    worker = make_worker(behave=behave)
    return Pilot(suite, worker.places, worker.cells, campaign.folder, worker.plan, folder=tmp_path)


def test_a_pilot_with_a_broken_gpu_ends_and_the_next_one_goes_on(pilot, make_worker, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with raises(WorkerError, "worker-must-restart", match="device-side assert"):
        pilot()
    assert make_worker.computed.names == [0, 1]
    assert pilot.work() == [] and make_worker.computed.names == [0, 1, 2, 3]
