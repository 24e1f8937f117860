"""Pre-trainings of a suite run at the same time where they can, and give the weights of one after the other."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from expect import raises
from safetensors.torch import load_file

from medzoo.bench.campaign import pretrainings
from medzoo.bench.campaign.local import work_together
from medzoo.bench.campaign.pretrainings import run_pretraining, work_on_steps
from medzoo.bench.suite_options import places_of
from medzoo.bench.suites.read import load_suite
from medzoo.errors import DivergedError
from medzoo.locks import claim

TASK = "phantom_oct,n=8,n_validation=4,n_test=4"
STEP = """
[[pretrain]]
name = "NAME"
method = "supervised"
BASE
task = "phantom_oct,n=8,n_validation=4,n_test=4"
size = 32
epochs = 2
batch_size = 8
precision = "fp32"
"""
BASES = {
    "first": 'architecture = "resnet10t"', "second": 'architecture = "resnet10t"\nseed = 1', "third": 'checkpoint = "first"',
}  # fmt: skip


@pytest.fixture
def suite(tmp_path):
    steps = "".join(STEP.replace("NAME", name).replace("BASE", base) for name, base in BASES.items())
    file = tmp_path / "s.toml"
    file.write_text(
        f'name = "s"\ncheckpoints = ["first"]\n{steps}\n[[tasks]]\nname = "{TASK}"\ntitle = "OCT"\nsize = 32\n'
    )
    return load_suite(file)


@pytest.fixture
def computed(monkeypatch):
    """The names of the steps of this process, in their order, in place of pre-training."""
    names = []

    def compute(options, own):
        names.append(Path(options.out).name)
        return Path(options.out)

    monkeypatch.setattr(pretrainings, "pretrain", compute)
    monkeypatch.setattr("medzoo.zoo.publish.push.push", lambda *_, **__: None)
    return names


def weights(places):
    return {
        name: load_file(places.runs / "pretrain" / name / "checkpoint" / "model.safetensors") for name in BASES
    }  # fmt: skip


def test_a_started_process_gives_the_same_weights(suite, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    one, two = (places_of(suite, tmp_path / name, device="cpu") for name in ("one", "two"))
    run_pretraining(suite, one)
    # this process leaves all to the other one
    work_together(2, lambda: None, pretrainings._work_in_a_child, (suite, two))
    expected, found = weights(one), weights(two)
    assert all(value.equal(found[name][key]) for name, tensors in expected.items() for key, value in tensors.items())
    assert not expected["first"]["conv1.0.weight"].equal(expected["second"]["conv1.0.weight"])
    assert os.getpid() not in {json.loads(path.read_text())["pid"] for path in two.runs.glob("pretrain/*/status.json")}
    assert {path.name for path in (two.hub / "s").iterdir()} == set(BASES)


def test_a_step_of_another_worker_is_left_to_it_and_what_continues_it_waits(suite, tmp_path, computed, monkeypatch):
    places, held = places_of(suite, tmp_path / "out", device="cpu"), []
    other = claim(places.runs.parent / "campaign" / "claims" / "pretrain_first.json")
    other.__enter__()

    def end(seconds):
        held.append(list(computed))
        other.__exit__(None, None, None)

    monkeypatch.setattr(pretrainings, "time", SimpleNamespace(sleep=end))
    work_on_steps(suite, places)
    assert held == [["second"]] and computed == ["second", "first", "third"]


@pytest.mark.parametrize(("device", "gpus", "expected"), [("cpu", 0, 3), ("cuda", 1, 1), ("cuda", 2, 2)])
def test_each_worker_has_a_gpu_of_its_own(suite, tmp_path, monkeypatch, device, gpus, expected):
    counts = []
    monkeypatch.setattr(pretrainings, "device_kind", lambda _: device)
    monkeypatch.setattr(pretrainings.torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(pretrainings, "work_together", lambda count, *_, **__: counts.append(count))
    run_pretraining(suite, places_of(suite, tmp_path / "out", device="cpu"), workers=8)
    assert counts == [expected]


def test_a_step_that_fails_is_an_error_and_its_claim_is_free(suite, tmp_path, monkeypatch):
    def fail(*_):
        raise DivergedError("The loss is nan.", code="loss-not-finite")

    monkeypatch.setattr(pretrainings, "pretrain", fail)
    places = places_of(suite, tmp_path / "out", device="cpu")
    with raises(DivergedError, "loss-not-finite"):
        run_pretraining(suite, places)
    assert not list((places.runs.parent / "campaign" / "claims").iterdir())


def test_a_signal_while_this_process_waits_ends_the_others_too():
    def wait():
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("the signal was not seen")

    before, started = signal.getsignal(signal.SIGTERM), time.monotonic()
    with pytest.raises(SystemExit) as ended:
        work_together(2, wait, time.sleep, (600,))
    assert ended.value.code == 128 + signal.SIGTERM and time.monotonic() - started < 60
    assert signal.getsignal(signal.SIGTERM) == before and not multiprocessing.active_children()
