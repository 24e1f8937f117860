"""Claims: a lock file with one holder at a time, of this machine or of another one on the same disk.

A holder's heart beats: it touches its file while it works. A claim of a process of this machine that has ended, or of another
machine whose heart has stopped, is taken over.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from medzoo.errors import RunFolderError

LEASE, BEAT = 600.0, 30.0  # seconds; clocks of machines on one disk may differ by minutes
ASIDE = ".tmp-"


def process_alive(pid: int, born: str | None = None) -> bool:
    """Whether a process of this machine runs.

    Args:
        pid: its number.
        born: what `process_birth` said of it, since numbers are given out again.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    now = process_birth(pid)
    if now == "zombie":  # it has ended, though its number is still taken
        return False
    return born is None or now is None or now == born


def process_birth(pid: int) -> str | None:
    """When a process began, in ticks of this machine's clock; "zombie" if it has ended; None where the system does not say."""
    with suppress(OSError, IndexError):
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "zombie" if state == "Z" else rest[18]
    return None


@contextmanager
def claim(path: Path, *, lease: float = LEASE) -> Iterator[None]:
    """Hold `path` as a lock file while the block runs, so that two workers never do the same work.

    Args:
        path: the file.
        lease: seconds without a heartbeat after which another machine's claim counts as left behind.

    Raises:
        RunFolderError: if a live process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    pid = os.getpid()
    mine = {
        "host": socket.gethostname(), "pid": pid, "born": process_birth(pid), "started": time.time(),
        "token": uuid.uuid4().hex,
    }  # fmt: skip
    for attempt in range(100):
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            time.sleep(0.001 * attempt)
            holder = _holder(path)
            if holder is None:  # given back in this moment
                continue
            if is_live(path, holder, lease):
                raise RunFolderError(
                    f"{path} is held by {holder or 'a process that just began'}. Wait for it, or remove the file if it is gone."
                ) from None
            _set_aside(path, holder)
            continue
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(mine, file)
        except OSError:  # a full disk: nobody holds it
            path.unlink(missing_ok=True)
            raise
        break
    else:
        raise RunFolderError(f"{path} is contended by several processes; try again.")
    stop = threading.Event()
    threading.Thread(target=_beat, args=(path, stop, min(BEAT, lease / 5)), daemon=True).start()
    try:
        yield
    finally:
        stop.set()
        with suppress(OSError, ValueError):
            if json.loads(path.read_text()).get("token") == mine["token"]:
                path.unlink()


@contextmanager
def wait_for(
    path: Path,
    *,
    lease: float = LEASE,
    pause: float = 0.5,
    at_most: float | None = None,
    waiting: Callable[[RunFolderError], None] = lambda _: None,
) -> Iterator[None]:
    """Hold `path` as `claim` does, after its holder has given it back.

    Args:
        path: the file.
        lease: as for `claim`.
        pause: seconds between two tries.
        at_most: seconds to wait; by default as long as it takes.
        waiting: called once, with what says who holds the file, when the wait begins.

    Raises:
        RunFolderError: if it is still held after `at_most` seconds.
    """
    started, called = time.monotonic(), False
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(claim(path, lease=lease))
                break
            except (RunFolderError, FileNotFoundError) as error:  # the holder may end between two looks at its file
                if at_most is not None and time.monotonic() - started > at_most:
                    raise
                if not called and isinstance(error, RunFolderError):
                    waiting(error)
                    called = True
                time.sleep(pause)
        yield


def _beat(path: Path, stop: threading.Event, every: float) -> None:
    while not stop.wait(every):
        with suppress(OSError):
            os.utime(path)


def _holder(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return None


def _set_aside(path: Path, judged: str) -> None:
    """Remove a dead claim; if a live one had taken its place meanwhile, put that back."""
    aside = path.with_name(f"{ASIDE}{uuid.uuid4().hex[:12]}-stale")
    with suppress(FileNotFoundError):  # of several takers only one renames
        os.rename(path, aside)
        if _holder(aside) != judged:
            with suppress(OSError):  # taken again already, or a disk without links
                os.link(aside, path)
        aside.unlink()


def is_live(path: Path, content: str, lease: float = LEASE) -> bool:
    """Whether the holder of a claim still works.

    Args:
        path: the claim's file.
        content: what stands in it.
        lease: as for `claim`.
    """
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return False
    try:
        holder = json.loads(content)
    except ValueError:
        return age < 5  # just created, not yet written
    if holder.get("host") == socket.gethostname():
        return process_alive(int(holder.get("pid", -1)), holder.get("born"))
    return age < lease
