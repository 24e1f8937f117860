"""Files that this process or this medzoo cannot read are reported and stay: only what is broken goes to quarantine."""

import errno
import json
import os
import threading
import time
from pathlib import Path

import pytest
from expect import raises

from medzoo.bench.results.record import read_result
from medzoo.bench.results.store import ResultStore, predictions_path
from medzoo.errors import ResultError

OLD_READ = Path.read_text


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path / "results")


@pytest.fixture
def unreadable(store, make_run, monkeypatch):
    """A stored result that the system does not let this process read."""
    path = store.put(*make_run())

    def read_text(self, *arguments, **options):
        if self == path:
            raise OSError(number[0], os.strerror(number[0]), str(path))
        return OLD_READ(self, *arguments, **options)

    number = [errno.EACCES]
    monkeypatch.setattr(Path, "read_text", read_text)
    return path, number


@pytest.mark.parametrize("name", ["EACCES", "EMFILE", "EIO", "ESTALE"])
def test_a_file_that_cannot_be_read_now_stays(store, identity, unreadable, monkeypatch, name):
    path, number = unreadable
    number[0] = getattr(errno, name)
    with raises(ResultError, "result-unreadable"):
        read_result(path)
    with pytest.warns(UserWarning, match="It is not counted"):
        assert store.all() == []
    with pytest.warns(UserWarning, match="It is not counted"):
        assert store.get(identity()) is None
    assert path.is_file() and predictions_path(path).is_file() and not (store.root / "quarantine").exists()
    monkeypatch.undo()
    assert [found for found, _ in store.all()] == [path]


def test_a_file_that_is_not_json_is_broken(store, make_run):
    path = store.put(*make_run())
    path.write_text("{")
    with raises(ResultError, "result-not-json"):
        read_result(path)


def newer(path):
    """A result as a later medzoo may write it."""
    path.write_text(json.dumps({**json.loads(path.read_text()), "carbon": 1.5}))


def test_a_result_with_a_field_of_a_newer_medzoo_stays(store, make_run, identity):
    path = store.put(*make_run())
    newer(path)
    before = path.read_bytes()
    with pytest.warns(UserWarning, match=r"carbon .* is not counted.*newer medzoo"):
        assert store.all() == []
    assert path.read_bytes() == before and not (store.root / "quarantine").exists()


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("why", ["newer", "unreadable"])
def test_a_second_run_does_not_overwrite_a_file_that_cannot_be_read(store, make_run, monkeypatch, request, why, links):
    """It is stored as a replicate; the first result and its predictions stay, also without hard links."""
    if why == "unreadable":
        path, _ = request.getfixturevalue("unreadable")
    else:
        path = store.put(*make_run())
        newer(path)
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    before = path.read_bytes(), predictions_path(path).read_bytes()
    for _ in range(2):  # the second time, the replicate is known
        with pytest.warns(UserWarning, match="not counted"):
            assert store.put(*make_run(value=0.5, draw=1)) == path
    assert (path.read_bytes(), predictions_path(path).read_bytes()) == before
    assert sorted(file.name for file in path.parent.glob("*.json")) == [path.name, f"{path.stem}.r2.json"]


def test_a_writer_of_another_machine_with_a_slow_clock_keeps_its_lock(store, make_run):
    """Clocks of machines differ by minutes, so a lock that looks two minutes old may be of this moment."""
    result, table = make_run()
    lock = store.root / "claims" / f"{result['run_id']}.put.json"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"host": "elsewhere", "pid": 1, "token": "theirs"}))
    os.utime(lock, (time.time() - 150, time.time() - 150))
    writer = threading.Thread(target=store.put, args=(result, table))
    writer.start()
    writer.join(0.5)
    assert writer.is_alive() and json.loads(lock.read_text())["token"] == "theirs"
    lock.unlink()
    writer.join(30)
    assert not writer.is_alive() and len(store.all()) == 1


def test_a_writer_waits_until_the_lock_of_a_dead_one_is_stale(store, make_run, monkeypatch):
    """A result that has cost hours is not given up because another machine died while it wrote."""
    from medzoo.bench.results import store as module

    given, real = [], module.wait_for
    monkeypatch.setattr(module, "wait_for", lambda path, **options: given.append(options) or real(path, **options))
    store.put(*make_run())
    assert given[0]["at_most"] > given[0]["lease"] >= 600
