"""What the crash tests do to processes and folders: children that answer, states that compare, what was not flushed."""

from __future__ import annotations

import gc
import hashlib
import importlib
import json
import os
import re
import signal
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

KILLED, SECONDS = 9, 120
WRITES = ("write", "pwrite64", "writev", "sendfile", "copy_file_range", "splice")
# What differs from one run to the next and says nothing: random parts of names; of receipts and claims, whose they are.
RANDOM_NAMES = (
    re.compile(r"(?<=\.tmp-)[0-9a-f]{12}"), re.compile(r"(?<=\.tmp)[A-Za-z0-9]{6}$"),
    re.compile(r"(?<=\.tmp-add-)\w{8}"), re.compile(r"(?<=\.tmp-convert-)\w{8}"),
)  # fmt: skip
RANDOM_FACTS = re.compile(rb'"(inode|mtime_ns|pid|born|started|token)": *("[^"]*"|[0-9.]+|null)')
PART = b"a part of JSON"
RECEIPTS = re.compile(r"home/receipts(/[0-9a-f]{32}\.json)?")
UNFINISHED = re.compile(r"/\.tmp|\.part(/|$)")


def fork(function: Callable[[], Any], meanwhile: Callable[[], None] | None = None) -> tuple[int, Any, str | None]:
    """Exit code, JSON value and error of a function in a child; a child that hangs is ended. `meanwhile` is done here."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(SECONDS)
        gc.disable()  # it would copy the pages of every object that it looks at
        os.close(reader)
        value, error = None, None
        try:
            value = function()
        except BaseException:
            error = traceback.format_exc()
        with os.fdopen(writer, "w") as out:
            json.dump([value, error], out)
        os._exit(1 if error else 0)
    os.close(writer)
    if meanwhile is not None:
        meanwhile()
    with os.fdopen(reader) as answer:
        text = answer.read()
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    value, error = json.loads(text) if text else (None, f"the child ended with {code}")
    return code, value, None if code == KILLED else error


def in_child(function: Callable[[], Any]) -> tuple[Any, str | None]:
    """Value and error of a function in a child, so that this process learns and keeps nothing."""
    return fork(function)[1:]


def must(answer: tuple[Any, str | None]) -> Any:
    """The value, or the child's error as ours."""
    if answer[1]:
        raise RuntimeError(answer[1])
    return answer[0]


def load(modules: Iterable[str]) -> None:
    """Import what a child imported, so that the next ones need not."""
    import sys

    for name in sorted({*modules} - {*sys.modules}):
        try:
            importlib.import_module(name)
        except Exception:  # made by hand, not by a file
            continue


def names(folder: Path) -> list[str]:
    """All that lies below a folder; receipts, which every reader writes and a later prune removes, are left out."""
    here = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    return [name for name in here if not RECEIPTS.fullmatch(name)]


def digest(folder: Path) -> tuple[str, str]:
    """The state of a folder, whole and without what is inside of temporary files and folders (that they are there counts)."""
    rows, outside = [], []
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        below = name.find("/", name.find(".tmp-")) > name.find(".tmp-") >= 0
        for pattern in RANDOM_NAMES:
            name = pattern.sub("X", name)
        content = b""
        if path.is_file():
            content = path.read_bytes()
            if len(content) < 10_000:
                content = PART if _is_part(content) else RANDOM_FACTS.sub(b"", content)
        rows.append([name, path.lstat().st_mode, hashlib.sha256(content).hexdigest()])
        if not below:
            outside.append(rows[-1][:2] if ".tmp-" in name else rows[-1])
    whole, without = (hashlib.sha256(json.dumps(sorted(each)).encode()).hexdigest() for each in (rows, outside))
    return whole, without


def _is_part(content: bytes) -> bool:
    """Whether this is the beginning of JSON: where half of it ends hangs on how many digits the process number has."""
    if not content.startswith(b"{"):
        return False
    try:
        json.loads(content)
    except ValueError:
        return True
    return False


def later(folder: Path) -> None:
    """Let a claim that a kill left empty be older than the seconds in which its holder may still be writing it."""
    for pattern in (".*.lock", "*.put.json", "*.claim"):
        for path in folder.rglob(pattern):
            past = path.stat().st_mtime - 60
            os.utime(path, (past, past))


def unflushed(calls: Iterable[str]) -> list[str]:
    """Files that got their name before their bytes were flushed, and names whose folder was not flushed after.

    A kill loses neither, a power cut both. Of temporary files and of folders that are not in place yet nobody reads.

    Args:
        calls: of the journal, in order: name, path, second path.
    """
    dirty: set[str] = set()  # files written and not flushed
    named: dict[str, str] = {}  # a folder in which a name appeared since it was flushed, and that name
    found = []
    for call in calls:
        what, one, two = (*call.split("\t"), "", "")[:3]
        if what.partition(" ")[0] in (*WRITES, "ftruncate"):
            dirty.add(one)
        elif what in ("fsync", "fdatasync"):
            dirty.discard(one)
            named.pop(one, None)
        elif what in ("rename", "renameat", "renameat2", "link", "linkat"):
            below = {path for path in dirty if path == one or path.startswith(f"{one}/")}
            moved = {two + path.removeprefix(one) for path in below}
            dirty = (dirty - below) | moved
            if not UNFINISHED.search(two):
                found += [f"{path} was not flushed before it got its name" for path in sorted(moved)]
                named[two.rpartition("/")[0]] = two
        elif what in ("unlink", "unlinkat"):
            dirty.discard(one)
    return [*found, *(f"the folder of {path} was not flushed after" for path in named.values())]
