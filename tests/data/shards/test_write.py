import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import shard_samples
from data_samples import INFO, make
from expect import raises
from shard_samples import BytesReader, jpeg, numbered_task, png, written

from medzoo.data.decode_cache.rows import to_row
from medzoo.data.images.pixels import Pixels
from medzoo.data.shards import write as shards
from medzoo.data.shards.index import read_index
from medzoo.data.shards.write import write_shards
from medzoo.data.task_registry import load_task
from medzoo.data.tasks import shards as family
from medzoo.errors import DataContractError, ImageError, OtherVersionError, RunFolderError, UsageError
from medzoo.store import sha256_file

FORMATS = ("parquet", "webdataset")
GREY = np.random.default_rng(0).integers(0, 256, (10, 12), dtype=np.uint8)


def equal_rows(task, again, size=9):
    """Every row of `again` is the row of `task` with its id."""
    for split in task.tables:
        place = {key: row for row, key in enumerate(task.column(split, "id"))}
        assert sorted(again.column(split, "id")) == sorted(place)
        for row, key in enumerate(again.column(split, "id")):
            (one, label), (other, same) = task.read(split, place[key]), again.read(split, row)
            assert np.array_equal(label, same, equal_nan=True)
            mine, theirs = (to_row(pixels, size).astype(int) for pixels in (one, other))
            assert mine.shape == theirs.shape and abs(mine - theirs).max() <= (one.array.dtype != np.uint8)
            assert task.groups(split)[place[key]] == again.groups(split)[row]


@pytest.mark.parametrize("format", FORMATS)
def test_shards_hold_the_task(tmp_path, format):
    task = numbered_task()
    index = write_shards(task, tmp_path / "s", format=format, images_per_shard=5, progress=False)
    assert [shard.images for shard in index.splits["train"]] == [5, 5, 5, 5, 3]
    assert read_index(tmp_path / "s") == index
    again = load_task(f"shards:{tmp_path / 's'}")
    assert (again.kind, again.classes, again.name) == ("binary", ("no", "yes"), "shards:s")
    equal_rows(task, again)
    ages = dict(zip(task.column("train", "id"), task.column("train", "age"), strict=True))
    assert dict(zip(again.column("train", "id"), again.column("train", "age"), strict=True)) == ages
    for shard in index.splits["train"]:
        assert sha256_file(tmp_path / "s" / shard.file) == shard.sha256


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_call_writes_the_same_bytes(tmp_path, format):
    one, two = (written(tmp_path / name, format=format) for name in "ab")
    assert one == two and one.content == two.content
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").glob("*-of-*")}
    assert written(tmp_path / "a", format=format) == one
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "a").glob("*-of-*")} == before


@pytest.mark.parametrize("format", FORMATS)
def test_kinds_of_images(tmp_path, format):
    rng = np.random.default_rng(1)
    images = {
        "png": png(GREY), "jpeg": jpeg(GREY), "colour": png(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)),
        "alpha": png(rng.integers(0, 256, (9, 9, 4), dtype=np.uint8)),
        "wide": Pixels(rng.integers(0, 65536, (7, 7), dtype=np.uint16), (0.0, 65535.0), "grey"),
        "ct": Pixels(rng.integers(-1000, 1000, (7, 7), dtype=np.int16), (-1000.0, 1000.0), "HU"),
    }  # fmt: skip
    keys = list(images)
    info = INFO.__class__(**{**INFO.__dict__, "channels": None})
    rows = {"id": keys, "image": keys, "label": [0, 1] * 3, "patient_id": keys}
    task = make(info, train=rows)
    task.reader = BytesReader(images)
    index = write_shards(task, tmp_path, format=format, progress=False)
    assert index.colour("train")
    again = opened(tmp_path)
    place = dict(zip(again.column("train", "id"), again.column("train", "image"), strict=True))
    kept = {name for name in keys if again.reader.raw(place[name]) == images[name]}
    assert kept == ({"png", "jpeg", "colour"} if format == "parquet" else {"png", "colour"})
    equal_rows(task, again)
    assert again.read("train", again.column("train", "id").index("ct"))[0].range == (0.0, 65535.0)


def opened(folder):
    """The shards as they are; `load_task` would cut a validation split from train."""
    return family.load("shards:PATH", None, path=str(folder))


def test_a_size_brings_all_images_to_it(tmp_path):
    task = numbered_task(side=20)
    index = write_shards(task, tmp_path, size=9, progress=False)
    again = load_task(f"shards:{tmp_path}")
    assert index.size == 9 and again.read("train", 0)[0].array.shape == (9, 9)
    equal_rows(task, again)


def test_sixteen_bit_colour_is_refused_with_its_id(tmp_path):
    images = {name: Pixels(np.zeros((4, 4, 3), np.uint16), (0.0, 65535.0), "rgb") for name in "ab"}
    info = INFO.__class__(**{**INFO.__dict__, "channels": 3})
    task = make(info, train={"id": ["a", "b"], "image": ["a", "b"], "label": [0, 1], "patient_id": ["a", "b"]})
    task.reader = BytesReader(images)
    with raises(ImageError, "colour-depth-unsupported"):
        write_shards(task, tmp_path, progress=False)


@pytest.mark.parametrize("format", FORMATS)
def test_masks(tmp_path, format):
    rng = np.random.default_rng(2)
    keys = [f"i{n}" for n in range(6)]
    masks = {key: rng.integers(0, 3, (10, 12), dtype=np.uint8) for key in keys}
    info = INFO.__class__(**{**INFO.__dict__, "kind": "segmentation", "classes": ("a", "b"), "metric": "dice"})
    task = make(info, train={"id": keys, "image": keys, "mask": keys, "patient_id": keys})
    task.reader = BytesReader({key: png(GREY + np.uint8(n)) for n, key in enumerate(keys)}, masks)
    write_shards(task, tmp_path, format=format, images_per_shard=4, progress=False)
    again = opened(tmp_path)
    for row, key in enumerate(again.column("train", "id")):
        assert (again.read_mask("train", row) == masks[key]).all()


@pytest.mark.parametrize("format", FORMATS)
def test_uncertain_labels_stay_uncertain(tmp_path, format):
    lines = ["image,patient,oedema,mass,split"]
    for n in range(12):
        (tmp_path / f"{n}.png").write_bytes(png(GREY + np.uint8(n)))
        cells = ["1", "0", "-1", ""][n % 4], ["0", "1"][n % 2]
        lines.append(f"{n}.png,p{n},{cells[0]},{cells[1]},{'train' if n < 8 else 'val'}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    kept = write_shards(
        load_task(f"folder:{tmp_path}", label_policy="soft"), tmp_path / "kept", format=format, progress=False
    )
    assert kept.info.uncertain and kept.label_policy is None
    for policy in ("mask", "zero", "one", "soft"):
        task, again = load_task(f"folder:{tmp_path}", label_policy=policy), None
        again = load_task(f"shards:{tmp_path / 'kept'}", label_policy=policy)
        equal_rows(task, again)
        assert again.label_policy == task.label_policy
    settled = write_shards(
        load_task(f"folder:{tmp_path}", label_policy="one"), tmp_path / "one", format=format, progress=False
    )
    assert settled.label_policy == "one" and load_task(f"shards:{tmp_path / 'one'}").label_policy == "one"
    with raises(UsageError, "label-policy-not-applicable"):
        load_task(f"shards:{tmp_path / 'one'}", label_policy="zero")


@pytest.mark.parametrize("format", FORMATS)
def test_datasets_reads_the_files_on_its_own(tmp_path, format):
    from datasets import Image, load_dataset

    index = written(tmp_path / "s", format=format)
    files = {split: [str(tmp_path / "s" / one.file) for one in shards] for split, shards in index.splits.items()}
    theirs = load_dataset(format, data_files=files, cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in theirs.items()} == {"train": 23, "validation": 3}
    name = "image" if format == "parquet" else "png"
    assert isinstance(theirs["train"].features[name], Image)
    row = theirs["train"][4]
    ours = load_task(f"shards:{tmp_path / 's'}")
    assert (np.asarray(row[name]) == ours.read("train", 4)[0].array).all()
    assert (row if format == "parquet" else row["json"])["id"] == ours.column("train", "id")[4]
    if format == "parquet":
        assert theirs["train"].features["label"].names == ["no", "yes"]


def test_rows_of_train_are_dealt_over_the_shards(tmp_path):
    drawn, ordered = written(tmp_path / "a"), written(tmp_path / "b", shuffle=False)
    ids = [load_task(f"shards:{tmp_path / name}").column("train", "id") for name in "ab"]
    assert ids[1] == [f"i{n}" for n in range(23)] and ids[0] != ids[1] and sorted(ids[0]) == sorted(ids[1])
    assert (drawn.order, ordered.order) == ("drawn by seed 0 (train)", "task")
    for name in "ab":  # of the other splits the order stays: a table of predictions follows it
        assert load_task(f"shards:{tmp_path / name}").column("validation", "id") == [f"i{n}" for n in range(24, 27)]


def test_a_shard_is_of_about_64_mb(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 64 * 100)
    assert len(write_shards(numbered_task(200, side=8), tmp_path, progress=False).splits["train"]) > 1


def test_another_folder_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with raises(RunFolderError, "output-folder-not-empty"):
        written(tmp_path)
    written(tmp_path / "s")
    with raises(RunFolderError, "other-shards-in-folder"):
        written(tmp_path / "s", count=24)
    with raises(UsageError, "split-unknown"):
        written(tmp_path / "t", splits=["dev"])
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("after", range(6))
def test_a_stopped_writer_goes_on(tmp_path, after, monkeypatch):
    straight = written(tmp_path / "straight")
    made, real = [], shards.write_shard

    def stopping(path, *rest):
        if len(made) == after:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        made.append(path.name)
        real(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(shards, "write_shard", stopping)
        with pytest.raises(KeyboardInterrupt):
            written(tmp_path / "cut")
    with raises(DataContractError, "shard-index-missing"):
        load_task(f"shards:{tmp_path / 'cut'}")
    again = []
    monkeypatch.setattr(shards, "write_shard", lambda path, *rest: (again.append(path), real(path, *rest)))
    assert written(tmp_path / "cut") == straight
    assert len(again) == 6 - after
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == sorted(
        path.name for path in (tmp_path / "straight").iterdir()
    )


def test_a_writer_with_other_options_does_not_go_on(tmp_path, monkeypatch):
    real = shards.write_index
    monkeypatch.setattr(shards, "write_index", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        written(tmp_path / "s")
    with raises(RunFolderError, "other-shards-in-folder"):
        written(tmp_path / "s", per_shard=6)
    monkeypatch.setattr(shards, "write_index", real)
    assert written(tmp_path / "s").images("train") == 23


@pytest.mark.slow
def test_f26_kill_9_while_shards_are_written(tmp_path):
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
        "import shard_samples; from medzoo.data.shards import write as shards\n"
        "real = shards.write_shard\n"
        "shards.write_shard = lambda *a: (real(*a), time.sleep(0.1))\n"
        "shard_samples.written(Path(sys.argv[1]), count=41, per_shard=2)\n"
    )
    straight = written(tmp_path / "straight", count=41, per_shard=2)
    folder = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", code, str(folder), str(Path(shard_samples.__file__).parent)])
    while len(list(folder.glob("*-of-*"))) < 5 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(list(folder.glob("*-of-*"))) >= 5 and not (folder / "index.json").exists()
    assert written(folder, count=41, per_shard=2) == straight
    assert load_task(f"shards:{folder}").fingerprint == load_task(f"shards:{tmp_path / 'straight'}").fingerprint


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
@pytest.mark.parametrize("format", FORMATS)
def test_f32_a_damaged_shard_is_found_and_written_again(tmp_path, damage, format):
    folder = tmp_path / "s"
    index = written(folder, format=format)
    path = folder / index.splits["train"][2].file
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-7] if damage == "cut" else data[:99] + bytes([data[99] ^ 1]) + data[100:])
    with raises(DataContractError, "shards-damaged"):
        load_task(f"shards:{folder}")
    if damage == "flip":  # of the right size: the writer hashes nothing, a person removes the file
        path.unlink()
    assert written(folder, format=format) == index and path.read_bytes() == data
    load_task(f"shards:{folder}")


def test_an_index_of_another_version_or_out_of_its_folder(tmp_path):
    written(tmp_path)
    path = tmp_path / "index.json"
    rows = json.loads(path.read_text())
    path.write_text(json.dumps({**rows, "schema": "medzoo.shards/2"}))
    with raises(OtherVersionError, "shard-schema-unknown", match="Update medzoo"):
        read_index(tmp_path)
    rows["splits"]["train"]["shards"][0]["file"] = "../secret.parquet"
    path.write_text(json.dumps(rows))
    with raises(DataContractError, "shard-index-invalid"):
        read_index(tmp_path)
    for broken in ("{", "[]", '{"schema": "medzoo.shards/1"}', "null"):
        path.write_text(broken)
        with pytest.raises(DataContractError):
            read_index(tmp_path)


def test_folds_pool_the_splits(tmp_path):
    index = written(tmp_path, count=40)
    task = load_task(f"shards:{tmp_path}", fold=0)
    assert sum(table.num_rows for table in task.tables.values()) == index.images("train") + index.images("validation")


def test_a_read_error_is_no_write_error(tmp_path, monkeypatch):
    task, real = numbered_task(12), shards.write_shard

    def cut_off(self, key):
        raise TimeoutError("the network drive does not answer")

    def unreadable(self, key):
        raise ImageError(f"{key}: cut off", code="image-cannot-open")

    for reader, expected in (
        (cut_off, pytest.raises(TimeoutError)),
        (unreadable, raises(ImageError, "image-cannot-open")),
    ):
        with monkeypatch.context() as patch, expected:
            patch.setattr(BytesReader, "read", reader)
            write_shards(task, tmp_path / "out", images_per_shard=4, progress=False)

    def refused(*arguments):
        raise PermissionError(13, "read-only")

    monkeypatch.setattr(shards, "write_shard", refused)
    with raises(DataContractError, "shards-not-written", match="read-only"):
        write_shards(task, tmp_path / "out", images_per_shard=4, progress=False)
    monkeypatch.setattr(shards, "write_shard", real)
    assert write_shards(task, tmp_path / "out", images_per_shard=4, progress=False)
