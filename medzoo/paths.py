"""Folders: medzoo's home of the user, and the data files that ship with the package."""

from __future__ import annotations

import hashlib
import json
import os
import re
from importlib.resources import files
from pathlib import Path

from medzoo.errors import UsageError

_PLAIN = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")  # without "--", which joins words
# Device names of Windows, with any ending. Source: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10))]
)


def data_dir(name: str) -> Path:
    """The folder `hub_configs`, `model_cards` or `recipes`: inside the wheel, or next to the package in a checkout.

    >>> data_dir("hub_configs").name
    'hub_configs'
    """
    inside = Path(str(files("medzoo"))) / name
    return inside if inside.is_dir() else Path(__file__).resolve().parents[1] / name


def home() -> Path:
    """The absolute folder of caches and receipts: `MEDZOO_HOME`, by default next to the Hugging Face cache."""
    if explicit := os.environ.get("MEDZOO_HOME"):
        return absolute(explicit)
    caches = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    hugging_face = absolute(os.environ.get("HF_HOME", caches / "huggingface"))
    return hugging_face.parent / "medzoo"


def absolute(path: str | os.PathLike[str]) -> Path:
    """The absolute path of a user's path, without `~`: the same in every working directory.

    Raises:
        UsageError: if it is not a path.

    >>> absolute("x").is_absolute()
    True
    """
    return plain_path(path).expanduser().absolute()


def plain_path(path: object) -> Path:
    """A user's path as a Path.

    Raises:
        UsageError: if it is not a path.
    """
    if not isinstance(path, str | os.PathLike) or "\0" in (text := os.fsdecode(path)):
        raise UsageError(f"{path!r} is not a path. Give a string or a pathlib.Path.", code="not-a-path")
    return Path(text)


def directory_hub(hub: str | os.PathLike[str] | None = None) -> Path | None:
    """The absolute directory that replaces the Hub: the argument, else `MEDZOO_HUB`, else None (the real Hub)."""
    chosen = hub if hub is not None else os.environ.get("MEDZOO_HUB")
    return None if chosen is None or (isinstance(chosen, str) and not chosen) else absolute(chosen)


def file_name(*words: str, longest: int = 100) -> str:
    """A file name that is unique for these words, also on Windows and on disks that ignore case.

    Plain words (lower-case letters and digits, joined by single `.`, `_` or `-`) stay readable and are joined by `--`. All
    others get a `~` and the hash of the words; plain names have no `~`.

    Args:
        words: any strings.
        longest: the most characters of a name without hash.

    >>> file_name("lab", "net"), file_name("lab--net"), file_name("Lab", "net")
    ('lab--net', 'lab-net~629a78968c41c4c0', 'lab-net~92341dc925f0dbd8')
    """
    plain = "--".join(words)
    reserved = plain.partition(".")[0] in _DEVICES
    if words and len(plain) <= longest and not reserved and all(map(_PLAIN.fullmatch, words)):
        return plain
    digest = hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]
    return f"{re.sub(r'[^a-z0-9]+', '-', plain.lower()).strip('-')[:48] or 'name'}~{digest}"
