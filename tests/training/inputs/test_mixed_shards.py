"""Shards in a mix: images are those of decoded rows, the order is that of one process, and few shards are in memory."""

from collections import Counter

import numpy as np
import pytest
import torch
from tiny import decoded_rows

from medzoo.data.decode_cache.cache import decoded
from medzoo.data.shards.stream import MIX, ShardStream
from medzoo.data.shards.write import write_shards
from medzoo.data.task_registry import load_task
from medzoo.data.transforms.apply import Augmentation, InputConvention
from medzoo.training.inputs.batches import Batches
from medzoo.training.inputs.mixed_batches import MixedBatches, shares
from medzoo.training.inputs.shard_batches import StreamTask
from medzoo.training.inputs.streamed_rows import StreamedRows
from medzoo.training.inputs.views import View

LAW = Augmentation(min_area=0.5, flip=0.5, brightness=0.2)
TASKS = {
    "oct": "phantom_oct,n=36,n_validation=6,n_test=6,image_size=24",
    "ct": "phantom_ct,n=15,n_validation=6,n_test=6",
}
LENGTHS = {"oct": 36, "ct": 15, "rows": 21}
TOTAL = sum(LENGTHS.values())


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("shards")
    for name, task in TASKS.items():
        write_shards(load_task(task), place / name, images_per_shard=4, progress=False)
    return place


def mixed(folders, weights=(36, 15, 21), **options):
    """Two folders of shards, of 8 and 16 bits, and decoded rows."""
    usual = {"size": 16, "batch_size": 6, "seed": 3, **options}
    streams = [StreamedRows(StreamTask(str(folders / name)), size=16, seed=usual["seed"]) for name in TASKS]
    return MixedBatches([*streams, decoded_rows(21)], weights, [View(LAW)] * 2, InputConvention(), **usual)


def names_of(batches, epoch):
    batches.set_epoch(epoch)
    return [name for number in range(len(batches)) for name in batches.ids_of(batches[number]["index"])]


@pytest.mark.parametrize("weights", [(36, 15, 21), (1, 8, 1), (1, 1e-9, 1), (1e-9, 1, 1e-9)])
def test_weights_are_shares_of_every_epoch(folders, weights):
    batches = mixed(folders, weights)
    orders = []
    for epoch in range(2):
        found = Counter(names := names_of(batches, epoch))
        orders.append(names)
        for number, name in enumerate(LENGTHS):
            own = [
                count for key, count in found.items() if key.startswith("i" if name == "rows" else f"shards:{name} ")
            ]
            assert sum(own) == shares(weights, TOTAL)[number]
            own += [0] * (LENGTHS[name] - len(own))
            assert max(own) - min(own) <= 1, "a repeated data set comes as a whole before it comes again"
    assert orders[0] == names_of(batches, 0)
    for name in TASKS:  # each pass over shards has an order of its own
        own = [[key for key in order if key.startswith(f"shards:{name} ")] for order in orders]
        assert own[0] != own[1] or len(own[0]) < 2
        second = own[0][LENGTHS[name] :][: LENGTHS[name]]
        assert second != own[0][: len(second)] or len(second) < 2


@pytest.mark.parametrize("weights", [(36, 15, 21), (1, 8, 1)])
def test_an_image_is_that_of_its_own_data_set(folders, weights):
    """Views and labels; also of an image that comes again in an epoch."""
    batches = mixed(folders, weights, batch_size=24)
    rows = [*(decoded(load_task(f"shards:{folders / name}"), "train", size=16) for name in TASKS), decoded_rows(21)]
    starts = np.cumsum([0, *LENGTHS.values()])
    for epoch in (0, 2):
        batches.set_epoch(epoch)
        for batch in batches.from_step(0, 0):
            for place, number in enumerate(batch["index"]):
                source = np.searchsorted(starts, number % TOTAL, side="right") - 1
                own = number % TOTAL - starts[source]
                alone = Batches(rows[source], [View(LAW)] * 2, InputConvention(), size=16, batch_size=2, seed=3)
                alone.set_epoch(epoch)
                same = alone.batch_of(rows[source], np.array([own]), np.array([number]))
                assert all(
                    torch.equal(one[place], two[0]) for one, two in zip(batch["views"], same["views"], strict=True)
                )
                assert batch["label"][place] == rows[source].labels[own]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("world", [2, 3])
def test_processes_and_workers_share_the_order_of_one(folders, world, workers):
    alone = mixed(folders, (1, 8, 1))
    alone.set_epoch(1)
    whole = [alone[number] for number in range(len(alone))]
    parts = []
    for rank in range(world):
        batches = mixed(folders, (1, 8, 1), rank=rank, world=world)
        batches.set_epoch(1)
        parts.append(list(batches.from_step(2, workers)))
    for one, *several in zip(whole[2:], *parts, strict=True):
        for rank, part in enumerate(several):
            assert (part["index"] == one["index"][rank::world]).all()
            assert all(torch.equal(a, b[rank::world]) for a, b in zip(part["views"], one["views"], strict=True))


def test_a_batch_does_not_depend_on_what_was_asked_before(folders):
    batches = mixed(folders, (1, 8, 1))
    whole = [batches[number] for number in range(len(batches))]
    for number in (7, 2, 11, 0):
        batches.sample(20)
        again = batches[number]
        assert (again["index"] == whole[number]["index"]).all()
        assert all(torch.equal(one, two) for one, two in zip(again["views"], whole[number]["views"], strict=True))


def test_few_shards_are_in_memory_and_each_is_read_once(folders, monkeypatch):
    opened, most = Counter(), []
    original = ShardStream._opened

    def counted(self, number):
        new = number not in self._open
        made = original(self, number)
        opened[(self.folder.name, self.epoch, number)] += new
        most.append(len(self._open))
        return made

    monkeypatch.setattr(ShardStream, "_opened", counted)
    batches = mixed(folders)
    for epoch in range(2):
        names_of(batches, epoch)
    assert max(most) <= MIX and max(opened.values()) == 1
    assert len(opened) > 2 * (36 + 15) / 4 - MIX


def test_a_sample_has_images_of_every_data_set(folders):
    sample = mixed(folders).sample(24)
    assert [len(part.ids) for part in sample] == [12, 5, 7]


def test_labels_that_are_not_used_are_0(folders):
    batch = mixed(folders, labels=False)[0]
    assert batch["label"].dtype == torch.int64 and not batch["label"].any()


def test_soft_labels_follow_seed_epoch_and_row(tmp_path):
    from PIL import Image

    lines = ["image,patient,oedema,mass,split"]
    for n in range(16):
        Image.fromarray(np.full((8, 8), n, np.uint8)).save(tmp_path / f"{n}.png")
        lines.append(f"{n}.png,p{n},{('1', '0', '-1', '')[n % 4]},{n // 4 % 2},{'train' if n < 12 else 'val'}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    write_shards(
        load_task(f"folder:{tmp_path}", label_policy="soft"), tmp_path / "s", images_per_shard=5, progress=False
    )
    rows = decoded(load_task(f"shards:{tmp_path / 's'}", label_policy="soft"), "train", size=8)
    stream = StreamedRows(StreamTask(str(tmp_path / "s"), label_policy="soft"), size=8, seed=1)
    for epoch in (2, 3):
        made, numbers = stream.rows(np.full(12, 5), np.arange(12), epoch)
        assert np.array_equal(made.labels, rows.labels_of(numbers, seed=1, epoch=epoch), equal_nan=True)
