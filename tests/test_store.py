"""Files are whole or absent, folders too; a claim has one holder; a receipt holds until the file changes."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time

import pytest
from expect import raises

from medzoo import locks, paths, store
from medzoo.errors import IntegrityError, RunFolderError

OPERATIONS = ("chmod", "fsync", "replace")


class Crash(BaseException):
    """Stands for a kill: nothing of ours may catch it."""


def crash_at(monkeypatch, number):
    """Let the k-th durable operation be the last thing that happens."""
    count = 0

    def wrap(name, original):
        def call(*args, **kwargs):
            nonlocal count
            if count == number:
                raise Crash
            count += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(os, name, call)

    for name in OPERATIONS:
        wrap(name, getattr(os, name))


@pytest.mark.parametrize("number", range(6))
def test_a_file_is_old_or_new_at_every_crash_point(tmp_path, monkeypatch, number):
    path = tmp_path / "a.json"
    store.write_text(path, "old")
    with monkeypatch.context() as patch:
        crash_at(patch, number)
        with contextlib.suppress(Crash):
            store.write_text(path, "new")
    assert path.read_text() in ("old", "new")


@pytest.mark.parametrize("number", range(16))
def test_a_folder_is_old_or_new_at_every_crash_point(tmp_path, monkeypatch, number):
    folder = tmp_path / "state"
    for text in ("old", "new"):
        with monkeypatch.context() as patch:
            if text == "new":
                crash_at(patch, number)
            try:
                with store.atomic_folder(folder, manifest=True) as temporary:
                    (temporary / "x").write_text(text)
                    (temporary / "y").write_text(text)
            except Crash:
                pass
    store.verify_manifest(folder)
    assert (folder / "x").read_text() == (folder / "y").read_text()


@pytest.mark.parametrize("number", range(16))
def test_where_folders_cannot_change_places_a_sweep_puts_the_old_one_back(tmp_path, monkeypatch, number):
    monkeypatch.setattr(store, "_exchange", lambda one, other: False)
    monkeypatch.setattr(store, "SWAP_SECONDS", -1)
    folder = tmp_path / "state"
    for text in ("old", "new"):
        with monkeypatch.context() as patch, contextlib.suppress(Crash):
            if text == "new":
                crash_at(patch, number)
            with store.atomic_folder(folder, manifest=True) as temporary:
                (temporary / "x").write_text(text)
    store.sweep(tmp_path)
    store.verify_manifest(folder)


def test_two_folders_change_places_at_once(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
    if not store._exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system cannot")
    assert (tmp_path / "a" / "x").read_text() == "b" and (tmp_path / "b" / "x").read_text() == "a"
    assert not store._exchange(tmp_path / "a", tmp_path / "none")


def test_an_error_leaves_nothing_behind(tmp_path):
    with pytest.raises(ValueError), store.atomic_path(tmp_path / "a") as temporary:
        temporary.write_text("half")
        raise ValueError
    with pytest.raises(ValueError), store.atomic_folder(tmp_path / "b"):
        raise ValueError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_modes_follow_the_umask(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        store.write_text(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("damage", ["missing", "flipped", "cut", "no manifest"])
def test_a_damaged_folder_is_seen(tmp_path, damage):
    with store.atomic_folder(tmp_path / "s", manifest=True) as temporary:
        (temporary / "x").write_bytes(b"0123456789")
    target = tmp_path / "s" / "x"
    if damage == "missing":
        target.unlink()
    elif damage == "flipped":
        target.write_bytes(b"0123456788")
    elif damage == "cut":
        target.write_bytes(b"01234")
    else:
        (tmp_path / "s" / store.MANIFEST).write_text("{")
    with pytest.raises(IntegrityError):
        store.verify_manifest(tmp_path / "s")


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError):
        store.write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_receipt_holds_until_the_file_changes(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    path.write_bytes(b"a" * 100)
    digest = store.verified_sha256(path)
    monkeypatch.setattr(store, "sha256_file", lambda path: pytest.fail("hashed again"))
    assert store.verified_sha256(path) == digest
    monkeypatch.undo()
    path.write_bytes(b"b" * 100)
    assert store.verified_sha256(path) != digest


def test_a_receipt_outlives_the_process_and_always_ignores_it(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    path.write_bytes(b"a")
    digest = store.verified_sha256(path)
    monkeypatch.setattr(store, "_receipts_in_memory", {})
    note = next((paths.home() / "receipts").glob("*.json"))
    note.write_text(json.dumps({**json.loads(note.read_text()), "sha256": "of the receipt"}))
    assert store.verified_sha256(path) == "of the receipt"
    assert store.verified_sha256(path, always=True) == digest


@pytest.mark.parametrize("change", ["size", "time", "inode"])
def test_any_sign_of_another_file_ends_a_receipt(tmp_path, change):
    """Each alone: a file may be cut with its time kept, written in place, or replaced by one of equal size and time."""
    path, other = tmp_path / "weights", tmp_path / "other"
    path.write_bytes(b"a" * 100)
    store.verified_sha256(path)
    state = path.stat()
    if change == "inode":
        other.write_bytes(b"b" * 100)
        os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
        os.replace(other, path)
    else:
        with path.open("r+b") as file:  # the same inode
            file.write(b"b" * 100)
            file.truncate(99 if change == "size" else 100)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + (change == "time")))
    assert store.verified_sha256(path) == store.sha256_file(path)


def test_a_file_that_changes_while_it_is_hashed_is_told(tmp_path, monkeypatch):
    path, hashed = tmp_path / "weights", store.sha256_file
    path.write_bytes(b"a" * 100)

    def slowly(given):
        digest = hashed(given)
        path.write_bytes(b"b" * 101)
        return digest

    with monkeypatch.context() as patch, pytest.raises(IntegrityError):
        patch.setattr(store, "sha256_file", slowly)
        store.verified_sha256(path)
    assert store.verified_sha256(path) == hashed(path)  # and nothing wrong was remembered


def test_one_value_has_one_spelling():
    assert store.canonical_json({"b": [1, 2.5], "a": "ä"}) == '{"a":"ä","b":[1,2.5]}'
    assert store.sha256_of({"a": 1, "b": 2}) == store.sha256_of({"b": 2, "a": 1}) != store.sha256_of({"a": 2, "b": 1})
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ValueError):
            store.canonical_json([wrong])


def test_a_home_that_cannot_be_written_is_no_obstacle(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEDZOO_HOME", str(tmp_path / "file" / "below"))
    (tmp_path / "weights").write_bytes(b"a")
    assert len(store.verified_sha256(tmp_path / "weights")) == 64


def test_a_claim_has_one_holder(tmp_path):
    path = tmp_path / "claims" / "x.json"
    with store.claim(path):
        with raises(RunFolderError, "lock-held"), store.claim(path):
            pass
    assert not path.exists()
    with store.claim(path):
        pass


def test_a_foreign_claim_expires(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    with pytest.raises(RunFolderError), store.claim(path, lease=100):
        pass
    old = time.time() - 200
    os.utime(path, (old, old))
    with store.claim(path, lease=100):
        pass


def test_the_heart_of_a_claim_beats(tmp_path):
    path = tmp_path / "x.json"
    with store.claim(path, lease=0.5):
        path.write_text(json.dumps({**json.loads(path.read_text()), "host": "elsewhere"}))
        time.sleep(1.2)  # longer than the lease: only its beat keeps it
        with pytest.raises(RunFolderError), store.claim(path, lease=0.5):
            pass
    time.sleep(0.3)
    assert not path.exists()


def test_a_process_number_that_was_given_out_again(tmp_path):
    path = tmp_path / "x.json"
    host = {"host": socket.gethostname(), "pid": os.getpid()}
    path.write_text(json.dumps({**host, "born": locks.process_birth(os.getpid())}))
    with pytest.raises(RunFolderError), store.claim(path):
        pass
    path.write_text(json.dumps({**host, "born": "1"}))  # another process had this number
    with store.claim(path):
        pass


def test_racing_processes_share_nothing(tmp_path):
    code = f"""
import time
from pathlib import Path
from medzoo import store, errors
wins = 0
for number in range(40):
    try:
        with store.claim(Path({str(tmp_path)!r}) / f"{{number}}.claim"):
            with open(Path({str(tmp_path)!r}) / f"{{number}}.won", "x"):
                wins += 1
            time.sleep(0.01)
    except (errors.RunFolderError, FileExistsError):
        pass
print(wins)
"""
    racers = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    wins = sum(int(racer.communicate()[0]) for racer in racers)
    assert wins == 40 and all(racer.returncode == 0 for racer in racers)


def test_sweep_takes_old_orphans_only(tmp_path):
    for name in ("old", "new"):
        (tmp_path / f"{store.TEMPORARY}{name}").mkdir()
    past = time.time() - 2 * store.ORPHAN_SECONDS
    os.utime(tmp_path / f"{store.TEMPORARY}old", (past, past))
    assert store.sweep(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == [f"{store.TEMPORARY}new"]


def test_a_dead_process_is_dead():
    child = subprocess.Popen([sys.executable, "-c", ""])
    time.sleep(0.5)  # not waited for: a zombie
    assert not store.process_alive(child.pid)
    child.wait()
    assert store.process_alive(os.getpid())
