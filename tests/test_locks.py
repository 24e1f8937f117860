"""Claims between processes that come and go: nobody removes a claim that is not his, and nobody takes one that is alive."""

import contextlib
import json
import os
import socket
import time
from pathlib import Path

import pytest

from medzoo import locks
from medzoo.errors import RunFolderError
from medzoo.locks import claim, is_live, process_birth, this_process, wait_for


def mine(**changes):
    pid = os.getpid()
    return json.dumps({"host": socket.gethostname(), "pid": pid, "born": process_birth(pid), "token": "t", **changes})


def aged(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_who_lost_a_claim_leaves_that_of_the_next(tmp_path):
    """A holder that was thought dead gives nothing back that is not its own."""
    path = tmp_path / "x.json"
    with claim(path):
        path.write_text(mine(token="another"))
    assert json.loads(path.read_text())["token"] == "another"


@pytest.mark.parametrize("content", ["", "{", '{"host": "els'])
def test_a_claim_that_is_being_written_is_alive_for_a_moment(tmp_path, content):
    """Between making a file and writing into it a process may be put aside for a second."""
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(RunFolderError), claim(path):
        pass
    aged(path, 60)
    with claim(path):
        pass


def test_a_live_claim_that_took_the_place_of_a_dead_one_is_put_back(tmp_path, monkeypatch):
    """Two takers look at one dead claim; the slower one must not remove what the faster one has made meanwhile."""
    path = tmp_path / "x.json"
    path.write_text(mine(born="1", token="dead"))
    looked = []

    def look(*arguments):
        if looked:
            return is_live(*arguments)
        looked.append(1)
        path.unlink()
        path.write_text(mine(token="faster"))
        return False

    monkeypatch.setattr(locks, "is_live", look)
    with pytest.raises(RunFolderError), claim(path):
        pass
    assert json.loads(path.read_text())["token"] == "faster" and [p.name for p in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize(
    ("holder", "age", "alive"),
    [
        ({}, 0, True),
        ({}, 10**6, True),  # of this machine: the process counts, not the clock
        ({"born": "1"}, 0, False),
        ({"pid": 2**22 + 1}, 0, False),
        ({"host": "elsewhere", "pid": 2**22 + 1}, 599, True),  # of another machine: the clock, not the number
        ({"host": "elsewhere"}, 601, False),
    ],
)
def test_who_is_alive(tmp_path, holder, age, alive):
    path = tmp_path / "x.json"
    path.write_text(mine(**holder))
    aged(path, age)
    assert is_live(path, path.read_text()) is alive
    with contextlib.nullcontext() if not alive else pytest.raises(RunFolderError), claim(path):
        pass


def test_a_full_disk_leaves_no_claim(tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(locks.json, "dump", full)
    with pytest.raises(OSError), claim(tmp_path / "x.json"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("silent", "held"), [(0, True), (31, True), (95, True), (580, True), (620, False), (90_000, False)]
)
def test_a_foreign_claim_is_held_for_the_whole_lease(tmp_path, silent, held):
    """Ten minutes by default: clocks of machines differ, and a disk may answer late, so a missed beat is no death."""
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"host": "elsewhere", "pid": os.getpid(), "token": "theirs"}))
    then = time.time() - silent
    os.utime(path, (then, then))
    with pytest.raises(RunFolderError) if held else contextlib.nullcontext(), claim(path):
        pass
    assert path.exists() == held and (not held or json.loads(path.read_text())["token"] == "theirs")


def test_a_claim_beats_often_enough_for_its_lease(tmp_path, monkeypatch):
    """At least four times within a lease, however short."""
    waits = []
    monkeypatch.setattr(locks, "_beat", lambda path, stop, every: waits.append(every))
    for lease in (locks.LEASE, 60, 0.5):
        with claim(tmp_path / f"{lease}", lease=lease):
            pass
    deadline = time.time() + 5
    while len(waits) < 3 and time.time() < deadline:  # each is noted by a thread of its own
        time.sleep(0.01)
    assert len(waits) == 3 and all(wait <= lease / 4 for wait, lease in zip(waits, (600, 60, 0.5), strict=True))


def test_waiting_ends_when_the_holder_gives_the_lock_back(tmp_path):
    path, called = tmp_path / "x.json", []
    holder = claim(path)
    holder.__enter__()

    def waiting(error):
        called.append(str(error))
        holder.__exit__(None, None, None)

    with wait_for(path, pause=0.01, waiting=waiting):
        assert path.exists()
    assert len(called) == 1 and str(path) in called[0] and not path.exists()


def test_waiting_has_an_end(tmp_path):
    path = tmp_path / "x.json"
    with claim(path), pytest.raises(RunFolderError), wait_for(path, pause=0.01, at_most=0.05):
        pass
    assert not path.exists()


@pytest.mark.parametrize("other", [{"boot": "another"}, {"pid_namespace": "pid:[1]"}, {"boot": None}])
@pytest.mark.parametrize("lives", [True, False])
def test_another_container_with_this_host_name_is_another_machine(tmp_path, other, lives):
    """Its process ids mean nothing here, so that only the time counts: neither a live claim is taken nor a dead one kept."""
    path, pid = tmp_path / "x.json", os.getpid() if lives else 2**22 + 1
    path.write_text(json.dumps({**this_process(), "pid": pid, "born": "1", "token": "theirs", **other}))
    assert is_live(path, path.read_text())
    with pytest.raises(RunFolderError), claim(path):
        pass
    aged(path, 601)
    with claim(path):
        pass


def test_a_claim_names_its_machine_and_what_its_process_ids_mean(tmp_path):
    path = tmp_path / "x.json"
    with claim(path):
        holder = json.loads(path.read_text())
    assert {key: holder[key] for key in this_process()} == this_process()
    assert {"host", "boot", "pid_namespace", "pid", "born"} == set(this_process())
    if Path("/proc/self/ns/pid").exists():
        assert holder["pid_namespace"].startswith("pid:[") and len(holder["boot"]) == 36


def test_a_system_without_proc_still_has_claims(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_boot", lambda: None)
    monkeypatch.setattr(locks, "_pid_namespace", lambda: None)
    path = tmp_path / "x.json"
    path.write_text(json.dumps(this_process()))
    aged(path, 10**6)
    assert is_live(path, path.read_text())
    path.write_text(json.dumps({**this_process(), "pid": 2**22 + 1}))
    assert not is_live(path, path.read_text())
