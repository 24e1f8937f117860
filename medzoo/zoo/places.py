"""Where the folders of named checkpoints lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from medzoo import paths

if TYPE_CHECKING:
    from medzoo.zoo.facts import Checkpoint

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
ORGANISATION = "medzoo"


def cache_root(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The folder below which medzoo keeps what it fetched or converted."""
    return Path(cache_dir).expanduser() if cache_dir is not None else paths.home()


def cached_folder(name: str, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Where the folder of a named checkpoint is cached."""
    return cache_root(cache_dir) / "checkpoints" / name


def is_folder(path: Path) -> bool:
    """Whether a directory holds a checkpoint's weights and configuration."""
    return (path / CONFIG).is_file() and (path / WEIGHTS).is_file()


def is_downloaded(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint's weights are on this machine: drawn, cached, or in the directory hub."""
    if checkpoint.random or is_folder(cached_folder(checkpoint.name)):
        return True
    hub = paths.directory_hub()
    if hub is not None:
        return is_folder(hub / ORGANISATION / checkpoint.name)
    return checkpoint.hub is not None and _in_hub_cache(checkpoint)


def _in_hub_cache(checkpoint: Checkpoint) -> bool:
    from huggingface_hub import try_to_load_from_cache

    pin = checkpoint.hub
    return pin is not None and isinstance(try_to_load_from_cache(pin.repo, WEIGHTS, revision=pin.revision), str)
