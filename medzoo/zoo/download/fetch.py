"""Find or fetch weights: from the cache, then only from the directory hub if one is set, else from the Hub or the authors' site."""

from __future__ import annotations

import difflib
import os
import sys
from contextlib import suppress
from pathlib import Path

from medzoo import paths, store
from medzoo.errors import IntegrityError, UnknownNameError, UsageError, WeightsUnavailableError
from medzoo.zoo.download import huggingface as real_hub
from medzoo.zoo.download.copy_folder import check_origin, copy_folder, origin_of
from medzoo.zoo.download.resolved_revisions import read_note
from medzoo.zoo.download.upstream import from_upstream
from medzoo.zoo.folder.config import FolderConfig
from medzoo.zoo.folder.read_write import verify_folder
from medzoo.zoo.registry.checkpoint import Checkpoint
from medzoo.zoo.registry.hints import no_checkpoint, refuse_file
from medzoo.zoo.registry.hub_names import REPO, check_repo, check_revision, repo_and_revision
from medzoo.zoo.registry.license_acceptance import require_acceptance
from medzoo.zoo.registry.locations import (
    ORGANISATION,
    ORIGIN,
    WEIGHTS,
    LocatedFolder,
    cached_folder,
    elsewhere,
    is_folder,
    is_spelled,
)
from medzoo.zoo.registry.random_weights import architecture_hint
from medzoo.zoo.registry.registry import HEX40, HOW, info, is_known, names, text_of

PathLike = str | os.PathLike[str]


def locate(
    name: str,
    *,
    hub: PathLike | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    accept_license: bool = False,
    cache_dir: PathLike | None = None,
    download: bool = True,
) -> LocatedFolder:
    """Find the folder of a name, and download it if it is not on this machine.

    Args:
        name: a registry name or alias, hf-hub:org/name@revision, org/name, local-dir:path, a folder or a run folder.
        hub: directory that replaces the Hub; by default MEDZOO_HUB.
        revision: commit, tag or branch on the Hub.
        token: of the Hub.
        local_files_only: use no network.
        accept_license: accept non-commercial or contested terms.
        cache_dir: instead of MEDZOO_HOME and the Hugging Face cache.
        download: False finds only what is on this machine, and neither needs nor records the acceptance of terms.

    Raises:
        UnknownNameError: if the name is unknown.
        WeightsUnavailableError: if the weights are not on this machine and cannot be downloaded now.
        LicenseError: if the user must accept terms first.
    """
    name = text_of(name)
    if not name or len(name) > 4096 or "\n" in name or "\0" in name:
        raise UnknownNameError("checkpoint", name[:200], names(), HOW)
    directory = paths.directory_hub(hub)
    offline = local_files_only or not download
    if name.startswith("local-dir:"):
        return _from_path(Path(name.removeprefix("local-dir:")).expanduser(), name, revision)
    repo = name.removeprefix("hf-hub:")
    if repo == name:
        # a registry name comes before a folder
        if is_known(name):
            entry = info(name)
            revision = None if revision is None else check_revision(revision)
            return _registered(entry, directory, revision, token, offline, accept_license, cache_dir, download)
        # a folder comes before a repository, except one in the directory hub
        path = Path(name).expanduser()
        is_dir = os.path.isdir(path)  # noqa: PTH112 - False, not an error, for a name that no file could have
        in_hub = directory is not None and REPO.fullmatch(name) and is_folder(directory / name)
        if is_dir and not in_hub:
            return _from_path(path, name, revision)
        if not in_hub:
            refuse_file(name)
        if "/" not in name or name.startswith((".", "/", "~")):
            if "/" in name or os.sep in name:
                raise no_checkpoint(path)
            raise UnknownNameError("checkpoint", name, names(), f"{architecture_hint(name)}{HOW}")
    # a repository
    repo, revision = repo_and_revision(repo, revision)
    if directory is not None:
        return _from_directory(directory, repo, None, revision)
    folder, commit = real_hub.snapshot(repo, revision, token=token, offline=offline, cache_dir=cache_dir)
    pinned = revision is not None and HEX40.fullmatch(revision)
    head = revision or "main at the first download"
    notes = () if pinned else (f"{repo} was downloaded at {commit}, the head of {head}",)
    return LocatedFolder(repo, folder, None, commit, notes)


def _from_path(path: Path, name: str, revision: str | None) -> LocatedFolder:
    if revision is not None:
        raise UsageError(
            f"{path} is a folder, which has no revision {revision!r}. Leave the revision out, or write a Hub repository as "
            "hf-hub:org/name.",
            code="folder-without-revision",
        )
    for folder in (path, path / "checkpoint"):  # a run folder holds its checkpoint
        if is_folder(folder):
            return LocatedFolder(name, folder)
    raise no_checkpoint(path)


def _from_directory(directory: Path, repo: str, entry: Checkpoint | None, revision: str | None) -> LocatedFolder:
    folder = directory / repo
    if not folder.resolve().is_relative_to(directory.resolve()):
        raise IntegrityError(
            f"{folder} is a link to a place outside the directory hub {directory}. Remove it.",
            code="outside-directory-hub",
        )
    if is_folder(folder) and is_spelled(directory, repo):
        notes = (check_origin(folder, repo, revision),) if revision else ()
        return LocatedFolder(repo, folder, entry, None, notes)
    if not directory.is_dir():
        raise WeightsUnavailableError(
            f"The directory hub {directory} does not exist. Correct --hub or MEDZOO_HUB.", code="directory-hub-missing"
        )
    repos: list[str] = []
    with suppress(OSError):  # another process may remove a folder meanwhile
        repos = sorted(f"{path.parent.parent.name}/{path.parent.name}" for path in directory.glob("*/*/config.json"))
    near = difflib.get_close_matches(repo, repos, n=2)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    name = entry.name if entry else repo
    raise WeightsUnavailableError(
        f"The directory hub {directory} has no {repo}.{hint} While it is set, medzoo uses no network. Fill it on a machine with "
        f"a network: `medzoo fetch {name} --to {directory}`. {elsewhere(entry) if entry else ''}".rstrip(),
        code="not-in-directory-hub",
    )


def _registered(
    entry: Checkpoint,
    directory: Path | None,
    revision: str | None,
    token: str | bool | None,
    offline: bool,
    accept_license: bool,
    cache_dir: PathLike | None,
    download: bool,
) -> LocatedFolder:
    if entry.random:
        return LocatedFolder(entry.name, None, entry)
    cached = cached_folder(entry.name, cache_dir)

    def upstream_folder() -> LocatedFolder:
        folder = from_upstream(entry, cached, token=token, offline=offline, cache_dir=cache_dir)
        return LocatedFolder(entry.name, folder, entry)

    manual = entry.hub is None and entry.upstream is not None and entry.upstream.access != "direct"
    if (
        manual and directory is None and not is_folder(cached)
    ):  # say how to get the weights before asking for acceptance
        return upstream_folder()
    if download:  # a caller that only looks does not use the weights
        require_acceptance(entry.name, entry.license, accept_license)
    # the cache, the directory hub, the Hub, the authors' site
    if revision is None and is_folder(cached):
        return LocatedFolder(entry.name, cached, entry)
    if directory is not None:
        return _from_directory(directory, f"{ORGANISATION}/{entry.name}", entry, revision)
    if entry.hub is not None:
        pin = revision or entry.hub.revision
        try:
            folder, commit = real_hub.snapshot(entry.hub.repo, pin, token=token, offline=offline, cache_dir=cache_dir)
            return LocatedFolder(entry.name, folder, entry, commit)
        except WeightsUnavailableError as error:
            upstream = entry.upstream
            if revision is not None or offline or upstream is None or upstream.access != "direct":
                raise
            print(f"{error} Using the file of its authors instead.", file=sys.stderr)
            return upstream_folder()
    if revision is not None:
        raise UsageError(
            f"{entry.name} has no copy on the Hub and therefore no revision {revision!r}. Leave the revision out.",
            code="revision-without-hub-copy",
        )
    return upstream_folder()


def fetch(
    name: str,
    *,
    to: PathLike | None = None,
    hub: PathLike | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    accept_license: bool = False,
    cache_dir: PathLike | None = None,
) -> Path:
    """The verified folder of a checkpoint, downloaded if it is not on this machine.

    Args:
        name: as for `load`.
        to: fill this directory hub (org/name, registry names under medzoo/), for a machine without network.
        hub: directory that replaces the Hub; by default MEDZOO_HUB.
        revision: commit, tag or branch on the Hub.
        token: of the Hub.
        local_files_only: use no network.
        accept_license: accept non-commercial or contested terms.
        cache_dir: instead of MEDZOO_HOME and the Hugging Face cache.

    Raises:
        UnknownNameError: if the name is unknown.
        WeightsUnavailableError: if the weights are not on this machine and cannot be downloaded now.
        IntegrityError: if a file is damaged or changed.
    """
    found = locate(
        name,
        hub=hub,
        revision=revision,
        token=token,
        local_files_only=local_files_only,
        accept_license=accept_license,
        cache_dir=cache_dir,
    )
    if found.folder is None:
        raise UsageError(
            f"{found.name} has no file to fetch. Use medzoo.load({found.name!r}), which draws random weights.",
            code="nothing-to-fetch",
        )
    config = verify_folder(found, always=to is not None)
    if to is None:
        return found.folder
    # in a directory hub, every checkpoint needs a name of the form org/name
    repo = f"{ORGANISATION}/{found.checkpoint.name}" if found.checkpoint else found.name
    origin = read_note(found.folder / ORIGIN)
    if not REPO.fullmatch(repo):
        repo = _local_name(found.folder, config, paths.absolute(to))
    revision = text_of(name).partition("@")[2] or revision
    copy_origin = origin_of(repo, revision, found.revision) or (origin if origin.get("repo") == repo else None)
    return copy_folder(found.folder, paths.absolute(to) / check_repo(repo), origin=copy_origin)


def _local_name(folder: Path, config: FolderConfig, directory: Path) -> str:
    """The name in a directory hub for a folder without a repository name; it never replaces other weights."""
    repo = f"local/{config.name}"
    other_name = f"Choose another name: `medzoo push {folder} org/name --hub {directory}`."
    if not REPO.fullmatch(repo) or "--" in repo or ".." in repo:
        raise UsageError(
            f"{config.name!r} is not a valid name in a directory hub. {other_name}", code="invalid-directory-hub-name"
        )
    copy = directory / repo
    if is_folder(copy) and store.verified_sha256(copy / WEIGHTS) != store.verified_sha256(config.weights):
        raise UsageError(f"{copy} holds other weights with this name. {other_name}", code="name-taken")
    return repo
