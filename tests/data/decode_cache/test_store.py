"""The store of decoded rows under kills, several builders and damage: no row is wrong, none is decoded in vain."""

import os
import shutil
import signal
import threading
import time
from collections import Counter

import pytest
from cache_samples import COUNT, FORK, Slow, builder, files, grey, kept_rows, right, task_of, task_with, until

from medzoo import store
from medzoo.data.decode_cache import decode, part_file
from medzoo.data.decode_cache import store as row_store
from medzoo.data.decode_cache.cache import decoded, store_of


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
        place, name = {"rows": (part_file.PartWriter, "_header"), "sync": (os, "fsync"), "rename": (os, "replace")}[
            moment
        ]
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


def test_a_part_of_other_data_is_not_taken(tmp_path):
    """A file that somebody moved or copied into the folder of another store: its keys and sizes fit, its pixels do not."""
    ours, theirs = (task_of([grey(value) for value in values], fingerprint=mark * 64) for values, mark in (
        ((1, 2, 3), "a"), ((7, 8, 9), "b")))  # fmt: skip
    assert decoded(theirs, "train", size=8).images[:, 0, 0].tolist() == [7, 8, 9]
    (part,) = files()
    folder = store_of(ours, 8).folder
    folder.mkdir(parents=True)
    shutil.copy(part, folder / part.name)
    assert decoded(ours, "train", size=8).images[:, 0, 0].tolist() == [1, 2, 3]
