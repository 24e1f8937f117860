import json

import pytest
from expect import raises
from shard_samples import written

from medzoo.data.shards import stream as streams
from medzoo.data.shards.stream import ShardStream
from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError, IntegrityError, UsageError

FORMATS = ("parquet", "webdataset")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """48 rows in shards of 7 (and 3 of 20), which no number of processes divides."""
    place = tmp_path_factory.mktemp("shards")
    written(place / "parquet", count=48, per_shard=7)
    written(place / "webdataset", count=48, per_shard=7, format="webdataset")
    written(place / "large", count=48, per_shard=20)
    return place


def sequence(folder, *, epoch=0, first=0, **options):
    """The numbers of rows that a process reads, batch by batch."""
    stream = ShardStream(folder, **{"seed": 0, "batch_size": 12, **options})
    stream.set_epoch(epoch)
    return [[row.number for row in stream.rows(number)] for number in range(first, len(stream))]


def flat(batches):
    return [number for batch in batches for number in batch]


@pytest.mark.parametrize("mix", [1, 2, 100])
@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("name", ["parquet", "webdataset", "large"])
def test_every_process_has_its_equal_share_and_no_row_is_read_twice(folders, name, world, mix):
    for epoch in range(3):
        parts = [sequence(folders / name, epoch=epoch, world=world, rank=rank, mix=mix) for rank in range(world)]
        assert {len(part) for part in parts} == {4} and {len(batch) for part in parts for batch in part} == {
            12 // world
        }
        assert sorted(number for part in parts for number in flat(part)) == list(range(48))


@pytest.mark.parametrize("world", [1, 2, 3])
def test_the_rest_is_another_one_in_each_epoch(folders, world):
    left = []
    for epoch in range(6):
        seen = [
            flat(sequence(folders / "parquet", epoch=epoch, world=world, rank=r, batch_size=18)) for r in range(world)
        ]
        numbers = [number for part in seen for number in part]
        assert len(numbers) == len(set(numbers)) == 36 and len({len(part) for part in seen}) == 1
        left.append(frozenset(range(48)) - set(numbers))
    assert len(set(left)) > 1 and set.union(*map(set, left)) > left[0]


@pytest.fixture(scope="module")
def one_shard(tmp_path_factory):
    """48 rows in one file: only the order inside it can part them."""
    place = tmp_path_factory.mktemp("one")
    written(place / "s", count=48, per_shard=48)
    return place / "s"


def test_within_a_shard_the_rest_and_the_shares_are_others_in_each_epoch(one_shard):
    """Or some rows of a large file were never read, and each process of a launch would always see the same half."""
    left = [set(range(48)) - set(flat(sequence(one_shard, epoch=epoch, batch_size=20))) for epoch in range(4)]
    assert all(len(rest) == 8 for rest in left) and not set.intersection(*left)
    shares = [set(flat(sequence(one_shard, epoch=epoch, world=2, rank=0))) for epoch in range(3)]
    assert all(len(share) == 24 for share in shares) and len(set(map(frozenset, shares))) == 3


def test_any_shard_may_come_first_or_be_left(folders):
    """By epoch and by seed: a fixed order of the files would leave the last ones out for ever, and tie files to processes."""
    folder = folders / "parquet"  # seven shards, of which a batch of 18 leaves two
    by_epoch = [flat(sequence(folder, epoch=epoch, batch_size=18, mix=1)) for epoch in range(8)]
    by_seed = [flat(sequence(folder, seed=seed, batch_size=18, mix=1)) for seed in range(8)]
    for orders in (by_epoch, by_seed):
        assert len({numbers[0] // 7 for numbers in orders}) >= 4
        assert len({number // 7 for numbers in orders for number in set(range(48)) - set(numbers)}) >= 5


@pytest.mark.parametrize("mix", [1, 4])
def test_batches_hold_other_companions_in_each_epoch(folders, mix):
    """Not the same batches in another order."""
    epochs = [{frozenset(batch) for batch in sequence(folders / "parquet", epoch=epoch, mix=mix)} for epoch in range(3)]
    assert not epochs[0] & epochs[1] and not epochs[1] & epochs[2]


def test_orders_differ_by_epoch_and_seed_and_repeat(folders):
    folder = folders / "parquet"
    one = flat(sequence(folder))
    assert one == flat(sequence(folder)) != flat(sequence(folder, epoch=1)) != flat(sequence(folder, seed=1))
    assert one != sorted(one)
    assert flat(sequence(folders / "webdataset")) == one


def test_shards_are_mixed(folders):
    first = sequence(folders / "parquet", mix=4)[0]
    assert len({number // 7 for number in first}) >= 3
    assert len({number // 7 for number in sequence(folders / "parquet", mix=1)[0]}) <= 3


@pytest.mark.parametrize("name", FORMATS)
def test_f38_a_stream_goes_on_from_any_batch(folders, name):
    for world in (1, 3):
        for rank in range(world):
            whole = sequence(folders / name, epoch=2, world=world, rank=rank, batch_size=6)
            for first in range(len(whole) + 1):
                assert (
                    sequence(folders / name, epoch=2, world=world, rank=rank, batch_size=6, first=first)
                    == whole[first:]
                )


@pytest.mark.parametrize("name", FORMATS)
def test_rows_are_those_of_the_task(folders, name):
    task = load_task(f"shards:{folders / name}")
    stream = ShardStream(folders / name, seed=3, batch_size=16)
    for row in stream.rows(1):
        assert (row.id, row.patient_id) == (task.column("train", "id")[row.number], task.groups("train")[row.number])
        assert row.label == task.labels("train")[row.number]
        assert row.image == task.reader.raw(task.column("train", "image")[row.number])


def test_a_few_shards_are_in_memory_and_a_process_reads_its_share(folders, monkeypatch):
    opened, real = [], streams.open_shard
    monkeypatch.setattr(streams, "open_shard", lambda path: opened.append(path.name) or real(path))
    stream = ShardStream(folders / "parquet", seed=0, batch_size=2, world=2, rank=1, mix=2)
    for number in range(len(stream)):
        stream.rows(number)
        assert len(stream._open) <= 2
    assert len(opened) == len(set(opened)) <= 5  # half of seven shards, and one that is shared


def test_the_index_alone_is_read_at_the_start(folders, monkeypatch):
    monkeypatch.setattr(streams, "open_shard", lambda path: pytest.fail("a shard was opened"))
    monkeypatch.setattr(streams, "verified_sha256", lambda path: pytest.fail("a shard was hashed"))
    stream = ShardStream(folders / "parquet", seed=0, batch_size=4)
    stream.check_files()
    assert len(stream) == 12


def test_ten_million_rows_start_at_once(tmp_path, folders):
    rows = json.loads((folders / "parquet" / "index.json").read_text())
    shard = rows["splits"]["train"]["shards"][0]
    many = [{**shard, "file": f"train-{n:05d}.parquet", "images": 4000} for n in range(2500)]
    rows["splits"] = {"train": {"images": 10**7, "shards": many}}
    (tmp_path / "index.json").write_text(json.dumps(rows))
    stream = ShardStream(tmp_path, seed=0, batch_size=4096, world=8, rank=7)
    assert len(stream) == 10**7 // 4096
    stream.set_epoch(5)
    assert stream._place(len(stream) * 512 - 1)[1] < 4000


def test_what_does_not_fit_says_so(folders):
    with raises(UsageError, "batch-not-divisible"):
        ShardStream(folders / "parquet", seed=0, batch_size=12, world=5)
    with raises(DataContractError, "shard-split-missing"):
        ShardStream(folders / "parquet", "test", seed=0, batch_size=4)
    stream = ShardStream(folders / "parquet", seed=0, batch_size=12)
    with pytest.raises(IndexError, match="4 batches"):
        stream.rows(4)


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_f32_a_damaged_shard_stops_the_stream(tmp_path, damage):
    index = written(tmp_path, count=20)
    path = tmp_path / index.splits["train"][1].file
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
        with raises(DataContractError, "shards-missing"):
            ShardStream(tmp_path, seed=0, batch_size=4).check_files()
    else:
        path.write_bytes(data[:-7] if damage == "cut" else data[:99] + bytes([data[99] ^ 1]) + data[100:])
    with raises(IntegrityError, ("shard-changed", "shard-unreadable"), match=path.name):
        sequence(tmp_path, batch_size=4)


def test_why_the_order_is_made_here(folders, monkeypatch):
    """`datasets` resumes exactly without its shuffle buffer, and loses the buffer's rows with it."""
    from datasets import config, load_dataset

    monkeypatch.setattr(config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)  # it sleeps five seconds after each walk

    files = [str(path) for path in sorted((folders / "parquet").glob("train-*"))]

    def resumed(buffer):
        theirs = load_dataset("parquet", data_files={"train": files}, split="train", streaming=True)
        theirs = theirs if buffer is None else theirs.shuffle(seed=0, buffer_size=buffer)
        walk = iter(theirs)
        before = [next(walk)["id"] for _ in range(10)]
        state = theirs.state_dict()
        rest = [row["id"] for row in walk]
        again = load_dataset("parquet", data_files={"train": files}, split="train", streaming=True)
        again = again if buffer is None else again.shuffle(seed=0, buffer_size=buffer)
        again.load_state_dict(state)
        return before, rest, [row["id"] for row in again]

    before, rest, after = resumed(None)
    assert rest == after and len(set(before + after)) == 48
    before, rest, after = resumed(8)
    assert rest != after and len(set(before + after)) < 48
