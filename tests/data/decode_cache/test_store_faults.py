"""The store of decoded rows when images, helpers or the disk fail: what is said, and what is kept."""

import json
import os
import resource
import shutil
import signal
import sys

import numpy as np
import pytest
from cache_samples import COUNT, FORK, Slow, files, grey, kept_rows, right, task_of, task_with
from expect import raises

from medzoo import paths
from medzoo.data.decode_cache import decode, part_file
from medzoo.data.decode_cache import store as row_store
from medzoo.data.decode_cache.cache import decoded
from medzoo.data.decode_cache.store import StoreError
from medzoo.errors import DiskFullError, ImageError, IntegrityError, WorkerError


def test_an_unreadable_image_stops_the_build_and_the_rows_before_it_are_kept():
    images = [grey(1), grey(2), ImageError("scan7.png: is empty (0 bytes).", code="image-file-empty"), grey(4)]
    task = task_of(images)
    with raises(ImageError, "image-file-empty", match=r"scan7\.png"):
        decoded(task, "train", size=8)
    images[2] = grey(3)
    assert decoded(task, "train", size=8).images[:, 0, 0].tolist() == [1, 2, 3, 4]
    assert task.reader._reads == ["0", "1", "2", "2", "3"]


def test_a_first_image_that_is_unreadable_leaves_nothing():
    with raises(ImageError, "image-file-empty"):
        decoded(
            task_of([ImageError("scan7.png: is empty (0 bytes).", code="image-file-empty"), grey(3)]), "train", size=8
        )
    assert list((paths.home() / "decoded").iterdir()) == []


@pytest.mark.parametrize("apart", [False, True])
def test_an_error_of_a_helper_is_told_as_it_is(tmp_path, monkeypatch, apart):
    monkeypatch.setattr(decode, "ALONE_SECONDS", -1.0)

    class Torn(Slow):
        def read(self, key):
            if key == "31":
                raise ImageError("scan31.png: is not an image.", code="image-format-unknown")
            return super().read(key)

    with raises(ImageError, "image-format-unknown", match="scan31"):
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
    with raises(WorkerError, "decode-worker-killed"):
        decoded(task, "train", size=8, workers=2)
    (tmp_path / "spared").touch()
    assert right(decoded(task, "train", size=8, workers=2))


def test_f28_a_disk_that_fills_up_loses_what_was_no_part_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(row_store, "PART_SECONDS", 0.0)
    task = task_with(Slow(tmp_path / "reads", 0.002), COUNT)
    close = part_file.PartWriter.close

    def full(self):
        if len(files()) == 3:
            raise OSError(28, "No space left on device")
        return close(self)

    monkeypatch.setattr(part_file.PartWriter, "close", full)
    with raises(DiskFullError, "disk-full"):
        decoded(task, "train", size=8)
    assert len(files()) == 3 and files(".tmp-*") == [] and kept_rows() >= 3
    monkeypatch.setattr(part_file.PartWriter, "close", close)
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
    with raises(DiskFullError, "disk-full"):
        decoded(task, "train", size=8)
    assert task.reader.reads() == [] and list((paths.home() / "decoded").iterdir()) == []


def test_f29_a_store_that_cannot_be_written_is_read_and_lacks_are_told(tmp_path, monkeypatch):
    task = task_with(Slow(tmp_path / "reads", 0.0), 5)
    decoded(task, "train", size=8)

    def sealed(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("medzoo.data.decode_cache.cache.claim", sealed)
    assert right(decoded(task, "train", size=8), 5)
    with raises(StoreError, "decoded-store-not-writable"):
        decoded(task_with(Slow(tmp_path / "reads", 0.0), 6), "train", size=8)


def test_a_disk_that_damages_what_it_is_given_is_told(tmp_path, monkeypatch):
    task = task_with(Slow(tmp_path / "reads", 0.0), 5)
    monkeypatch.setattr(part_file.Part, "is_whole", lambda self: False)
    with pytest.warns(UserWarning, match="damaged"), raises(StoreError, "decoded-rows-damaged"):
        decoded(task, "train", size=8)


def test_parts_are_cut_by_time_and_size(tmp_path, monkeypatch):
    monkeypatch.setattr(row_store, "PART_BYTES", 640)
    task = task_with(Slow(tmp_path / "reads", 0.0), 25)
    data = decoded(task, "train", size=8)  # rows of 64 bytes: 11 are more than 640
    assert sorted(json.loads(path.read_bytes()[8:4096])["images"]["shape"][0] for path in files()) == [3, 11, 11]
    assert right(data, 25) and np.asarray(data.images).shape == (25, 8, 8)


@pytest.mark.parametrize("cause", [OSError(5, "Input/output error"), IntegrityError("x", code="changed-while-hashing")])
def test_a_part_that_cannot_be_read_now_is_kept(tmp_path, monkeypatch, cause):
    """Only a part whose content was read and differs is deleted: a network disk may answer again in a minute."""
    there, causes, hashed = [], [cause], part_file.verified_sha256

    class Watching(Slow):
        def read(self, key):
            there.append(len(files()))
            return super().read(key)

    task = task_with(Watching(tmp_path / "reads", 0.0), 5)
    decoded(task, "train", size=8)
    monkeypatch.setattr(part_file, "verified_sha256", lambda path: _raised(causes) or hashed(path))
    with pytest.warns(UserWarning, match=r"part-.* cannot be read .*: its 5 images"):
        assert right(decoded(task, "train", size=8), 5)
    assert there == [0] * 5 + [1] * 5
    assert right(decoded(task, "train", size=8), 5) and len(there) == 10


def _raised(causes):
    """Raise the first of the errors, each once."""
    if causes:
        raise causes.pop()
