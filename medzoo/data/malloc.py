"""Memory that was used once is kept for the next batch, instead of given back to the system and asked for again."""

from __future__ import annotations

from contextlib import suppress
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_KEPT, _LARGEST = 1 << 30, 32 << 20  # bytes; glibc takes no more than 32 MiB for the second


@cache
def keep_memory() -> None:
    """Let this process keep up to a gibibyte of freed memory; where the C library is not glibc, nothing changes.

    By default glibc returns large blocks at once, and the system then clears each page again at its first use: half of the time
    that a batch of 64 images takes (benchmarks/data.py). Results do not depend on it.

    Source: https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    with suppress(OSError, AttributeError):
        import ctypes

        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - other C libraries have no such name
        library.mallopt(_MMAP_THRESHOLD, _LARGEST)
        library.mallopt(_TRIM_THRESHOLD, _KEPT)
