"""Keep freed memory in the process for the next batch, instead of returning it to the system and allocating it again."""

from __future__ import annotations

from contextlib import suppress
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_TRIM_BYTES, _MMAP_BYTES = 1 << 30, 32 << 20  # glibc accepts at most 32 MiB for the second


@cache
def keep_memory() -> None:
    """Let this process keep up to 1 GiB of freed memory. With a C library other than glibc, nothing changes.

    By default glibc returns large blocks at once, and the system then clears each page again at its first use. This takes half of
    the time of a batch of 64 images (benchmarks/data.py). Results do not depend on it.

    Source: https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    with suppress(OSError, AttributeError):
        import ctypes

        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - other C libraries have no such name
        library.mallopt(_MMAP_THRESHOLD, _MMAP_BYTES)
        library.mallopt(_TRIM_THRESHOLD, _TRIM_BYTES)
