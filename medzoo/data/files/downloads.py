"""A switch that forbids downloads of data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from medzoo.http_download import offline_variable

_ALLOWED: ContextVar[bool] = ContextVar("downloads", default=True)


def why_no_downloads() -> str:
    """Why a task may not download its data now, as a sentence; empty if it may.

    Inside of `no_downloads` it may not, nor with HF_HUB_OFFLINE=1, which forbids the downloads of checkpoints too.
    """
    if variable := offline_variable():
        return f"{variable} forbids all downloads while it is set."
    return "" if _ALLOWED.get() else "This command downloads nothing."


@contextmanager
def no_downloads() -> Iterator[None]:
    """Forbid downloads in the block: data that are not on this machine count as missing.

    >>> with no_downloads():
    ...     bool(why_no_downloads())
    True
    """
    token = _ALLOWED.set(False)
    try:
        yield
    finally:
        _ALLOWED.reset(token)
