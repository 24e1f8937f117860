"""Pre-training from shards: the batches of a stream are those of decoded rows, whoever makes them, and a run resumes exactly."""

import json

import numpy as np
import pytest
import torch
from expect import raises

from medzoo.data.decode_cache.cache import decoded
from medzoo.data.shards.write import write_shards
from medzoo.data.task_registry import load_task
from medzoo.data.transforms.apply import Augmentation, InputConvention
from medzoo.errors import DataContractError, UsageError
from medzoo.training.inputs.batches import Batches
from medzoo.training.inputs.shard_batches import StreamBatches, StreamTask
from medzoo.training.inputs.views import View
from medzoo.training.pretrain import PretrainOptions, pretrain
from medzoo.training.run_state.run_folder import Interrupted, RunFolder

LAW = Augmentation(min_area=0.5, flip=0.5, brightness=0.2, contrast=0.2, blur=0.3)
TASKS = {
    "oct": "phantom_oct,n=36,n_validation=6,n_test=6,image_size=24",
    "ct": "phantom_ct,n=36,n_validation=6,n_test=6",  # 16 bit
    "natural": "phantom_natural,n=36,n_validation=10,n_test=10,image_size=24",  # colour
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("shards")
    for name, task in TASKS.items():
        write_shards(load_task(task), place / name, images_per_shard=7, progress=False)
    write_shards(load_task(TASKS["oct"]), place / "tar", images_per_shard=7, format="webdataset", progress=False)
    return place


def batches(folder, **options):
    task = StreamTask(str(folder))
    usual = {"size": 20, "batch_size": 12, "seed": 0}
    views = [View(LAW)] * options.pop("views", 2)
    return StreamBatches(task, views, InputConvention(), **{**usual, **options})


@pytest.mark.parametrize("name", TASKS)
def test_a_batch_is_that_of_decoded_rows(folders, name):
    stream = batches(folders / name)
    rows = decoded(load_task(f"shards:{folders / name}"), "train", size=20)
    made = Batches(rows, [View(LAW)] * 2, InputConvention(), size=20, batch_size=12, seed=0)
    for epoch in (0, 4):
        stream.set_epoch(epoch)
        made.set_epoch(epoch)
        for batch in stream.from_step(0, 0):
            same = made.batch_of(rows, batch["index"], batch["index"])
            assert all(torch.equal(one, two) for one, two in zip(batch["views"], same["views"], strict=True))
            assert torch.equal(batch["label"], same["label"])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("name", ["oct", "tar"])
def test_processes_and_workers_share_an_epoch(folders, name, world, workers):
    parts = []
    for rank in range(world):
        stream = batches(folders / name, rank=rank, world=world, size=8, views=1)
        stream.set_epoch(3)
        parts.append(list(stream.from_step(0, workers)))
    assert {len(part) for part in parts} == {3} == {len(stream)}
    numbers = [int(number) for part in parts for batch in part for number in batch["index"]]
    assert sorted(numbers) == list(range(36))
    alone = batches(folders / name, rank=world - 1, world=world, size=8, views=1)
    alone.set_epoch(3)
    for number, batch in enumerate(parts[-1]):  # whoever makes it, batch k is the same
        same = alone[number]
        assert torch.equal(batch["image"], same["image"]) and (batch["index"] == same["index"]).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_f38_a_stream_goes_on_from_any_batch(folders, workers):
    stream = batches(folders / "oct", batch_size=4, size=8, views=1)
    stream.set_epoch(1)
    whole = [batch["image"] for batch in stream.from_step(0, 0)]
    for first in range(len(whole)):
        rest = [batch["image"] for batch in stream.from_step(first, workers)]
        assert len(rest) == len(whole) - first
        assert all(torch.equal(one, two) for one, two in zip(rest, whole[first:], strict=True))


def test_soft_labels_follow_seed_epoch_and_row(tmp_path):
    from PIL import Image

    lines = ["image,patient,oedema,mass,split"]
    for n in range(16):
        Image.fromarray(np.full((8, 8), n, np.uint8)).save(tmp_path / f"{n}.png")
        lines.append(f"{n}.png,p{n},{('1', '0', '-1', '')[n % 4]},{n // 4 % 2},{'train' if n < 12 else 'val'}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    task = load_task(f"folder:{tmp_path}", label_policy="soft")
    write_shards(task, tmp_path / "s", images_per_shard=5, progress=False)
    rows = decoded(load_task(f"shards:{tmp_path / 's'}", label_policy="soft"), "train", size=8)
    shards = StreamTask(str(tmp_path / "s"), label_policy="soft")
    stream = StreamBatches(shards, LAW, InputConvention(), size=8, batch_size=6, seed=1)
    stream.set_epoch(2)
    for batch in stream.from_step(0, 0):
        wanted = rows.labels_of(batch["index"], seed=1, epoch=2)
        assert np.array_equal(batch["label"].numpy(), wanted, equal_nan=True)


@pytest.mark.parametrize("option", [{"fraction": 0.5}, {"fold": 0}, {"split_file": "x.json"}, {"groups": "none"}])
def test_options_that_choose_rows_belong_to_the_writer(folders, tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.json").write_text("{}")
    with raises(UsageError, "option-not-for-shards"):
        pretrain(
            PretrainOptions(
                method="simclr",
                task=f"shards:{folders / 'oct'}",
                architecture="resnet10t",
                out=str(tmp_path / "run"),
                **option,
            )
        )
    with raises(DataContractError, "shard-index-missing"):
        StreamTask(str(folders))


def options(tiny_hub, folder, task, **changes):
    usual = {
        "method": "simclr", "checkpoint": "lab/tiny", "hub": str(tiny_hub), "task": f"shards:{task}", "size": 32, "epochs": 2,
        "batch_size": 9, "precision": "fp32", "out": str(folder), "license": "apache-2.0", "device": "cpu",
    }  # fmt: skip
    return PretrainOptions(**{**usual, **changes})


def weights(folder):
    return (folder / "checkpoint" / "model.safetensors").read_bytes()


def test_pretraining_from_shards_resumes_bit_for_bit(tiny_hub, tmp_path, folders, monkeypatch):
    straight = pretrain(options(tiny_hub, tmp_path / "straight", folders / "oct"))
    init = RunFolder.__init__
    for stop in (1, 3, 5):
        with monkeypatch.context() as patch:
            patch.setattr(
                RunFolder,
                "__init__",
                lambda self, *a, stop=stop, **k: (init(self, *a, **k), setattr(self, "stop_at_step", stop))[0],
            )
            with pytest.raises(Interrupted):
                pretrain(options(tiny_hub, tmp_path / f"cut{stop}", folders / "oct"))
        again = pretrain(options(tiny_hub, tmp_path / f"cut{stop}", folders / "oct", num_workers=2))
        assert weights(again) == weights(straight)
    status = json.loads((straight / "status.json").read_text())
    assert status["identity"]["task"]["id"] == "shards:oct"
    config = json.loads((straight / "checkpoint" / "config.json").read_text())
    assert config["medzoo"]["lineage"][-1]["images"] == 36


def test_supervised_pretraining_from_shards(tiny_hub, tmp_path, folders):
    folder = pretrain(options(tiny_hub, tmp_path / "run", folders / "natural", method="supervised", epochs=1))
    assert len(json.loads((folder / "checkpoint" / "config.json").read_text())["label_names"]) == 10
