"""The state of a campaign from its files, with crashes, other machines and wrong clocks."""

import json
import os
import time

import pytest
from expect import raises

from medzoo.bench.campaign.status import campaign_state
from medzoo.errors import ResultError, UsageError


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
