"""What can reach a worker of a DataLoader goes there however workers begin: by fork, anew (spawn), or from a server."""

import copy
import multiprocessing
import os
import pickle
import sys
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

import medzoo
from medzoo.data.decode_cache.cache import decoded
from medzoo.data.decode_cache.rows import Rows
from medzoo.data.images.pixels import Pixels
from medzoo.errors import UsageError
from medzoo.training.inputs import batches as batches_module
from medzoo.training.inputs.batches import Batches
from medzoo.training.inputs.input_transform import Transform

TRANSFORMS = {
    "plain": {}, "train": {"train": True}, "size": {"size": 40}, "numbers": {"window": (0, 4095)}, "lung": {"window": "lung"},
}  # fmt: skip


class Images(Dataset):
    """As people write it."""

    def __init__(self, view, count=6):
        self.view, self.count = view, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.view(np.random.default_rng(index).integers(0, 256, (24, 24), dtype=np.uint8))


def image():
    return np.random.default_rng(0).integers(0, 256, (24, 30), dtype=np.uint8)


def drawn(view, given):
    torch.manual_seed(5)
    return view(given)


@pytest.mark.parametrize("kind", TRANSFORMS)
@pytest.mark.parametrize("name", ["resnet18_cifar-random", "densenet121-cxr_all_xrv", "resnet50-simclr-radnet12m"])
def test_a_transform_is_plain_data(kind, name):
    view = medzoo.transform(name, **{"size": 24, **TRANSFORMS[kind]})
    for again in (pickle.loads(pickle.dumps(view)), copy.deepcopy(view), copy.copy(view)):
        assert isinstance(again, Transform) and again == view and hash(again) == hash(view)
        given = Pixels(image().astype(np.int16), (-1024, 3071), "HU") if kind == "lung" else image()
        assert torch.equal(drawn(again, given), drawn(view, given))
    facts = medzoo.info(name).input
    assert (view.mean, view.std, view.rule, view.clip) == (facts.mean, facts.std, facts.rule, facts.clip)
    shown = repr(view)
    assert shown.startswith("Transform(") and all(
        f"{key}=" in shown for key in ("size", "mean", "std", "rule", "window", "train")
    )
    assert view != replace(view, train=not view.train) and view != replace(view, size=view.size + 1)
    with pytest.raises(FrozenInstanceError):
        view.size = 3
    with pytest.raises(UsageError):
        replace(view, size=0)


def test_a_transform_of_a_model_is_that_of_its_name(tiny_hub):
    model = medzoo.load("lab/tiny", hub=tiny_hub)
    assert medzoo.transform(model) == medzoo.transform("lab/tiny", hub=tiny_hub) != medzoo.transform(model, size=64)


@pytest.mark.slow
def test_workers_that_begin_anew_give_the_same(tmp_path):
    """macOS, Windows, and Python 3.14: nothing of the parent's memory is there."""
    view = medzoo.transform("resnet18_cifar-random", size=16)
    whole = list(DataLoader(Images(view), batch_size=2))
    for start in {"spawn", "forkserver"} & set(multiprocessing.get_all_start_methods()):
        loader = DataLoader(Images(view), batch_size=2, num_workers=1, multiprocessing_context=start)
        assert all(torch.equal(one, other) for one, other in zip(loader, whole, strict=True))
    task = medzoo.load_task("phantom_oct,n=6,n_validation=4,n_test=4")
    rows = Batches(decoded(task, "train", size=16), *law(), size=16, batch_size=2, seed=0)
    rows.set_epoch(1)
    loader = DataLoader(rows, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    assert all(torch.equal(one["image"], rows[number]["image"]) for number, one in enumerate(loader))


@pytest.mark.slow
def test_random_views_in_workers_follow_the_seed_and_the_number_of_workers():
    view = medzoo.transform("resnet18_cifar-random", size=16, train=True)
    made = {}
    for start, workers in (("fork", 1), ("spawn", 1), ("fork", 2)):
        if start in multiprocessing.get_all_start_methods():
            generator = torch.Generator().manual_seed(3)
            loader = DataLoader(
                Images(view, 4), batch_size=1, num_workers=workers, multiprocessing_context=start, generator=generator
            )
            made[start, workers] = torch.cat(list(loader))
    if sys.platform == "linux":
        assert torch.equal(made["fork", 1], made["spawn", 1]) and not torch.equal(made["fork", 1], made["fork", 2])


def law():
    from medzoo.data.transforms.apply import Augmentation, InputConvention

    return Augmentation(min_area=0.5, flip=0.5), InputConvention()


@pytest.mark.parametrize(("platform", "start"), [("linux", "fork"), ("darwin", "spawn"), ("win32", "spawn")])
def test_how_workers_begin(make_batches, monkeypatch, platform, start):
    """fork is absent on Windows and unsafe on macOS."""
    asked = []
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(
        batches_module, "DataLoader", lambda *_, **how: asked.append(how["multiprocessing_context"]) or []
    )
    list(make_batches().from_step(0, 2))
    list(make_batches().from_step(0, 0))
    assert asked == [start, None]


@pytest.mark.skipif(not hasattr(os, "getpgid"), reason="Windows has no process groups")
def test_a_signal_to_the_group_of_a_process_leaves_its_workers(make_batches):
    """torchrun sends SIGTERM to groups; the run saves its state first."""
    batches = make_batches().from_step(0, 2)
    next(batches), next(batches)  # one of each worker
    groups = [os.getpgid(child.pid) for child in multiprocessing.active_children()]
    assert len(groups) == 2 and os.getpgrp() not in groups
    list(batches)


def test_batches_of_mapped_rows_take_no_image_along(tmp_path):
    task = medzoo.load_task("phantom_chest,n=40,n_validation=4,n_test=4")
    data = decoded(task, "train", size=64)
    batches = Batches(data, *law(), size=64, batch_size=4, seed=0)
    written = pickle.dumps(batches)
    assert len(written) < 40 * 64 * 64 / 4  # the rows stay in their file
    again = pickle.loads(written)
    again.set_epoch(2)
    batches.set_epoch(2)
    assert all(torch.equal(again[number]["image"], batches[number]["image"]) for number in range(len(batches)))
    assert (again.data.labels == data.labels).all() and again.data.ids == data.ids


def test_rows_of_arrays_and_of_slices_of_maps_are_the_same_rows(tmp_path):
    np.arange(96, dtype=np.uint8).tofile(tmp_path / "rows")
    mapped = np.memmap(tmp_path / "rows", np.uint8, "r", 0, (6, 4, 4))
    for maps in ([mapped], [mapped[2:]], [np.asarray(mapped)[3:]], [mapped[1:3], np.ones((1, 4, 4, 3), np.uint8)]):
        rows = Rows(maps, [0, len(maps) - 1], [1, 0])
        assert (pickle.loads(pickle.dumps(rows))[:] == rows[:]).all()


def test_streams_go_too(tmp_path):
    from medzoo.data.shards.write import write_shards
    from medzoo.training.inputs.shard_batches import StreamBatches, StreamTask

    for form in ("parquet", "webdataset"):
        write_shards(
            medzoo.load_task("phantom_oct,n=12,n_validation=4,n_test=4"), tmp_path / form, images_per_shard=5, format=form,
            progress=False,
        )  # fmt: skip
        task = StreamTask(str(tmp_path / form))
        batches = StreamBatches(task, *law(), size=16, batch_size=4, seed=0)
        first = batches[0]["image"]  # a shard is open now
        assert torch.equal(pickle.loads(pickle.dumps(batches))[0]["image"], first)


def same_in_another_process(task):
    task.read("train", 0)  # files are open now
    again = pickle.loads(pickle.dumps(task))
    assert again.tables == task.tables and again.fingerprint == task.fingerprint
    for split, table in task.tables.items():
        for row in range(table.num_rows):
            one, other = again.read(split, row), task.read(split, row)
            assert (one[0].array == other[0].array).all() and one[0].range == other[0].range


OWN = {
    "class folders": lambda root: [root / f"{k % 2}" / f"{k}.png" for k in range(8)],
    "a table": lambda root: [root / f"{k}.png" for k in range(8)],
}


@pytest.mark.parametrize("kind", [*OWN, "parquet"])
@pytest.mark.parametrize("window", ["", ",window=0:100"])
def test_tasks_of_ones_own_go_too(kind, window, tmp_path):
    root = tmp_path / "data"
    for number, path in enumerate(OWN.get(kind, OWN["a table"])(root)):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 20 * number, np.uint8)).save(path)
    names = [f"{k}.png,{k % 2},p{k},{('train', 'train', 'validation', 'test')[k // 2]}" for k in range(8)]
    if kind == "a table":
        (root / "labels.csv").write_text("\n".join(["image,label,patient_id,split", *names]))
    if kind == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = [list(column) for column in zip(*[row.split(",") for row in names], strict=True)]
        table = pa.table(dict(zip(("image", "label", "patient_id", "split"), columns, strict=True)))
        pq.write_table(table, root / "data.parquet")
    prefix = "parquet" if kind == "parquet" else "folder"
    task = medzoo.load_task(f"{prefix}:{root}{window}", groups="none" if kind == "class folders" else None)
    same_in_another_process(task)
