"""The folders of named checkpoints on this machine."""

from __future__ import annotations

import os
import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medzoo import paths

if TYPE_CHECKING:
    from medzoo.zoo.registry.checkpoint import Checkpoint

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
DECODER = "decoder.safetensors"  # of a segmentation network, next to the weights of its encoder
TERMS = ("LICENSE", "NOTICE")  # files that a licence may require with the weights
ORIGIN = "origin.json"  # in a directory hub: the commit that a copy was fetched from
ORGANISATION = "medzoo"
PUBLIC_HUB = "https://huggingface.co"


@dataclass(frozen=True)
class LocatedFolder:
    """The folder of a name.

    Args:
        name: the requested name, without revision.
        folder: the path; None for random weights.
        checkpoint: the registry's entry, if there is one.
        revision: the commit, if the folder came from the Hub.
        notes: for the load receipt.
    """

    name: str
    folder: Path | None
    checkpoint: Checkpoint | None = None
    revision: str | None = None
    notes: tuple[str, ...] = ()


def cache_root(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The folder for everything that medzoo downloads or converts, absolute."""
    return paths.absolute(cache_dir) if cache_dir is not None else paths.home()


def cached_folder(name: str, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The cache folder of a named checkpoint."""
    return cache_root(cache_dir) / "checkpoints" / name


def is_folder(path: Path) -> bool:
    """Whether a directory holds a checkpoint's weights and configuration."""
    return (path / CONFIG).is_file() and (path / WEIGHTS).is_file()


def hub_folder(name: str, hub: str | os.PathLike[str] | None = None) -> Path | None:
    """The folder of a name in the directory hub; None without such a hub, or if it has no such folder.

    Args:
        name: org/name, or the registry's name.
        hub: directory that replaces the Hub; by default MEDZOO_HUB.
    """
    directory = paths.directory_hub(hub)
    if directory is None or ".." in name:
        return None
    folder = directory / (name if "/" in name else f"{ORGANISATION}/{name}")
    if not folder.resolve().is_relative_to(directory.resolve()) or not is_folder(folder):
        return None
    return folder if is_spelled(directory, folder.relative_to(directory).as_posix()) else None


def is_spelled(directory: Path, name: str) -> bool:
    """Whether a path below a directory exists in exactly this spelling; a disk that ignores case accepts others too.

    Args:
        directory: an existing directory.
        name: parts joined by `/`.
    """
    here = directory
    for part in name.split("/"):
        try:
            if part not in os.listdir(here):  # noqa: PTH208 - names alone
                return False
        except OSError:  # the folder can be entered but not listed
            return True
        here = here / part
    return True


def folder_of(name: str, hub: str | os.PathLike[str] | None = None) -> Path | None:
    """The checkpoint folder of a path, of a run folder's path, or of a name in the directory hub; None if there is none.

    Args:
        name: the text that the user gave.
        hub: directory that replaces the Hub; by default MEDZOO_HUB.
    """
    path = Path(name).expanduser()
    places = (path, path / "checkpoint", hub_folder(name, hub))
    return next((place for place in places if place is not None and is_folder(place)), None)


def is_downloaded(checkpoint: Checkpoint, hub: str | os.PathLike[str] | None = None) -> bool:
    """Whether a checkpoint's weights are available on this machine: random, cached, or in the directory hub.

    Args:
        checkpoint: its facts.
        hub: directory that replaces the Hub; by default MEDZOO_HUB.
    """
    if checkpoint.random or is_folder(cached_folder(checkpoint.name)):
        return True
    if paths.directory_hub(hub) is not None:
        return hub_folder(checkpoint.name, hub) is not None
    return checkpoint.hub is not None and _in_hub_cache(checkpoint)


def availability(checkpoint: Checkpoint, hub: str | os.PathLike[str] | None = None) -> str:
    """How a checkpoint is available to this machine, as one word.

    Args:
        checkpoint: its facts.
        hub: directory that replaces the Hub; by default MEDZOO_HUB.

    Returns:
        "drawn" (random weights), "here" (on this machine), "download" (medzoo downloads it), "by hand" (the user must
        download it) or "recipe" (not published; the user must train it).
    """
    return "here" if not checkpoint.random and is_downloaded(checkpoint, hub) else published(checkpoint)


def published(checkpoint: Checkpoint) -> str:
    """As `availability`, for a machine without any weights: "drawn", "download", "by hand" or "recipe"."""
    if checkpoint.random:
        return "drawn"
    if checkpoint.hub is not None or checkpoint.upstream is None or checkpoint.upstream.access == "direct":
        return "download"
    return "by hand" if checkpoint.upstream.access == "manual" else "recipe"


def next_step(
    checkpoint: Checkpoint, folder: Path | None = None, *, here: bool = True, hub: str | os.PathLike[str] | None = None
) -> str:
    """What the user does to use a checkpoint, in one or two sentences.

    Args:
        checkpoint: its facts.
        folder: the folder for a converted file, if it is not medzoo's default.
        here: whether weights on this machine count; False gives the steps for a machine without any.
        hub: directory that replaces the Hub; by default MEDZOO_HUB.
    """
    how = availability(checkpoint, hub) if here else published(checkpoint)
    name, source = checkpoint.name, checkpoint.upstream
    if how in ("drawn", "here"):
        return f"medzoo.load({name!r}, hub={os.fspath(hub)!r})" if hub and how == "here" else f"medzoo.load({name!r})"
    if how == "download":
        terms = " --accept-license" if checkpoint.license.needs_acceptance else ""
        return f"medzoo.load({name!r}) downloads it. To download it earlier, run `medzoo fetch {name}{terms}`."
    assert source is not None
    instructions = source.instructions or ""
    if how == "recipe" or source.format is None:
        return instructions
    out = f" --out {folder}" if folder is not None else ""
    command = f"medzoo convert {source.file or 'FILE'} {name}{out}"
    return f"{instructions} Then run `{command}`; after that medzoo.load finds it by name."


def elsewhere(checkpoint: Checkpoint) -> str:
    """How to convert the authors' file on a machine without network, as a sentence; empty if that is not possible.

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
    return (
        f"Or download {address} on another machine, copy the file to this machine, and run `medzoo convert {file} "
        f"{checkpoint.name}`."
    )


def hub_address() -> str:
    """The address of the current Hub: huggingface_hub's, which reads HF_ENDPOINT when it is imported.

    >>> hub_address().startswith("http")
    True
    """
    from huggingface_hub import constants

    parts = urllib.parse.urlsplit(constants.ENDPOINT.rstrip("/"))
    return parts._replace(scheme=parts.scheme.lower(), netloc=parts.netloc.lower()).geturl()


def repo_folder(repo: str, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The folder of a repository of the current Hub; no other repository or Hub has the same folder.

    Args:
        repo: org/name.
        cache_dir: instead of MEDZOO_HOME.
    """
    hub = hub_address()
    words = repo.split("/") if hub == PUBLIC_HUB else [repo, hub]
    return cache_root(cache_dir) / "snapshots" / paths.file_name(*words)


def repo_folders(repo: str, cache_dir: str | os.PathLike[str] | None = None) -> tuple[Path, ...]:
    """The folders that may hold a repository's files: `repo_folder`, and the folder of earlier versions of medzoo.

    Earlier versions did not note the Hub, so their folders are read only for the public Hub. Their content is named by its
    commit, or is a note that names the repository.

    Args:
        repo: org/name.
        cache_dir: instead of MEDZOO_HOME.
    """
    folder = repo_folder(repo, cache_dir)
    earlier = folder.with_name(repo.replace("/", "--"))
    return (folder,) if hub_address() != PUBLIC_HUB or earlier == folder else (folder, earlier)


def snapshot_folder(repo: str, commit: str, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The existing or future folder for the files of a repository at a commit.

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
    cached = try_to_load_from_cache(pin.repo, WEIGHTS, revision=pin.revision)  # the cache of huggingface_hub
    return is_folder(snapshot_folder(pin.repo, pin.revision)) or isinstance(cached, str)


def trained_folder(entry: Checkpoint) -> str | None:
    """The folder in which a checkpoint's recipe leaves the weights; None for checkpoints that are not trained by a recipe.

    Args:
        entry: its facts.

    >>> from medzoo.zoo.registry.registry import info
    >>> trained_folder(info("vit_small-gmml-imagenet-oct"))
    'runs/vit_small-gmml-imagenet-oct/checkpoint'
    """
    if published(entry) != "recipe" or entry.upstream is None:
        return None
    found = re.search(r"--out (\S+)", entry.upstream.instructions or "")
    return f"{found[1].rstrip('`,.')}/checkpoint" if found else None
