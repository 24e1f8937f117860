"""Where things lie: the user's home of medzoo, and the data files that ship with the package."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path


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

    >>> absolute("x").is_absolute()
    True
    """
    return Path(path).expanduser().absolute()


def directory_hub(hub: str | os.PathLike[str] | None = None) -> Path | None:
    """The directory that plays the Hub, absolute: the argument, else `MEDZOO_HUB`, else none (the real Hub)."""
    chosen = hub if hub is not None else os.environ.get("MEDZOO_HUB")
    return absolute(chosen) if chosen else None
