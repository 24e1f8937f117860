"""One process downloads a file; others wait until it is done."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from medzoo import store
from medzoo.errors import RunFolderError


@contextmanager
def download_lock(lock: Path, what: str) -> Iterator[None]:
    """Wait until no other process downloads the same thing.

    Args:
        lock: the lock file.
        what: the download's name, for the message.
    """
    waiting = False
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(store.claim(lock))
                break
            except RunFolderError as error:
                if not waiting:
                    print(f"Waiting for another process that downloads {what}: {error}", file=sys.stderr)
                waiting = True
                time.sleep(0.5)
        yield
