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


def availability(checkpoint: Checkpoint) -> str:
    """How a checkpoint comes to this machine, in a word.

    Returns:
        "drawn" (random weights), "here", "download" (by itself), "by hand" (a form or a share that needs a person) or
        "recipe" (nobody published it; a command trains it).
    """
    return "here" if not checkpoint.random and is_downloaded(checkpoint) else published(checkpoint)


def published(checkpoint: Checkpoint) -> str:
    """As `availability`, of a machine that has nothing yet: "drawn", "download", "by hand" or "recipe"."""
    if checkpoint.random:
        return "drawn"
    if checkpoint.hub is not None or checkpoint.upstream is None or checkpoint.upstream.access == "direct":
        return "download"
    return "by hand" if checkpoint.upstream.access == "manual" else "recipe"


def next_step(checkpoint: Checkpoint, folder: Path | None = None, *, here: bool = True) -> str:
    """What a person does to use a checkpoint, in a sentence or two.

    Args:
        checkpoint: its facts.
        folder: where a converted file goes, if not where medzoo looks by itself.
        here: whether what this machine has counts; False says what a person does who has nothing yet.
    """
    how = availability(checkpoint) if here else published(checkpoint)
    name, source = checkpoint.name, checkpoint.upstream
    if how in ("drawn", "here"):
        return f"medzoo.load({name!r})"
    if how == "download":
        terms = " --accept-license" if checkpoint.license.needs_acceptance else ""
        return f"medzoo.load({name!r}) fetches it; so does `medzoo fetch {name}{terms}`, ahead of time."
    assert source is not None
    said = source.instructions or ""
    if how == "recipe" or source.format is None:
        return said
    out = f" --out {folder}" if folder is not None else ""
    return f"{said} Then run `medzoo convert {source.file or 'FILE'} {name}{out}`; after that medzoo.load finds it by name."


def snapshot_folder(repo: str, commit: str, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Where the files of a repository at a commit lie."""
    return cache_root(cache_dir) / "snapshots" / repo.replace("/", "--") / commit


def _in_hub_cache(checkpoint: Checkpoint) -> bool:
    from huggingface_hub import try_to_load_from_cache

    pin = checkpoint.hub
    if pin is None:
        return False
    cached = try_to_load_from_cache(pin.repo, WEIGHTS, revision=pin.revision)  # huggingface_hub's own
    return is_folder(snapshot_folder(pin.repo, pin.revision)) or isinstance(cached, str)
