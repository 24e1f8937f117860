"""Search the texts of a result for private information about a machine, a user or a patient. Numbers are not searched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from medzoo.zoo.publish.privacy_scan import scan


def find_private(value: object, where: str) -> list[str]:
    """Sentences about private information in a result; empty if there is none.

    Args:
        value: a result, or a part of it.
        where: its file, for the sentences.

    >>> [text] = find_private({"train": {"reason": "no space on /mnt/ward3/scans/x.png"}}, "a.json")
    >>> text.partition(":")[0], "/mnt/ward3/scans/x.png" in text
    ('a.json, field reason', True)
    """
    return [
        f"{where}, field {key}: {what}"
        for key, word in dict.fromkeys(_words(value, ""))
        for what in _matches(key, word)
    ]


def _words(value: object, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _words(item, str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _words(item, key)
    else:  # of a number, only the key is searched
        yield key, value if isinstance(value, str) else ""


@lru_cache(maxsize=100_000)  # the runs of a table share most of their texts
def _matches(key: str, word: str) -> tuple[str, ...]:
    return tuple(f"{row.what} ({row.excerpt})" for row in scan(f"{key}: {word or 0}", key))
