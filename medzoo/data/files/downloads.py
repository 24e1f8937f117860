"""Whether a task may fetch its data now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ALLOWED: ContextVar[bool] = ContextVar("downloads", default=True)


def downloads_allowed() -> bool:
    """Whether a task may fetch its data now; False below `no_downloads`."""
    return _ALLOWED.get()


@contextmanager
def no_downloads() -> Iterator[None]:
    """While the block runs, data that are not here are missing, and nothing is fetched.

    >>> with no_downloads():
    ...     downloads_allowed()
    False
    """
    token = _ALLOWED.set(False)
    try:
        yield
    finally:
        _ALLOWED.reset(token)
