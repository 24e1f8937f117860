"""Clocks that jump, helper processes that die, and files of other versions: faults by their numbers."""

import json
import os
import shutil
import signal
import time

import pytest
from expect import raises

import medzoo
from medzoo import store
from medzoo.bench.results.store import ResultStore
from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.transforms.apply import Augmentation, InputConvention
from medzoo.errors import ConversionError, IntegrityError, ResumeError, WorkerError
from medzoo.training.inputs import batches
from medzoo.training.run_state import saved_state

DAY = 24 * 3600.0


@pytest.fixture
def folder(tiny_hub, tmp_path):
    shutil.copytree(tiny_hub / "lab" / "tiny", tmp_path / "net")
    return tmp_path / "net"


@pytest.mark.parametrize("jump", [-400 * DAY, -3600, 3600, 400 * DAY])
def test_f43_a_clock_that_jumps_changes_no_verdict(folder, tmp_path, monkeypatch, jump):
    """Receipts, claims and what is newest go by content and number, not by the hour."""
    medzoo.load(str(folder))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump)
    assert medzoo.load(str(folder)).load_receipt.sha256
    with store.claim(tmp_path / "x.claim"):
        assert (tmp_path / "x.claim").exists()
    os.utime(folder / "model.safetensors", (now() + jump, now() + jump))  # looks like another file: it is hashed again
    assert medzoo.load(str(folder)).load_receipt.sha256
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-5] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    with pytest.raises(IntegrityError):
        medzoo.load(str(folder))


def test_f43_the_newest_state_is_the_one_of_most_steps(tmp_path):
    import torch

    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for step in (3, 7):
        saved_state.save_state(tmp_path, step, model=model, optimizer=optimizer, best={}, facts={})
    os.utime(tmp_path / "step-000000007", (1, 1))  # its clock was wrong
    state, skipped = saved_state.load_state(tmp_path)
    assert state.step == 7 and skipped == []


class Dies(batches.Batches):
    def __getitem__(self, number):
        if number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(number)


class Hangs(batches.Batches):
    def __getitem__(self, number):
        if number == 1:
            time.sleep(60)
        return super().__getitem__(number)


@pytest.mark.parametrize("kind", [Dies, Hangs])
def test_f46_a_process_that_makes_batches_dies_or_hangs(kind, monkeypatch):
    import numpy as np

    monkeypatch.setattr(batches, "SILENCE", 2)
    names = [f"i{number}" for number in range(20)]
    rows = Decoded(
        images=np.zeros((20, 16, 16), np.uint8), labels=np.zeros(20, np.int64), ids=names, groups=names, scale=255.0,
        sha256="0" * 64,
    )  # fmt: skip
    source = kind(rows, Augmentation(), InputConvention(), size=16, batch_size=5, seed=0)
    source.set_epoch(0)
    start = time.monotonic()
    with raises(WorkerError, "batch-worker-failed", match="--num-workers"):
        list(source.from_step(0, 1))
    assert time.monotonic() - start < 20


def test_f46_the_process_that_reads_a_foreign_file_is_killed(tmp_path, apart, monkeypatch):
    import torch

    from medzoo.zoo.convert import sandbox

    torch.save({"a": torch.zeros(2)}, tmp_path / "x.pth")
    run = sandbox.subprocess.run

    def killed(command, **options):
        done = run([command[0], "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"], **options)
        assert done.returncode == -signal.SIGKILL
        return done

    monkeypatch.setattr(sandbox.subprocess, "run", killed)
    with raises(ConversionError, "reader-killed"):
        medzoo.convert(tmp_path / "x.pth", "resnet18-imagenet", out=tmp_path / "f")
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("schema", ["medzoo.folder/0", "medzoo.folder/4", "medzoo.folder/99"])
def test_f48_a_folder_of_another_version(folder, schema):
    path = folder / "config.json"
    rows = json.loads(path.read_text())
    rows["medzoo"] |= {"schema": schema, "a_field_of_the_future": 1}
    path.write_text(json.dumps(rows))
    for read in (lambda: medzoo.load(str(folder)), lambda: medzoo.push(folder, "lab/x", dry_run=True)):
        with raises(IntegrityError, "other-folder-schema"):
            read()


def test_f48_a_result_of_another_version_stays_where_it_is(tmp_path):
    """An older medzoo on a shared store must not clear away what a newer one wrote."""
    path = tmp_path / "task@1" / "net" / "p" / f"{'0' * 16}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"schema": "medzoo.result/2", "anything": 1}))
    with pytest.warns(UserWarning, match=r"medzoo\.result/2.*Update"):
        assert ResultStore(tmp_path).all() == []
    assert path.is_file() and not (tmp_path / "quarantine").exists()


def test_f48_a_training_state_without_a_manifest(tmp_path):
    """The form before manifests: nothing says that it was written to its end."""
    old = tmp_path / "step-000000001"
    old.mkdir()
    (old / "facts.json").write_text("{}")
    with raises(ResumeError, "states-damaged"):
        saved_state.load_state(tmp_path)
