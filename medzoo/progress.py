"""What long work says on stderr: a bar on a terminal, lines everywhere else (Slurm, nohup, CI).

Lines are records of the logger "medzoo", so that `logging.getLogger("medzoo").setLevel("WARNING")` makes a program quiet. Of a
launch of several processes, the first one speaks.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

LINE_SECONDS = 120.0  # between two lines of one long piece of work
FIRST_SECONDS = 10.0  # until its first line
BRIEF_SECONDS = 30.0  # between lines of runs that are parts of a suite
BAR_SECONDS = 0.5  # between two looks at the numbers that a bar shows
_log = logging.getLogger("medzoo")
_parts: list[str] = []
_last = float("-inf")  # when the last line was written


def is_main_process() -> bool:
    """Whether this process speaks and writes: the only one, or the first of a launch."""
    return int(os.environ.get("RANK", "0")) == 0


def on_terminal() -> bool:
    """Whether somebody looks at stderr."""
    return sys.stderr is not None and sys.stderr.isatty()


class _Stderr(logging.Handler):
    """Lines on stderr as it is now, above the bars that stand there."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            tqdm.write(self.format(record), file=sys.stderr)
            sys.stderr.flush()
        except Exception:  # a closed stream is no reason to end a run
            self.handleError(record)


def say(text: str) -> None:
    """Write one line to stderr, from the first process of a launch."""
    global _last
    if not is_main_process():
        return
    if not _log.handlers:
        _log.addHandler(_Stderr())
        _log.setLevel(logging.INFO if _log.level == logging.NOTSET else _log.level)
        _log.propagate = False  # it would stand there twice
    _last = time.monotonic()
    _log.info(text)


@contextmanager
def brief(begins: str = "") -> Iterator[None]:
    """Inside, the parts of a larger piece of work say little: another line than their own header, and their lines come seldom.

    Args:
        begins: the line that stands for the header of a part; of parts that have nothing to do, none is written.
    """
    _parts.append(begins)
    try:
        yield
    finally:
        _parts.pop()


def is_brief() -> bool:
    """Whether what runs now is a part of something that said its own first line."""
    return bool(_parts)


def header(text: str) -> None:
    """Write the line that a run begins with, or the one that stands for it in a larger piece of work, whose bar shows the same."""
    if not _parts:
        say(text)
    elif _parts[-1] and not on_terminal():
        say(_parts[-1])


def say_part(text: str) -> None:
    """Write a line of a run, unless it is a part of a larger piece of work."""
    if not _parts:
        say(text)


def warn(text: str) -> None:
    """A UserWarning that reads as one line, from the first process of a launch.

    Args:
        text: whole sentences.
    """
    if not is_main_process():
        return
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    try:
        warnings.warn(text, UserWarning, stacklevel=3)
    finally:
        warnings.formatwarning = before


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(3.21), duration(125), duration(7260)
    ('3.2 s', '2 min 5 s', '2 h 1 min')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def counted(number: int, one: str, more: str | None = None) -> str:
    """A number with its word.

    >>> counted(1, "thread"), counted(1200, "image"), counted(2, "process", "processes")
    ('1 thread', '1,200 images', '2 processes')
    """
    return f"{number:,} {one if number == 1 else more or one + 's'}"


class Steps:
    """The progress of work that has a known number of steps: a bar on a terminal, else a line now and then.

    Args:
        name: what is done, such as "resnet18-random on phantom_oct".
        total: how many steps.
        unit: what one of them is.
        done: how many were done before.
        bar: True shows a bar also elsewhere, False nothing at all; None a bar on a terminal and lines elsewhere.

    >>> with Steps("decode", 2, "image", bar=False) as steps:
    ...     steps.update(2)
    >>> steps.done
    2
    """

    def __init__(self, name: str, total: int, unit: str, *, done: int = 0, bar: bool | None = None) -> None:
        self.name, self.total, self.unit, self.done = name, total, unit, done
        self._began, self._from = time.monotonic(), done
        main = is_main_process()
        self._part = is_brief()
        self._lines = main and bar is None and not on_terminal()
        shown = main and (on_terminal() if bar is None else bar)
        self._bar = tqdm(total=total, initial=done, unit=unit, desc=name, leave=False, disable=not shown)
        self._next = self._began + FIRST_SECONDS
        self._looked = self._began

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    @property
    def left(self) -> float | None:
        """Seconds until the end at the speed so far; None before the first step."""
        made = self.done - self._from
        return self.seconds / made * (self.total - self.done) if made else None

    def ends(self) -> str:
        """When the end is to be expected, as the end of a line; empty at the end itself.

        >>> Steps("x", 3, "step", bar=False).ends()
        ''
        """
        return "" if self.left is None or self.done >= self.total else f", ETA {duration(self.left)}"

    def update(self, count: int = 1, words: Callable[[], str] | None = None) -> None:
        """Note steps that were made.

        Args:
            count: how many.
            words: gives the numbers beside the bar or in the line; called only where they will be shown.
        """
        self._bar.update(count)
        now = time.monotonic()
        if words is not None and not self._bar.disable and now - self._looked >= BAR_SECONDS:
            self._looked = now
            self._bar.set_postfix_str(words(), refresh=False)
        self._now_and_then(self.done + count, words)

    def wait(self, done: int, why: str) -> None:
        """Note what others have done, while this process waits for them.

        Args:
            done: steps, of the total.
            why: beside the bar or in the line.
        """
        self._bar.n = done
        self.beside(why)
        self._now_and_then(done, lambda: why)

    def move_to(self, done: int) -> None:
        """Correct what is done: another process may have done a part, or taken some back."""
        self.done = self._bar.n = done
        self._bar.refresh()

    def _now_and_then(self, done: int, words: Callable[[], str] | None) -> None:
        """A line, if there was none for a while and the end is not there."""
        self.done = done
        now = time.monotonic()
        if self._lines and now >= self._next and done < self.total:
            self._next = now + LINE_SECONDS
            said = f", {words()}" if words is not None else ""
            self._say(f"{self.name}: {done:,} of {counted(self.total, self.unit)}{said}{self.ends()}")

    def beside(self, text: str) -> None:
        """Show something beside the bar, such as what is at work."""
        self._bar.set_postfix_str(text)

    def line(self, text: str) -> None:
        """Write a line, where there is no bar that shows the same."""
        if self._lines:
            self._next = time.monotonic() + LINE_SECONDS
            self._say(text)

    def _say(self, text: str) -> None:
        if not self._part or time.monotonic() - _last >= BRIEF_SECONDS:
            say(text)

    def close(self) -> None:
        """End the bar."""
        self._bar.close()
