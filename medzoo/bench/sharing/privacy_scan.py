"""What in a result tells of a machine, a person or a patient: its words are looked through, not its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from medzoo.zoo.publish.privacy_scan import scan


def find_private(value: object, where: str) -> list[str]:
    """What must not leave, in sentences; empty if nothing.

    Args:
        value: a result, or a part of it.
        where: its file, for the sentences.

    >>> find_private({"train": {"reason": "no space on /mnt/ward3/scans/x.png"}}, "a.json")
    ['a.json, reason: a path on this machine (/mnt/ward3/scans/x.png)']
    """
    return [f"{where}, {key}: {what}" for key, word in dict.fromkeys(_words(value, "")) for what in _found(key, word)]


def _words(value: object, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _words(item, str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _words(item, key)
    else:  # of a number only the name can tell
        yield key, value if isinstance(value, str) else ""


@lru_cache(maxsize=100_000)  # the runs of a table share most of their words
def _found(key: str, word: str) -> tuple[str, ...]:
    return tuple(f"{row.what} ({row.excerpt})" for row in scan(f"{key}: {word or 0}", key))
