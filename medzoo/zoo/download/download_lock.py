"""One process downloads a file; others wait until it is done."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medzoo.errors import RunFolderError
from medzoo.locks import wait_for


@contextmanager
def download_lock(lock: Path, what: str) -> Iterator[None]:
    """Wait until no other process downloads the same thing.

    Args:
        lock: the lock file.
        what: the download's name, for the message.
    """

    def say(error: RunFolderError) -> None:
        print(f"Waiting for another process that downloads {what}: {error}", file=sys.stderr)

    with wait_for(lock, waiting=say):
        yield
