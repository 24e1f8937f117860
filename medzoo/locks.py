"""Claims: a lock file with one holder at a time, on this machine or on another one with the same disk.

The holder updates the file's mtime while it works. Another process takes a claim over if its holder was a process of this
machine that has ended, or if it is from another machine and was not updated for `lease` seconds. Two containers are two
machines, even with one host name, because a process id of one means nothing in the other.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from medzoo.errors import RunFolderError

LEASE, BEAT = 600.0, 30.0  # seconds; clocks of machines with one disk may differ by minutes
TEMPORARY = ".tmp-"


def process_alive(pid: int, born: str | None = None) -> bool:
    """Whether a process of this machine runs.

    Args:
        pid: the process id.
        born: its `process_birth`, because systems use process ids again.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    now = process_birth(pid)
    if now == "zombie":  # it has ended, but its id is still in use
        return False
    return born is None or now is None or now == born


def process_birth(pid: int) -> str | None:
    """The start of a process in clock ticks of this machine; "zombie" if it has ended; None if the system does not report it."""
    with suppress(OSError, IndexError):
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "zombie" if state == "Z" else rest[18]
    return None


def this_process() -> dict[str, Any]:
    """What names this process to others with the same disk: machine, process id, and what gives the id its meaning."""
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "boot": _boot(),
        "pid_namespace": _pid_namespace(),
        "pid": pid,
        "born": process_birth(pid),
    }


def _boot() -> str | None:
    """The id of this start of the system; None if it has none."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return None


def _pid_namespace() -> str | None:
    """The namespace of this process's id, which differs between containers; None if the system has none."""
    with suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return None


def runs_here(holder: Mapping[str, Any]) -> bool | None:
    """Whether a process runs, if this process can ask for it; None if its id belongs to another machine or container.

    Args:
        holder: from `this_process`; an earlier medzoo wrote only host, pid and born.
    """
    here = {"host": socket.gethostname(), "boot": _boot(), "pid_namespace": _pid_namespace()}
    if holder.get("host") != here["host"] or any(holder.get(key, value) != value for key, value in here.items()):
        return None
    return process_alive(int(holder.get("pid", -1)), holder.get("born"))


@contextmanager
def claim(path: Path, *, lease: float = LEASE) -> Iterator[None]:
    """Hold `path` as a lock file while the block runs, so that two workers never do the same work.

    Args:
        path: the lock file.
        lease: seconds without an mtime update after which a claim of another machine is stale.

    Raises:
        RunFolderError: if a live process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = {**this_process(), "started": time.time(), "token": uuid.uuid4().hex}
    # only one process can create the file; a stale file is removed and the creation is tried again
    for attempt in range(100):
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            time.sleep(0.001 * attempt)
            holder = _holder(path)
            if holder is None:  # it was released in this moment
                continue
            if is_live(path, holder, lease):
                raise RunFolderError(
                    f"{path} is locked by {holder or 'a process that just started'}. Wait until it ends; if that process is "
                    "not running any more, remove the file.",
                    code="lock-held",
                ) from None
            _remove_stale(path, holder)
            continue
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(mine, file)
        except OSError:  # a full disk: a file without its holder must not stay
            path.unlink(missing_ok=True)
            raise
        break
    else:
        raise RunFolderError(f"{path}: several processes try to lock it. Try again.", code="lock-contended")
    # at the end remove the file, but only if it is still this claim
    try:
        with keep_fresh(path, min(BEAT, lease / 5)):
            yield
    finally:
        with suppress(OSError, ValueError):
            if json.loads(path.read_text()).get("token") == mine["token"]:
                path.unlink()


@contextmanager
def keep_fresh(path: Path, every: float = BEAT) -> Iterator[None]:
    """Update the mtime of a file in a thread while the block runs: the heartbeat that others see.

    Args:
        path: the file.
        every: seconds between two updates.
    """
    stop = threading.Event()
    threading.Thread(target=_beat, args=(path, stop, every), daemon=True).start()
    try:
        yield
    finally:
        stop.set()


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


def _remove_stale(path: Path, content: str) -> None:
    """Remove a stale claim with this content; a newer claim that has replaced it is put back."""
    renamed = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex[:12]}-stale")
    with suppress(FileNotFoundError):  # of several processes only one can rename it
        os.rename(path, renamed)
        if _holder(renamed) != content:
            with suppress(OSError):  # claimed again already, or a disk without hard links
                os.link(renamed, path)
        renamed.unlink()


def is_live(path: Path, content: str, lease: float = LEASE) -> bool:
    """Whether the holder of a claim still works.

    Args:
        path: the claim's file.
        content: its text.
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
    runs = runs_here(holder)
    return age < lease if runs is None else runs
