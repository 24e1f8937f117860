"""Progress of long work on stderr: a bar on a terminal, lines everywhere else (Slurm, nohup, CI).

Lines are records of the logger "medzoo", so `logging.getLogger("medzoo").setLevel("WARNING")` turns them off. In a launch of
several processes, only the first one writes.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from medzoo.errors import printable

LINE_SECONDS = 120.0  # between two progress lines
FIRST_SECONDS = 10.0  # until the first progress line
BRIEF_SECONDS = 30.0  # between lines of runs that are parts of a suite
BAR_SECONDS = 0.5  # between two updates of the values next to a bar
SHOW_AFTER = 1.0  # seconds: shorter work on a file shows nothing
LARGE = 32 * 2**20  # bytes: smaller files are hashed in less than a second on any disk
CHUNK = 2**20  # bytes
_log = logging.getLogger("medzoo")
_parts: list[str] = []
_last = float("-inf")  # when the last line was written


def is_main_process() -> bool:
    """Whether this process prints and writes files: the only one, or the first of a launch."""
    return int(os.environ.get("RANK", "0")) == 0


def on_terminal() -> bool:
    """Whether stderr is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def output_width() -> int | None:
    """Width of the terminal that stdout writes to, characters; None if stdout is a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else None


class _Stderr(logging.Handler):
    """Writes lines to the current stderr, above the bars."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            tqdm.write(self.format(record), file=sys.stderr)
            sys.stderr.flush()
        except Exception:  # a closed stream must not end a run
            self.handleError(record)


def say(text: str) -> None:
    """Write one line to stderr, from the first process of a launch."""
    global _last
    if not is_main_process():
        return
    if not _log.handlers:
        _log.addHandler(_Stderr())
        _log.setLevel(logging.INFO if _log.level == logging.NOTSET else _log.level)
        _log.propagate = False  # else each line could appear twice
    _last = time.monotonic()
    _log.info(text)


@contextmanager
def brief(begins: str = "") -> Iterator[None]:
    """Inside this block, a run is a part of a larger job: it prints another header and fewer lines.

    Args:
        begins: the line to print in place of the header of a part; it is not printed for parts without work.
    """
    _parts.append(begins)
    try:
        yield
    finally:
        _parts.pop()


def is_brief() -> bool:
    """Whether the current run is a part of a larger job (see `brief`)."""
    return bool(_parts)


def header(text: str) -> None:
    """Write the first line of a run; within a larger job, write that job's line for the part instead, if there is no bar."""
    if not _parts:
        say(text)
    elif _parts[-1] and not on_terminal():
        say(_parts[-1])


def say_part(text: str) -> None:
    """Write a line of a run, unless the run is a part of a larger job."""
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
    """Seconds as text with units.

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
    """A number with its noun in singular or plural.

    >>> counted(1, "thread"), counted(1200, "image"), counted(2, "process", "processes")
    ('1 thread', '1,200 images', '2 processes')
    """
    return f"{number:,} {one if number == 1 else more or one + 's'}"


class Steps:
    """The progress of work with a known number of steps: a bar on a terminal, else a line from time to time.

    Args:
        name: of the work, such as "resnet18-random on phantom_oct".
        total: number of steps.
        unit: name of one step.
        done: number of steps done before.
        bar: True always shows a bar, False shows nothing; None shows a bar on a terminal and lines elsewhere.

    >>> with Steps("decode", 2, "image", bar=False) as steps:
    ...     steps.update(2)
    >>> steps.done
    2
    """

    def __init__(self, name: str, total: int, unit: str, *, done: int = 0, bar: bool | None = None) -> None:
        self.name, self.total, self.unit, self.done = name, total, unit, done
        self._start, self._from = time.monotonic(), done
        main = is_main_process()
        self._part = is_brief()
        self._lines = main and bar is None and not on_terminal()
        show_bar = main and (on_terminal() if bar is None else bar)
        self._bar = tqdm(total=total, initial=done, unit=unit, desc=name, leave=False, disable=not show_bar)
        self._next_line, self._bar_updated = self._start + FIRST_SECONDS, self._start

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    @property
    def seconds_left(self) -> float | None:
        """Expected seconds until the end at the speed so far; None before the first step."""
        steps = self.done - self._from
        return self.seconds / steps * (self.total - self.done) if steps else None

    def ends(self) -> str:
        """The expected time until the end, as the last part of a line; empty when all is done.

        >>> Steps("x", 3, "step", bar=False).ends()
        ''
        """
        return "" if self.seconds_left is None or self.done >= self.total else f", ETA {duration(self.seconds_left)}"

    def update(self, count: int = 1, words: Callable[[], str] | None = None) -> None:
        """Count finished steps.

        Args:
            count: number of steps.
            words: gives the values next to the bar or in the line; called only when they are shown.
        """
        self._bar.update(count)
        now = time.monotonic()
        if words is not None and not self._bar.disable and now - self._bar_updated >= BAR_SECONDS:
            self._bar_updated = now
            self._bar.set_postfix_str(words(), refresh=False)
        self._maybe_line(self.done + count, words)

    def grow(self, count: int) -> None:
        """Add steps that were not known at the start, such as the frames of a file."""
        self.total += count
        self._bar.total += count

    def wait(self, done: int, why: str) -> None:
        """Show the progress of other processes while this process waits for them.

        Args:
            done: steps, of the total.
            why: text next to the bar or in the line.
        """
        self._bar.n = done
        self.postfix(why)
        self._maybe_line(done, lambda: why)

    def move_to(self, done: int, ready: int | None = None) -> None:
        """Set the number of finished steps.

        Args:
            done: finished steps, here or in another process.
            ready: those of them that took no time, and so say nothing about the speed; None leaves those of the start.
        """
        if ready is not None:
            self._from = self._bar.initial = ready
        self.done = self._bar.n = done
        self._bar.refresh()

    def _maybe_line(self, done: int, words: Callable[[], str] | None) -> None:
        """Write a line if enough time has passed since the last one and the work is not finished."""
        self.done, now = done, time.monotonic()
        if self._lines and now >= self._next_line and done < self.total:
            self._next_line = now + LINE_SECONDS
            values = f", {words()}" if words is not None else ""
            self._say(f"{self.name}: {done:,} of {counted(self.total, self.unit)}{values}{self.ends()}")

    def postfix(self, text: str) -> None:
        """Show a text next to the bar, such as the current item."""
        self._bar.set_postfix_str(text)

    def line(self, text: str) -> None:
        """Write a line, if no bar is shown."""
        if self._lines:
            self._next_line = time.monotonic() + LINE_SECONDS
            self._say(text)

    def _say(self, text: str) -> None:
        if not self._part or time.monotonic() - _last >= BRIEF_SECONDS:
            say(text)

    def close(self) -> None:
        """Close the bar."""
        self._bar.close()


def hash_file(path: Path, algorithm: str = "sha256") -> str:
    """The hash of a file's bytes, hexadecimal. On a terminal, a bar shows bytes, rate and time left if it takes over a second.

    Args:
        path: the file.
        algorithm: a name that hashlib knows.

    >>> hash_file(Path(os.devnull), "md5")
    'd41d8cd98f00b204e9800998ecf8427e'
    """
    return hash_files([path], algorithm)


def hash_files(parts: Sequence[Path], algorithm: str = "sha256") -> str:
    """As `hash_file`, for the bytes of several files in their order.

    Args:
        parts: at least one file.
        algorithm: a name that hashlib knows.
    """
    total = sum(part.stat().st_size for part in parts)
    digest, buffer = hashlib.new(algorithm), memoryview(bytearray(min(CHUNK, max(total, 1))))
    name = f"hash {printable(Path(parts[0].parent.name) / parts[0].name)}"
    hidden = total < LARGE or not (is_main_process() and on_terminal())
    with tqdm(total=total, unit="B", unit_scale=True, desc=name, leave=False, delay=SHOW_AFTER, disable=hidden) as bar:
        for part in parts:
            with part.open("rb", buffering=0) as file:
                while count := file.readinto(buffer):
                    digest.update(buffer[:count])
                    bar.update(count)
    return digest.hexdigest()
