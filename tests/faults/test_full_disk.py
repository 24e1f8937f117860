"""A disk of 10 MiB that is full: what was there stays, nothing half is left, and one line says so and how to go on."""

from pathlib import Path

import pytest
import torch
from expect import raises
from small_disk import CARD, MIB, contents, model

import medzoo
from medzoo import store
from medzoo.bench.results.store import ResultStore, make_result, predictions, predictions_path
from medzoo.errors import DataContractError, DiskFullError, MedzooError, is_disk_full
from medzoo.recipe_args import run_main
from medzoo.training.run_state import saved_state
from medzoo.zoo.registry.license_acceptance import require_acceptance
from medzoo.zoo.registry.licenses import License

ROOM = [0, 4096, 8192, 100_000, 1_500_000]  # a network takes about 1.5 MB


@pytest.mark.parametrize("left", ROOM)
def test_f28_save(disk, left):
    folder = medzoo.save(model(0), disk.path / "net", card=CARD)
    before, names = contents(folder), disk.names()
    with (
        disk.with_room_for(left),
        raises(DiskFullError, "disk-full"),
    ):
        medzoo.save(model(1), folder, card=CARD)
    assert contents(folder) == before and disk.names() == names and medzoo.check(str(folder)).passed
    medzoo.save(model(1), folder, card=CARD)
    assert contents(folder) != before and medzoo.check(str(folder)).passed


def test_f28_the_message_has_the_free_space(mounted):
    with mounted.with_room_for(500_000), pytest.raises(DiskFullError) as caught:
        free = mounted.free()
        medzoo.save(model(1), mounted.path / "net", card=CARD)
    assert f"more than the {free:,} bytes that are free" in str(caught.value)
    assert is_disk_full(caught.value) and isinstance(caught.value, MedzooError)


@pytest.mark.parametrize("left", [0, 8192, 1_000_000])
def test_f28_convert(disk, drawn, left, fails, monkeypatch, private_home):
    folder = medzoo.convert(drawn[0], "test_resnet-drawn", out=disk.path / "out" / "net")
    before, names = contents(folder), disk.names()
    with disk.with_room_for(left):
        said = fails("convert", drawn[1], "test_resnet-drawn", "--out", folder)
    assert "No space left" in said and "again" in said
    assert contents(folder) == before and disk.names() == names and medzoo.check(str(folder)).passed
    assert contents(medzoo.convert(drawn[1], "test_resnet-drawn", out=folder)) != before


@pytest.mark.slow
def test_f28_convert_in_a_process_of_its_own(mounted, drawn, fails, monkeypatch, apart):
    with mounted.with_room_for(1_000_000):
        said = fails("convert", drawn[1], "test_resnet-drawn", "--out", mounted.path / "out" / "net")
    assert "No space left" in said and mounted.names() == []


@pytest.mark.parametrize("left", [0, 1_000_000])
def test_f28_add(disk, drawn, left, fails, monkeypatch):
    monkeypatch.setenv("MEDZOO_HOME", str(disk.path / "home"))
    words = ["add", drawn[0], "test_resnet-ours", "--license", "mit", "--data", "ours", "--mean", "0.5,0.5,0.5"]
    words += ["--std", "0.5,0.5,0.5", "--size", "64"]
    with disk.with_room_for(left):
        said = fails(*words)
    assert "No space left" in said and disk.names() == []


def test_f28_a_directory_hub(disk, tmp_path, fails, monkeypatch):
    folder = medzoo.save(model(0), tmp_path / "net", card=CARD)
    target = Path(medzoo.push(folder, "lab/net", hub=disk.path))
    before, names = contents(target), disk.names()
    medzoo.save(model(1), folder, card=CARD)
    for left in (0, 1_000_000):
        with disk.with_room_for(left):
            said = fails("push", folder, "lab/net", "--hub", disk.path)
            assert "No space left" in said
            monkeypatch.setenv("MEDZOO_HUB", str(disk.path))
            said = fails("fetch", folder, "--to", disk.path)
            assert "No space left" in said
            monkeypatch.delenv("MEDZOO_HUB")
        assert contents(target) == before and disk.names() == names
    medzoo.push(folder, "lab/net", hub=disk.path)
    assert contents(target) != before


@pytest.mark.parametrize("left", [0, 8192, 300_000])
def test_f28_a_training_state(disk, left):
    layer = torch.nn.Linear(300, 300)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    layer(torch.ones(1, 300)).sum().backward()

    def save(step: int) -> None:
        optimizer.step()
        saved_state.save_state(disk.path, step, model=layer, optimizer=optimizer, best={}, facts={})

    save(1)
    weight, names = layer.weight.detach().clone(), disk.names()
    with disk.with_room_for(left), raises(DiskFullError, "disk-full", match="step-000000002"):
        save(2)
    state, skipped = saved_state.load_state(disk.path)
    assert state.step == 1 and skipped == [] and torch.equal(state.tensors["model"]["weight"], weight)
    assert disk.names() == names
    save(3)
    assert saved_state.load_state(disk.path)[0].step == 3


@pytest.mark.slow
def test_f28_a_run_that_fills_the_disk_goes_on_later(mounted, tiny_hub, tmp_path, capsys, monkeypatch):
    from medzoo.bench.run import CellOptions, run_cell
    from medzoo.recipe_args import parse
    from medzoo.training.run_state import run_folder

    monkeypatch.setattr(run_folder, "SAVE_SECONDS", 0.0)
    words = ["--checkpoint", "lab/tiny", "--hub", str(tiny_hub), "--task", "phantom_oct,n=60,n_validation=24,n_test=40"]
    words += ["--size", "32", "--epochs", "2", "--batch-size", "16", "--precision", "fp32", "--device", "cpu"]
    words += ["--out", str(mounted.path / "run"), "--results", str(tmp_path / "results")]
    (options,) = parse([CellOptions], "", words)
    with mounted.with_room_for(5 * MIB), pytest.raises(SystemExit) as stop:  # for one state of 4.5 MB, not for two
        run_main(lambda: run_cell(options))
    said = capsys.readouterr().err
    assert stop.value.code == 1 and "error: No space left for" in said and "Traceback" not in said
    assert not list((tmp_path / "results").rglob("*@*/**/*.json"))
    names = [path.name for path in (mounted.path / "run" / "resume").iterdir()]
    assert names and not [name for name in names if name.startswith(".tmp-")]
    monkeypatch.setattr(run_folder, "SAVE_SECONDS", 120.0)
    outcome = run_cell(options)
    assert outcome.result["status"] == "ok" and outcome.result["train"]["resumes"] == 1


def result(value: float):
    """A result and its predictions."""
    identity = {
        "task": {"id": "phantom_oct", "version": "1"},
        "dataset": {"fingerprint": "f", "split_hash": "s", "preprocess_hash": "p", "label_policy": None},
        "checkpoint": {"id": "resnet18-imagenet", "weights_sha256": "0" * 64, "arch": "resnet18", "init": "stored"},
        "protocol": {"id": "medzoo", "hash": "1" * 64, "label_fraction": 1.0, "mode": "finetune", "size": 28},
        "seed": 0, "fold": None,
    }  # fmt: skip
    import numpy as np

    from medzoo.bench import metrics

    rng = np.random.default_rng(int(value * 100))
    ids = [f"image{number}" for number in range(3000)]
    labels, scores = np.arange(3000) % 2, rng.random(3000)
    table = predictions(("a", "b"), "binary", ids, ids, labels, scores)
    rows = metrics.compute("binary", ("a", "b"), labels[:20], scores[:20], ids[:20])
    row = make_result(
        identity, status="ok", metric="auroc", metrics=rows, predictions=table,
        selection={"split": "validation", "metric": "auroc", "n_candidates": 1, "test_evaluations": 1},
        train={"steps": 1, "counts": {"train": 8}},
        environment={
            "medzoo": "0", "python": "3", "torch": "2", "timm": "1", "cuda": None, "platform": "Linux",
            "device": {"name": "x86_64", "count": 1}, "precision": "fp32", "deterministic": True,
        },
    )  # fmt: skip
    return row, table


@pytest.mark.parametrize("left", [0, 4096, 40_000])
def test_f42_a_result(disk, left):
    shelf = ResultStore(disk.path / "results")
    row, table = result(0.5)
    with disk.with_room_for(left), pytest.raises(OSError) as caught:
        shelf.put(row, table)
    assert is_disk_full(caught.value)
    assert shelf.all() == [] and [name for name in disk.names() if not name.endswith(".parquet")] == []
    path = shelf.put(row, table)
    assert store.sha256_file(predictions_path(path)) == row["predictions"]["sha256"]
    names = disk.names()
    with disk.with_room_for(left), pytest.raises(OSError):
        shelf.put(*result(0.7))
    assert [found for found, _ in shelf.all(replicates=True)] == [path] and disk.names() == names


def test_f28_a_full_home_forgets_and_asks_again(mounted, tmp_path, monkeypatch):
    """Receipts and consents are remembered where there is room; where there is none, work goes on without."""
    folder = medzoo.save(model(0), tmp_path / "net", card=CARD)
    monkeypatch.setenv("MEDZOO_HOME", str(mounted.path / "home"))
    terms = License("cc-by-nc-4.0", redistributable=True, url="https://example.org")
    with mounted.with_room_for(0):
        medzoo.load(str(folder))
        require_acceptance("x", terms, accepted=True)
        assert mounted.names() == []
    require_acceptance("x", terms, accepted=True)
    require_acceptance("x", terms)


def test_f28_decoded_images(disk):
    from medzoo.data.decode_cache.cache import decoded
    from medzoo.data.task_registry import load_task

    task = load_task("phantom_oct,n=300,n_validation=4,n_test=4")
    with disk.with_room_for(100_000), raises((DataContractError, DiskFullError), "disk-full"):
        decoded(task, "train", size=64, cache_dir=disk.path)
    assert disk.names() == []
    assert decoded(task, "train", size=64, cache_dir=disk.path).images.shape == (300, 64, 64)
