"""A switch that forbids downloads of data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ALLOWED: ContextVar[bool] = ContextVar("downloads", default=True)


def downloads_allowed() -> bool:
    """Whether a task may download its data; False inside of `no_downloads`."""
    return _ALLOWED.get()


@contextmanager
def no_downloads() -> Iterator[None]:
    """Forbid downloads in the block: data that are not on this machine count as missing.

    >>> with no_downloads():
    ...     downloads_allowed()
    False
    """
    token = _ALLOWED.set(False)
    try:
        yield
    finally:
        _ALLOWED.reset(token)
