"""Where things lie: the user's home of medzoo, and the data files that ship with the package."""

from __future__ import annotations

import hashlib
import json
import os
import re
from importlib.resources import files
from pathlib import Path

from medzoo.errors import UsageError

_PLAIN = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")  # no "--", which joins words
# Device names of Windows, with any ending. Source: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10))]
)


def data_dir(name: str) -> Path:
    """The folder `hub_configs`, `model_cards` or `recipes`: inside the wheel, else beside the package in a checkout.

    >>> data_dir("hub_configs").name
    'hub_configs'
    """
    inside = Path(str(files("medzoo"))) / name
    return inside if inside.is_dir() else Path(__file__).resolve().parents[1] / name


def home() -> Path:
    """The folder of caches and receipts, absolute: `MEDZOO_HOME`, by default beside the Hugging Face cache."""
    if explicit := os.environ.get("MEDZOO_HOME"):
        return absolute(explicit)
    caches = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    hugging_face = absolute(os.environ.get("HF_HOME", caches / "huggingface"))
    return hugging_face.parent / "medzoo"


def absolute(path: str | os.PathLike[str]) -> Path:
    """A path as a person gives it, absolute and without `~`: what a process in another folder understands alike.

    Raises:
        UsageError: for what is no path.

    >>> absolute("x").is_absolute()
    True
    """
    return plain_path(path).expanduser().absolute()


def plain_path(path: object) -> Path:
    """A path as a person gives it.

    Raises:
        UsageError: for what is no path.
    """
    if not isinstance(path, str | os.PathLike) or "\0" in (text := os.fsdecode(path)):
        raise UsageError(f"{path!r} is no path; give text or a pathlib.Path.")
    return Path(text)


def directory_hub(hub: str | os.PathLike[str] | None = None) -> Path | None:
    """The directory that plays the Hub, absolute: the argument, else `MEDZOO_HUB`, else none (the real Hub)."""
    chosen = hub if hub is not None else os.environ.get("MEDZOO_HUB")
    return None if chosen is None or (isinstance(chosen, str) and not chosen) else absolute(chosen)


def file_name(*words: str, longest: int = 100) -> str:
    """A file name that stands for these words and for no others, also on disks that ignore case and on Windows.

    Plain words (small letters and digits, joined by single `.`, `_` or `-`) stay readable, joined by `--`. Everything else
    gets the hash of the words behind a `~`, which no plain name holds.

    Args:
        words: any texts.
        longest: characters of a name without hash.

    >>> file_name("lab", "net"), file_name("lab--net"), file_name("Lab", "net")
    ('lab--net', 'lab-net~629a78968c41c4c0', 'lab-net~92341dc925f0dbd8')
    """
    plain = "--".join(words)
    reserved = plain.partition(".")[0] in _DEVICES
    if words and len(plain) <= longest and not reserved and all(map(_PLAIN.fullmatch, words)):
        return plain
    digest = hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]
    return f"{re.sub(r'[^a-z0-9]+', '-', plain.lower()).strip('-')[:48] or 'name'}~{digest}"
