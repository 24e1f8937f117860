"""The state of a campaign from its files, with crashes, other machines and wrong clocks."""

import json
import os
import time
from dataclasses import replace

import pytest
from expect import raises

from medzoo.bench.campaign.status import campaign_state
from medzoo.errors import ResultError, UsageError
from medzoo.locks import this_process


@pytest.fixture
def running(campaign, suite):
    """The plan with one worker of another machine that has begun the second run."""
    plan = campaign.start(suite.name, suite.cells())
    cells = suite.cells()
    file = campaign.folder / "workers" / "node7-1-abc.jsonl"
    file.parent.mkdir(parents=True)
    lines = [
        {"event": "start", "host": "node7", "pid": 1, "born": "1"},
        {"event": "begin", "run": cells[0].folder.as_posix(), "name": str(cells[0])},
        {"event": "end", "run": cells[0].folder.as_posix(), "status": "ok", "seconds": 10.0, "cached": False},
        {"event": "begin", "run": cells[1].folder.as_posix(), "name": str(cells[1])},
    ]
    file.write_text(
        "".join(json.dumps({**line, "plan": plan, "time": number}) + "\n" for number, line in enumerate(lines))
    )
    return file


def state(campaign):
    return campaign_state(campaign.folder.parent)


def test_a_worker_of_another_machine_runs_while_its_heart_beats(running, campaign):
    found = state(campaign)
    assert [found.count(name) for name in ("done", "running", "stale", "waiting")] == [1, 1, 0, 2]
    assert found.seconds_left == 30.0  # three runs of 10 s, one worker
    assert "node7" in str(found) and "seed 1" in str(found)


def test_without_heartbeat_it_is_stale(running, campaign):
    old = time.time() - 3600
    os.utime(running, (old, old))
    found = state(campaign)
    assert [found.count(name) for name in ("done", "running", "stale", "waiting")] == [1, 0, 1, 2]
    assert found.seconds_left is None


def test_a_heartbeat_from_the_future_is_a_heartbeat(running, campaign):
    ahead = time.time() + 3600
    os.utime(running, (ahead, ahead))
    found = state(campaign)
    assert found.count("running") == 1 and found.workers[0].seconds == 0.0


def test_a_line_that_a_crash_cut_does_not_count(running, campaign):
    with running.open("a") as file:
        file.write('{"event": "end", "run": "oct/resn')
    assert state(campaign).count("done") == 1
    with running.open("a") as file:  # the next worker's line after it
        file.write("\n")
    assert state(campaign).count("done") == 1


def test_a_folder_without_campaign(tmp_path):
    with raises(UsageError, "campaign-missing"):
        campaign_state(tmp_path)


@pytest.mark.parametrize("content", ["", "{", '{"schema": "medzoo.campaign/9"}'])
def test_a_plan_that_cannot_be_read(campaign, suite, content):
    campaign.start(suite.name, suite.cells())
    (file,) = (campaign.folder / "plans").glob("*.json")
    file.write_text(content)
    with raises(ResultError, "campaign-plan-unreadable"):
        state(campaign)


def test_a_worker_in_another_container_with_this_host_name_is_not_asked_for_its_process(running, campaign):
    """Its process id may be free here, or that of another process."""
    lines = [json.loads(line) for line in running.read_text().splitlines()]
    lines[0] |= {**this_process(), "pid": 2**22 + 1, "pid_namespace": "pid:[1]"}
    running.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert state(campaign).count("running") == 1
    old = time.time() - 3600
    os.utime(running, (old, old))
    assert state(campaign).count("stale") == 1


def test_a_worker_names_its_machine(campaign, suite):
    plan = campaign.start(suite.name, suite.cells())
    with campaign.worker(plan):
        ((first, *_),) = campaign.events(plan).values()
        assert {key: first[key] for key in this_process()} == this_process()


def write_worker(campaign, plan, name, lines):
    file = campaign.folder / "workers" / f"{name}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    host = {"event": "start", "host": name, "pid": 1, "born": "1"}
    file.write_text(
        "".join(json.dumps({**line, "plan": plan, "time": number}) + "\n" for number, line in enumerate([host, *lines]))
    )
    return file


def test_each_run_of_a_suite_with_two_protocols_counts(campaign, suite):
    """Two runs that differ in the protocol only have the same words, and different folders."""
    cells = replace(suite, protocols=("medzoo", "juodelyte2023"), seeds=(0,)).cells()
    assert len(cells) == 2 and str(cells[0]) == str(cells[1])
    plan = campaign.start(suite.name, cells)
    one, other = (cell.folder.as_posix() for cell in cells)
    end = {"event": "end", "run": one, "status": "failed", "seconds": 1.0, "cached": False, "reason": "no value"}
    write_worker(campaign, plan, "node7", [end, {"event": "begin", "run": other, "name": str(cells[1])}])
    found = state(campaign)
    assert dict(found.runs) == {one: "failed", other: "running"} and dict(found.reasons) == {one: "no value"}
    text = str(found)
    assert "2 runs" in text and f"failed: {cells[0]} ({one}): no value" in text
    assert f"1 run, {cells[1]} ({other})" in text


def test_a_run_that_another_worker_took_over_is_running(campaign, suite):
    """In both orders of the names of the workers: the file of the killed one still names the run."""
    cells = suite.cells()
    plan = campaign.start(suite.name, cells)
    begin = {"event": "begin", "run": cells[0].folder.as_posix(), "name": str(cells[0])}
    alive, *killed = (write_worker(campaign, plan, name, [begin]) for name in ("node2", "node1", "node3"))
    for file in killed:
        os.utime(file, (time.time() - 3600,) * 2)
    found = state(campaign)
    assert (found.count("running"), found.count("stale")) == (1, 0) and "stale: " not in str(found)
    os.utime(alive, (time.time() - 3600,) * 2)
    assert state(campaign).count("stale") == 1
