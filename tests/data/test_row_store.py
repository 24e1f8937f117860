"""The store of decoded rows under kills, several builders, damage and a full disk: no row is wrong, none is decoded in vain."""

import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import threading
import time
from collections import Counter

import numpy as np
import pytest
from cache_samples import Slow, grey, task_of, task_with

from medzoo import paths, store
from medzoo.data import decode, parts, row_store
from medzoo.data.cache import decoded, store_of
from medzoo.data.row_store import StoreError
from medzoo.errors import DiskFullError, ImageError, WorkerError

COUNT = 60
FORK = multiprocessing.get_context("fork")  # a new interpreter would import torch first


def build(note, answers=None, *, part=0.1, alone=1e9, seconds=0.02, apart=False, workers=1, count=COUNT, patch=None):
    """What a process of its own does."""
    row_store.PART_SECONDS, decode.ALONE_SECONDS = part, alone
    if patch is not None:
        patch()
    data = decoded(task_with(Slow(note, seconds, apart), count), "train", size=8, workers=workers)
    if answers is not None:
        answers.put(int(data.images[:, 0, 0].astype(int).sum()))


def builder(note, **kwargs):
    process = FORK.Process(target=build, args=(note,), kwargs=kwargs)
    process.start()
    return process


def files(pattern="part-*.safetensors"):
    return sorted((paths.home() / "decoded").glob(f"*/{pattern}"))


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


def kept_rows():
    return sum(json.loads(path.read_bytes()[8:4096])["images"]["shape"][0] for path in files())


def right(data, count=COUNT):
    return data.images[:, 0, 0].tolist() == [n % 251 for n in range(count)]


@pytest.mark.parametrize(("apart", "workers"), [(False, 1), (True, 2)])
def test_f26_a_killed_build_goes_on_where_it_was(tmp_path, apart, workers):
    note = tmp_path / "reads"
    killed = builder(note, apart=apart, workers=workers, alone=-1.0 if apart else 1e9)
    until(lambda: len(files()) >= 3 or not killed.is_alive())
    assert killed.is_alive()
    killed.kill()
    killed.join()
    helpers = {int(line.split()[1]) for line in note.read_text().splitlines()} - {killed.pid}
    assert len(helpers) == (workers if apart else 0)
    until(lambda: not any(store.process_alive(pid) for pid in helpers))  # none lives on without its parent
    kept, before = kept_rows(), len(note.read_text().splitlines())
    assert 0 < kept < COUNT
    reader = Slow(note, 0.0, apart)
    assert right(decoded(task_with(reader, COUNT), "train", size=8))
    assert len(reader.reads()) - before == COUNT - kept


@pytest.mark.parametrize("moment", ["rows", "sync", "rename"])
def test_f26_a_kill_while_a_part_is_closed_leaves_no_half_row(tmp_path, moment):
    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    def patch():
        place, name = {"rows": (parts.PartWriter, "_header"), "sync": (os, "fsync"), "rename": (os, "replace")}[moment]
        setattr(place, name, die)

    process = builder(tmp_path / "reads", part=1e9, seconds=0.0, patch=patch)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL and files() == [] and len(files(".tmp-*")) == 1
    assert right(decoded(task_with(Slow(tmp_path / "again", 0.0), COUNT), "train", size=8))
    old = time.time() - 2 * store.ORPHAN_SECONDS
    for path in files(".tmp-*"):
        os.utime(path, (old, old))
    decoded(task_with(Slow(tmp_path / "again", 0.0), COUNT + 1), "train", size=8)
    assert files(".tmp-*") == []


def test_two_processes_share_the_work_of_one(tmp_path):
    note, answers = tmp_path / "reads", FORK.Queue()
    both = [builder(note, answers=answers) for _ in range(2)]
    assert [answers.get(timeout=60) for _ in both] == [sum(range(COUNT))] * 2
    assert Counter(Slow(note).reads()) == Counter(map(str, range(COUNT)))  # each image once
    for process in both:
        process.join(60)


def test_a_waiting_process_takes_over_from_a_killed_one(tmp_path):
    note, answers = tmp_path / "reads", FORK.Queue()
    first = builder(note, seconds=0.05)
    until(lambda: len(files()) >= 2 or not first.is_alive())
    second = builder(note, seconds=0.0, answers=answers)
    time.sleep(0.2)
    assert first.is_alive() and second.is_alive()
    first.kill()
    first.join()
    assert answers.get(timeout=60) == sum(range(COUNT))
    second.join(60)


def test_several_threads_do_not_harm_each_other(tmp_path):
    found = []
    task = task_with(Slow(tmp_path / "reads", 0.001), COUNT)
    threads = [threading.Thread(target=lambda: found.append(decoded(task, "train", size=20))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all(right(data) for data in found) and len(task.reader.reads()) == COUNT


def test_two_parts_with_the_same_rows_are_no_harm(tmp_path):
    """As two machines leave them whose disk has no working claims."""
    task = task_with(Slow(tmp_path / "reads", 0.0), COUNT)
    rows = store_of(task, 8)
    for order in (range(COUNT), range(COUNT - 1, 9, -1)):
        with row_store.Writer(rows) as writer:
            for index in order:
                writer.add(str(index), decode.decode_one(task, "train", index, 8, False))
    before = len(task.reader.reads())
    assert len(files()) == 2 and right(decoded(task, "train", size=8)) and len(task.reader.reads()) == before


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage", ["row", "key", "digest", "header", "cut", "empty", "longer", "other data", "renamed"]
)
def test_f32_a_damaged_part_is_found_and_its_rows_decoded_again(tmp_path, damage):
    task = task_with(Slow(tmp_path / "reads", 0.0), COUNT)
    good = decoded(task, "train", size=8)
    (path,) = files()
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "longer":
        path.write_bytes(path.read_bytes() + b"x")
    elif damage == "other data":
        decoded(task_with(task.reader, COUNT, fingerprint="e" * 64), "train", size=8)
        (other,) = [one for one in files() if one.parent != path.parent]
        shutil.copy(other, path)
    elif damage == "renamed":
        path.rename(path.with_name(f"part-{'0' * 64}.safetensors"))
    else:
        names = path.read_bytes().index(b'["0"')
        flip(path, {"row": 5000, "key": names + 2, "digest": -3, "header": 20}[damage])
    if damage in ("row", "key", "digest", "renamed"):
        with pytest.warns(UserWarning, match=r"part-.* is damaged: its 60 images are decoded again"):
            again = decoded(task, "train", size=8)
    else:
        again = decoded(task, "train", size=8)
    assert right(again) and again.sha256 == good.sha256


def test_only_the_rows_of_the_damaged_part_are_decoded_again(tmp_path, monkeypatch):
    monkeypatch.setattr(row_store, "PART_SECONDS", -1.0)
    monkeypatch.setattr(row_store, "PART_SHARE", 0.0)
    task = task_with(Slow(tmp_path / "reads", 0.0), 5)
    decoded(task, "train", size=8)
    assert len(files()) == 5
    flip(files()[2], 4096)
    with pytest.warns(UserWarning, match="its 1 images"):
        assert right(decoded(task, "train", size=8), 5)
    assert len(task.reader.reads()) == 6


def test_a_whole_part_is_hashed_once(tmp_path, monkeypatch):
    task = task_with(Slow(tmp_path / "reads", 0.0), 5)
    decoded(task, "train", size=8)
    monkeypatch.setattr(store, "sha256_file", lambda path: pytest.fail("hashed again"))
    decoded(task, "train", size=8)
    store._receipts_in_memory.clear()  # another process
    decoded(task, "train", size=8)


def test_an_unreadable_image_stops_the_build_and_the_rows_before_it_are_kept():
    images = [grey(1), grey(2), ImageError("scan7.png: is empty (0 bytes)."), grey(4)]
    task = task_of(images)
    with pytest.raises(ImageError, match=r"scan7.png"):
        decoded(task, "train", size=8)
    images[2] = grey(3)
    assert decoded(task, "train", size=8).images[:, 0, 0].tolist() == [1, 2, 3, 4]
    assert task.reader._reads == ["0", "1", "2", "2", "3"]


def test_a_first_image_that_is_unreadable_leaves_nothing():
    with pytest.raises(ImageError):
        decoded(task_of([ImageError("scan7.png: is empty (0 bytes)."), grey(3)]), "train", size=8)
    assert list((paths.home() / "decoded").iterdir()) == []


@pytest.mark.parametrize("apart", [False, True])
def test_an_error_of_a_helper_is_told_as_it_is(tmp_path, monkeypatch, apart):
    monkeypatch.setattr(decode, "ALONE_SECONDS", -1.0)

    class Torn(Slow):
        def read(self, key):
            if key == "31":
                raise ImageError("scan31.png: is no image.")
            return super().read(key)

    with pytest.raises(ImageError, match="scan31"):
        decoded(task_with(Torn(tmp_path / "reads", 0.0, apart), COUNT), "train", size=8, workers=2)
    assert kept_rows() == 31


@pytest.mark.skipif(sys.platform != "linux", reason="helpers are processes on Linux only")
def test_f46_a_helper_that_is_killed_is_told_and_costs_its_rows_only(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "ALONE_SECONDS", -1.0)

    class Deadly(Slow):
        def read(self, key):
            if key == "41" and not (tmp_path / "spared").exists():
                os.kill(os.getpid(), signal.SIGKILL)
            return super().read(key)

    task = task_with(Deadly(tmp_path / "reads", 0.0, True), COUNT)
    with pytest.raises(WorkerError, match="ended from outside"):
        decoded(task, "train", size=8, workers=2)
    (tmp_path / "spared").touch()
    assert right(decoded(task, "train", size=8, workers=2))


def test_f28_a_disk_that_fills_up_loses_what_was_no_part_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(row_store, "PART_SECONDS", 0.0)
    task = task_with(Slow(tmp_path / "reads", 0.002), COUNT)
    close = parts.PartWriter.close

    def full(self):
        if len(files()) == 3:
            raise OSError(28, "No space left on device")
        return close(self)

    monkeypatch.setattr(parts.PartWriter, "close", full)
    with pytest.raises(DiskFullError, match=r"No space left for .*t-8px"):
        decoded(task, "train", size=8)
    assert len(files()) == 3 and files(".tmp-*") == [] and kept_rows() >= 3
    monkeypatch.setattr(parts.PartWriter, "close", close)
    assert right(decoded(task, "train", size=8))


@pytest.mark.parametrize("limit", [5_000, 60_000, 127_000])
def test_f28_a_file_that_may_not_grow(tmp_path, limit):
    """The system's limit on the size of a file, as a quota acts: while rows are written, and while a part is closed."""

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            decoded(task_with(Slow(tmp_path / "reads", 0.0), 30), "train", size=64)
        except DiskFullError as error:
            os.write(pipe, str(error).encode())
        os._exit(0)

    reading, pipe = os.pipe()
    process = FORK.Process(target=limited)
    process.start()
    os.close(pipe)
    told = os.read(reading, 10_000).decode()
    process.join(60)
    assert told.startswith("No space left for") and files() == [] and files(".tmp-*") == []


def test_f28_a_disk_without_room_is_told_before_anything_is_decoded(tmp_path, monkeypatch):
    task = task_with(Slow(tmp_path / "reads", 0.0), COUNT)
    free = (
        shutil._ntuple_diskusage(10**6, 10**6, 1000) if hasattr(shutil, "_ntuple_diskusage") else (10**6, 10**6, 1000)
    )
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(DiskFullError, match=r"60 images, at least 3,840 bytes.*1,000 bytes"):
        decoded(task, "train", size=8)
    assert task.reader.reads() == [] and list((paths.home() / "decoded").iterdir()) == []


def test_f29_a_store_that_cannot_be_written_is_read_and_lacks_are_told(tmp_path, monkeypatch):
    task = task_with(Slow(tmp_path / "reads", 0.0), 5)
    decoded(task, "train", size=8)

    def sealed(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("medzoo.data.cache.claim", sealed)
    assert right(decoded(task, "train", size=8), 5)
    with pytest.raises(StoreError, match=r"cannot be written \(Permission denied\).*MEDZOO_HOME"):
        decoded(task_with(Slow(tmp_path / "reads", 0.0), 6), "train", size=8)


def test_a_disk_that_damages_what_it_is_given_is_told(tmp_path, monkeypatch):
    task = task_with(Slow(tmp_path / "reads", 0.0), 5)
    monkeypatch.setattr(parts.Part, "is_whole", lambda self: False)
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(StoreError, match="right after they were written"):
        decoded(task, "train", size=8)


def test_parts_are_cut_by_time_and_size(tmp_path, monkeypatch):
    monkeypatch.setattr(row_store, "PART_BYTES", 640)
    task = task_with(Slow(tmp_path / "reads", 0.0), 25)
    data = decoded(task, "train", size=8)  # rows of 64 bytes: 11 are more than 640
    assert sorted(json.loads(path.read_bytes()[8:4096])["images"]["shape"][0] for path in files()) == [3, 11, 11]
    assert right(data, 25) and np.asarray(data.images).shape == (25, 8, 8)
