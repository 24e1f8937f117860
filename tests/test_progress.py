"""Lines where stderr is no terminal, a bar where it is one, and silence from all but the first process."""

import io
import logging
import sys

import pytest

from medzoo import progress
from medzoo.progress import Steps


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def lines(capsys):
    return capsys.readouterr().err.splitlines()


def test_a_line_is_there_at_once(capsys):
    progress.say("begun")
    assert lines(capsys) == ["begun"]


def test_only_the_first_process_speaks(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    progress.say("begun")
    progress.warn("careful")
    with Steps("x", 2, "step") as steps:
        steps.line("one")
    assert lines(capsys) == []


def test_a_program_can_be_quiet(capsys):
    logger = logging.getLogger("medzoo")
    before = logger.level
    try:
        logger.setLevel("WARNING")
        progress.say("begun")
        assert lines(capsys) == []
    finally:
        logger.setLevel(before)


def test_a_warning_is_one_line_and_a_warning(capsys):
    with pytest.warns(UserWarning, match="careful"):
        progress.warn("careful")


def test_long_work_says_where_it_is_now_and_then(capsys, clock):
    asked = []

    def words():
        asked.append(1)
        return "loss 0.5"

    with Steps("net on data", 1000, "step") as steps:
        for _ in range(999):
            clock[0] += 1.0
            steps.update(1, words)
        clock[0] += 1.0
        steps.update(1, words)
    told = lines(capsys)
    first, second = progress.FIRST_SECONDS, progress.FIRST_SECONDS + progress.LINE_SECONDS
    assert told[0].startswith(f"net on data: {first:.0f} of 1,000 steps, loss 0.5, ETA 16 min")
    assert told[1].startswith(f"net on data: {second:.0f} of 1,000 steps")
    assert len(told) == len(asked) == 1 + int((999 - first) // progress.LINE_SECONDS)


def test_work_that_goes_on_counts_its_own_speed(clock):
    with Steps("x", 100, "step", done=90, bar=False) as steps:
        assert steps.seconds_left is None and steps.ends() == ""
        clock[0] += 10.0
        steps.update(5)
        assert steps.seconds_left == pytest.approx(10.0) and steps.ends() == ", ETA 10 s"


def test_steps_that_took_no_time_say_nothing_about_the_speed(clock):
    with Steps("x", 100, "step", bar=False) as steps:
        clock[0] += 10.0
        steps.move_to(60, ready=50)  # other processes did some of them
        assert steps.seconds_left == pytest.approx(40.0)
        clock[0] += 10.0
        steps.move_to(70)
        assert steps.seconds_left == pytest.approx(30.0)


def test_parts_of_a_suite_are_brief(capsys, clock):
    with progress.brief("run 1 of 3"):
        progress.header("net on data: ...")
        progress.say_part("7 penalties fitted")
        with Steps("net on data", 10, "step") as steps:
            steps.line("epoch 1 of 10")
            clock[0] += progress.BRIEF_SECONDS + 1
            steps.line("epoch 2 of 10")
            steps.line("epoch 3 of 10")
    progress.header("next")
    assert lines(capsys) == ["run 1 of 3", "epoch 2 of 10", "next"]


def test_a_terminal_sees_a_bar_with_numbers_and_no_lines(monkeypatch, clock):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with Steps("net on data", 4, "step") as steps, progress.brief("run 1 of 1"):
        progress.header("net on data: ...")
        for _ in range(4):
            clock[0] += 1.0
            steps.update(1, lambda: "loss 0.25, AUROC 0.8")
            steps.postfix("loss 0.25, AUROC 0.8")
        steps.line("epoch 1 of 1: loss 0.25")
    text = screen.getvalue()
    assert "net on data" in text and "loss 0.25, AUROC 0.8" in text and "epoch 1" not in text
    assert "run 1 of 1" not in text and "..." not in text


@pytest.mark.parametrize("bar", [False, True])
def test_what_is_chosen_is_shown(capsys, bar):
    with Steps("decode", 3, "image", bar=bar) as steps:
        steps.update(3)
        steps.line("decoded")
    err = capsys.readouterr().err
    assert ("decode" in err) == bar and "decoded" not in err


def test_waiting_for_others_is_told(capsys, clock):
    with Steps("decode", 100, "image") as steps:
        clock[0] += progress.FIRST_SECONDS
        steps.wait(40, "by another process")
    (told,) = lines(capsys)
    assert "40 of 100 images" in told and "by another process" in told


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (605, "10 min"),
        (86399, "23 h 59 min"),
    ],
)
def test_durations(seconds, words):
    assert progress.duration(seconds) == words
