"""A cache of values computed from the files of a folder, each valid until its file changes."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from medzoo import paths
from medzoo.store import write_json

NOTE_SECONDS = 60.0  # a scan that is killed loses at most the values of this time


def look_up(root: Path, names: Sequence[str], kind: str, find: Callable[[str], Any], doing: str) -> list[Any]:
    """A JSON value for each file: from the cache if size, mtime and inode are the same, else computed and stored.

    New values are stored every minute and at the end, also after an error or an interrupt. A long scan shows a bar on a terminal.

    Args:
        root: the data's folder.
        names: paths below it.
        kind: name of the value; each kind has a separate cache file.
        find: computes the value of a file from its name.
        doing: the work in two words, for the bar.

    Raises:
        OSError: if a file cannot be read.
    """
    place = hashlib.sha256(str(root.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    note = paths.home() / "receipts" / f"{kind}-{place}.json"
    known: dict[str, list[Any]] = {}
    with suppress(OSError, ValueError, AttributeError):
        known = dict(json.loads(note.read_text())["files"].items())
    values: list[Any] = []
    changed = False

    def store() -> None:
        """Values of other files stay: another task may read other files of the same folder."""
        with suppress(OSError):  # with a read-only home, nothing is stored
            write_json(note, {"root": str(root.resolve()), "files": known})

    try:
        stored = time.monotonic()
        with tqdm(total=len(names), desc=doing, unit="file", disable=None, delay=2, leave=False) as bar:
            for name in names:
                status = (root / name).stat()
                state = [status.st_size, status.st_mtime_ns, status.st_ino]
                old = known.get(name)
                if not (isinstance(old, list) and old[:3] == state and len(old) == 4):
                    known[name] = [*state, find(name)]
                    changed = True
                    if time.monotonic() - stored >= NOTE_SECONDS:
                        store()
                        stored, changed = time.monotonic(), False
                values.append(known[name][3])
                bar.update()
    finally:
        if changed:
            store()
    return values
