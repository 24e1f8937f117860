"""Where the folders of named checkpoints lie on this machine."""

from __future__ import annotations

import os
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medzoo import paths

if TYPE_CHECKING:
    from medzoo.zoo.registry.checkpoint import Checkpoint

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
TERMS = ("LICENSE", "NOTICE")  # what a licence may ask to stand beside the weights
ORIGIN = "origin.json"  # in a directory hub: the commit that a copy was fetched from
ORGANISATION = "medzoo"
PUBLIC_HUB = "https://huggingface.co"


@dataclass(frozen=True)
class LocatedFolder:
    """A folder that a name stands for.

    Args:
        name: what was asked for, without revision.
        folder: where it lies; None for random weights.
        checkpoint: the registry's entry, if it has one.
        revision: the Hub's commit, if it came from there.
        notes: what a reader of the receipt should know.
    """

    name: str
    folder: Path | None
    checkpoint: Checkpoint | None = None
    revision: str | None = None
    notes: tuple[str, ...] = ()


def cache_root(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The folder below which medzoo keeps what it fetched or converted, absolute."""
    return paths.absolute(cache_dir) if cache_dir is not None else paths.home()


def cached_folder(name: str, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Where the folder of a named checkpoint is cached."""
    return cache_root(cache_dir) / "checkpoints" / name


def is_folder(path: Path) -> bool:
    """Whether a directory holds a checkpoint's weights and configuration."""
    return (path / CONFIG).is_file() and (path / WEIGHTS).is_file()


def hub_folder(name: str, hub: str | os.PathLike[str] | None = None) -> Path | None:
    """The folder that a name has in the directory hub; None without such a hub, or if the folder is not there.

    Args:
        name: org/name, or the registry's name.
        hub: directory that plays the Hub; by default MEDZOO_HUB.
    """
    directory = paths.directory_hub(hub)
    if directory is None or ".." in name:
        return None
    folder = directory / (name if "/" in name else f"{ORGANISATION}/{name}")
    if not folder.resolve().is_relative_to(directory.resolve()) or not is_folder(folder):
        return None
    return folder if is_spelled(directory, folder.relative_to(directory).as_posix()) else None


def is_spelled(directory: Path, name: str) -> bool:
    """Whether a path below a directory exists in just this spelling; a disk that ignores case finds others too.

    Args:
        directory: that exists.
        name: parts joined by `/`.
    """
    here = directory
    for part in name.split("/"):
        try:
            if part not in os.listdir(here):  # noqa: PTH208 - names alone
                return False
        except OSError:  # a folder that may be entered and not listed
            return True
        here = here / part
    return True


def folder_of(name: str, hub: str | os.PathLike[str] | None = None) -> Path | None:
    """The checkpoint's folder behind a path, a run folder's path, or a name in the directory hub; None if there is none.

    Args:
        name: what a person typed.
        hub: directory that plays the Hub; by default MEDZOO_HUB.
    """
    path = Path(name).expanduser()
    places = (path, path / "checkpoint", hub_folder(name, hub))
    return next((place for place in places if place is not None and is_folder(place)), None)


def is_downloaded(checkpoint: Checkpoint, hub: str | os.PathLike[str] | None = None) -> bool:
    """Whether a checkpoint's weights are on this machine: drawn, cached, or in the directory hub.

    Args:
        checkpoint: its facts.
        hub: directory that plays the Hub; by default MEDZOO_HUB.
    """
    if checkpoint.random or is_folder(cached_folder(checkpoint.name)):
        return True
    if paths.directory_hub(hub) is not None:
        return hub_folder(checkpoint.name, hub) is not None
    return checkpoint.hub is not None and _in_hub_cache(checkpoint)


def availability(checkpoint: Checkpoint, hub: str | os.PathLike[str] | None = None) -> str:
    """How a checkpoint comes to this machine, in a word.

    Args:
        checkpoint: its facts.
        hub: directory that plays the Hub; by default MEDZOO_HUB.

    Returns:
        "drawn" (random weights), "here", "download" (by itself), "by hand" (a form or a share that needs a person) or
        "recipe" (nobody published it, and a training would have to make it).
    """
    return "here" if not checkpoint.random and is_downloaded(checkpoint, hub) else published(checkpoint)


def published(checkpoint: Checkpoint) -> str:
    """As `availability`, of a machine that has nothing yet: "drawn", "download", "by hand" or "recipe"."""
    if checkpoint.random:
        return "drawn"
    if checkpoint.hub is not None or checkpoint.upstream is None or checkpoint.upstream.access == "direct":
        return "download"
    return "by hand" if checkpoint.upstream.access == "manual" else "recipe"


def next_step(
    checkpoint: Checkpoint, folder: Path | None = None, *, here: bool = True, hub: str | os.PathLike[str] | None = None
) -> str:
    """What a person does to use a checkpoint, in a sentence or two.

    Args:
        checkpoint: its facts.
        folder: where a converted file goes, if not where medzoo looks by itself.
        here: whether what this machine has counts; False says what a person does who has nothing yet.
        hub: directory that plays the Hub; by default MEDZOO_HUB.
    """
    how = availability(checkpoint, hub) if here else published(checkpoint)
    name, source = checkpoint.name, checkpoint.upstream
    if how in ("drawn", "here"):
        return f"medzoo.load({name!r}, hub={os.fspath(hub)!r})" if hub and how == "here" else f"medzoo.load({name!r})"
    if how == "download":
        terms = " --accept-license" if checkpoint.license.needs_acceptance else ""
        return f"medzoo.load({name!r}) fetches it; so does `medzoo fetch {name}{terms}`, ahead of time."
    assert source is not None
    said = source.instructions or ""
    if how == "recipe" or source.format is None:
        return said
    out = f" --out {folder}" if folder is not None else ""
    return f"{said} Then run `medzoo convert {source.file or 'FILE'} {name}{out}`; after that medzoo.load finds it by name."


def elsewhere(checkpoint: Checkpoint) -> str:
    """How a machine without network gets a checkpoint's weights by its authors' file, in a sentence; empty if it cannot.

    Args:
        checkpoint: its facts.
    """
    source = checkpoint.upstream
    if source is None or source.format is None or source.access == "recipe":
        return ""
    if source.access == "manual":
        return next_step(checkpoint, here=False)
    address, file = source.url or "", source.file
    if source.hub:
        address = f"https://huggingface.co/{source.hub}/resolve/{source.revision or 'main'}/{file}"
    file = file or Path(urllib.parse.urlsplit(address).path).name
    return f"Or download {address} elsewhere, bring the file here, then `medzoo convert {file} {checkpoint.name}`."


def hub_address() -> str:
    """The address of the Hub that is asked now: of huggingface_hub, which reads HF_ENDPOINT when it is imported.

    >>> hub_address().startswith("http")
    True
    """
    from huggingface_hub import constants

    parts = urllib.parse.urlsplit(constants.ENDPOINT.rstrip("/"))
    return parts._replace(scheme=parts.scheme.lower(), netloc=parts.netloc.lower()).geturl()


def repo_folder(repo: str, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The folder of a repository of the Hub that is asked now; no other repository and no other Hub has the same.

    Args:
        repo: org/name.
        cache_dir: instead of MEDZOO_HOME.
    """
    hub = hub_address()
    words = repo.split("/") if hub == PUBLIC_HUB else [repo, hub]  # an address is no plain word
    return cache_root(cache_dir) / "snapshots" / paths.file_name(*words)


def repo_folders(repo: str, cache_dir: str | os.PathLike[str] | None = None) -> tuple[Path, ...]:
    """The folders in which a repository's files may lie: `repo_folder`, and the one that earlier medzoos used.

    Earlier ones did not note the Hub, so that their folders are read only for the public one. What lies there is named by its
    commit, or a note that says which repository it is of.

    Args:
        repo: org/name.
        cache_dir: instead of MEDZOO_HOME.
    """
    folder = repo_folder(repo, cache_dir)
    earlier = folder.with_name(repo.replace("/", "--"))
    return (folder,) if hub_address() != PUBLIC_HUB or earlier == folder else (folder, earlier)


def snapshot_folder(repo: str, commit: str, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Where the files of a repository at a commit lie, or will lie.

    Args:
        repo: org/name.
        commit: 40 hexadecimal digits.
        cache_dir: instead of MEDZOO_HOME.
    """
    places = [folder / commit for folder in repo_folders(repo, cache_dir)]
    return next((place for place in places if place.is_dir()), places[0])


def _in_hub_cache(checkpoint: Checkpoint) -> bool:
    from huggingface_hub import try_to_load_from_cache

    pin = checkpoint.hub
    if pin is None:
        return False
    cached = try_to_load_from_cache(pin.repo, WEIGHTS, revision=pin.revision)  # huggingface_hub's own
    return is_folder(snapshot_folder(pin.repo, pin.revision)) or isinstance(cached, str)
