"""Where weights come from: the cache, then the directory hub and nothing else, or the Hub, then the authors' site."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from medzoo import paths, store
from medzoo.errors import IntegrityError, UnknownNameError, UsageError, WeightsUnavailableError
from medzoo.zoo import hub as real_hub
from medzoo.zoo.config import FolderConfig
from medzoo.zoo.facts import Checkpoint
from medzoo.zoo.folder import FILES, read_folder
from medzoo.zoo.hints import refuse_weights_file, text_of
from medzoo.zoo.licenses import require_acceptance
from medzoo.zoo.places import CARD, ORGANISATION, TERMS, cached_folder, elsewhere, is_folder
from medzoo.zoo.registry import HEX40, HOW, info, is_known, names, refuse_mixture
from medzoo.zoo.upstream import from_upstream

PathLike = str | os.PathLike[str]
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}\w)?(?<!\.git)", re.ASCII)


@dataclass(frozen=True)
class Found:
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


def check_revision(revision: str) -> str:
    """A revision that cannot leave its folder.

    Raises:
        UsageError: for other signs than letters, digits, `.`, `_`, `/`, `-`; for `..`; for a leading `/` or `-`.

    >>> check_revision("refs/pr/1")
    'refs/pr/1'
    """
    if not REVISION.fullmatch(revision) or ".." in revision:
        raise UsageError(
            f"{revision!r} is no revision: a branch, a tag, refs/pr/N, or 40 hexadecimal digits of a commit."
        )
    return revision


def check_repo(repo: str) -> str:
    """A repository id of the form org/name.

    Raises:
        UnknownNameError: for anything else.
    """
    if not REPO.fullmatch(repo) or ".." in repo or "--" in repo:
        raise UnknownNameError("checkpoint", repo[:200], names(), f"{HOW} A repository is written org/name.")
    return repo


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
) -> Found:
    """Find what a name stands for, and bring it here if need be.

    Args:
        name: a registry name or alias, hf-hub:org/name@revision, org/name, local-dir:path, a folder or a run folder.
        hub: directory that plays the Hub; by default MEDZOO_HUB.
        revision: commit, tag or branch on the Hub.
        token: of the Hub.
        local_files_only: contact nothing.
        accept_license: accept non-commercial or contested terms.
        cache_dir: instead of MEDZOO_HOME and the Hugging Face cache.
        download: False finds only what is here.

    Raises:
        UnknownNameError: if the name means nothing.
        WeightsUnavailableError: if it is not here and cannot be fetched now.
        LicenseError: if terms have to be accepted first.
    """
    name = text_of(name)
    if not name or len(name) > 4096 or "\n" in name or "\0" in name:
        raise UnknownNameError("checkpoint", name[:200], names(), HOW)
    directory = paths.directory_hub(hub)
    offline = local_files_only or not download
    if name.startswith("local-dir:"):
        return _from_path(Path(name.removeprefix("local-dir:")).expanduser(), name)
    repo = name.removeprefix("hf-hub:")
    if repo == name:
        if is_known(name):
            entry = info(name)
            if revision is not None:
                check_revision(revision)
            return _registered(entry, directory, revision, token, offline, accept_license, cache_dir)
        path = Path(name).expanduser()
        here = os.path.isdir(path)  # noqa: PTH112 - False, not an error, for a name that no file could have
        in_hub = directory is not None and REPO.fullmatch(name) and is_folder(directory / name)
        if here and not in_hub:
            return _from_path(path, name)
        if not in_hub:
            refuse_weights_file(name)
        if "/" not in name or name.startswith((".", "/", "~")):
            if "/" in name or os.sep in name:
                raise WeightsUnavailableError(f"There is no folder {path}.")
            raise UnknownNameError("checkpoint", name, names(), HOW)
    repo, _, tail = repo.partition("@")
    if tail and revision and tail != revision:
        raise UsageError(f"Two revisions were given: {tail!r} in the name, and {revision!r}.")
    check_repo(repo)
    revision = tail or revision
    if revision is not None:
        check_revision(revision)
    if directory is not None:
        return _from_directory(directory, repo, None, revision)
    folder, commit = real_hub.snapshot(repo, revision, token=token, offline=offline, cache_dir=cache_dir)
    pinned = revision is not None and HEX40.fullmatch(revision)
    head = revision or "main when it was first asked for"
    return Found(repo, folder, None, commit, () if pinned else (f"{repo} was taken at {commit}, the head of {head}",))


def _from_path(path: Path, name: str) -> Found:
    for folder in (path, path / "checkpoint"):  # a run folder holds its checkpoint
        if is_folder(folder):
            return Found(name, folder)
    if not path.is_dir():
        raise WeightsUnavailableError(f"There is no folder {path}.")
    read_folder(path / "checkpoint" if (path / "checkpoint").is_dir() else path)  # says what is missing
    raise IntegrityError(f"{path} is no checkpoint folder.")


def _from_directory(directory: Path, repo: str, entry: Checkpoint | None, revision: str | None) -> Found:
    folder = directory / repo
    if not folder.resolve().is_relative_to(directory.resolve()):
        raise IntegrityError(f"{folder} leads out of the directory hub {directory}.")
    if is_folder(folder):
        notes = (f"a directory hub has no revisions; {revision!r} was not looked at",) if revision else ()
        return Found(repo, folder, entry, None, notes)
    if not directory.is_dir():
        raise WeightsUnavailableError(f"The directory hub {directory} does not exist (--hub, MEDZOO_HUB).")
    here: list[str] = []
    with suppress(OSError):  # a folder may go while it is looked into
        here = sorted(f"{path.parent.parent.name}/{path.parent.name}" for path in directory.glob("*/*/config.json"))
    near = difflib.get_close_matches(repo, here, n=2)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    name = entry.name if entry else repo
    raise WeightsUnavailableError(
        f"The directory hub {directory} has no {repo}.{hint} While it is set nothing else is contacted. "
        f"Fill it where there is a network: `medzoo fetch {name} --to {directory}`. {elsewhere(entry) if entry else ''}".rstrip()
    )


def _registered(
    entry: Checkpoint, directory: Path | None, revision: str | None, token: str | bool | None, offline: bool,
    accept_license: bool, cache_dir: PathLike | None,
) -> Found:  # fmt: skip
    if entry.random:
        return Found(entry.name, None, entry)
    cached = cached_folder(entry.name, cache_dir)
    by_hand = entry.hub is None and entry.upstream is not None and entry.upstream.access != "direct"
    if by_hand and directory is None and not is_folder(cached):  # how to get them comes before whether one may use them
        return Found(entry.name, from_upstream(entry, cached, token=token, offline=offline, cache_dir=cache_dir), entry)
    require_acceptance(entry.name, entry.license, accept_license)
    if revision is None and is_folder(cached):
        return Found(entry.name, cached, entry)
    if directory is not None:
        return _from_directory(directory, f"{ORGANISATION}/{entry.name}", entry, revision)
    if entry.hub is not None:
        pin = revision or entry.hub.revision
        try:
            folder, commit = real_hub.snapshot(entry.hub.repo, pin, token=token, offline=offline, cache_dir=cache_dir)
            return Found(entry.name, folder, entry, commit)
        except WeightsUnavailableError as error:
            upstream = entry.upstream
            if revision is not None or offline or upstream is None or upstream.access != "direct":
                raise
            print(f"{error} Its authors' own file is taken instead.", file=sys.stderr)
            brought = from_upstream(entry, cached, token=token, offline=offline, cache_dir=cache_dir)
            return Found(entry.name, brought, entry)
    if revision is not None:
        raise UsageError(f"{entry.name} has no copy on the Hub, so it has no revision {revision!r}.")
    return Found(entry.name, from_upstream(entry, cached, token=token, offline=offline, cache_dir=cache_dir), entry)


def verify(found: Found, *, always: bool = False) -> FolderConfig:
    """Check the sha256 of a found folder against its own config.json and the registry's pin.

    Args:
        found: with a folder.
        always: hash again, even with a receipt.

    Raises:
        IntegrityError: with both hashes and how to go on.
    """
    assert found.folder is not None
    config = read_folder(found.folder)
    digest = store.verified_sha256(config.weights, always=always)
    pin = found.checkpoint.hub if found.checkpoint else None
    wanted = [(config.facts.sha256, "its config.json")] if config.facts else []
    if pin is not None and found.revision == pin.revision:  # a copy converted here may be packed otherwise
        wanted.append((pin.sha256, "the registry"))
    for want, where in wanted:
        if digest != want:
            raise IntegrityError(
                f"{config.weights} has the sha256 {digest}, and {where} says {want}: the file was changed or damaged. "
                "Remove the folder and fetch it again."
            )
    if found.checkpoint is not None and config.facts is not None and config.facts.name != found.checkpoint.name:
        raise IntegrityError(f"{found.folder} holds {config.facts.name}, not {found.checkpoint.name}.")
    refuse_mixture(found.checkpoint, config.architecture, config.input)
    return config


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
    """The verified folder of a checkpoint, brought here if need be.

    Args:
        name: as for `load`.
        to: fill this directory hub (org/name, registry names under medzoo/), for a machine without network.
        hub: directory that plays the Hub; by default MEDZOO_HUB.
        revision: commit, tag or branch on the Hub.
        token: of the Hub.
        local_files_only: contact nothing.
        accept_license: accept non-commercial or contested terms.
        cache_dir: instead of MEDZOO_HOME and the Hugging Face cache.

    Raises:
        UnknownNameError: if the name means nothing.
        WeightsUnavailableError: if the weights are not here and cannot be fetched now.
        IntegrityError: if a file is not what it should be.
    """
    found = locate(
        name, hub=hub, revision=revision, token=token, local_files_only=local_files_only,
        accept_license=accept_license, cache_dir=cache_dir,
    )  # fmt: skip
    if found.folder is None:
        raise UsageError(f"{found.name} has no file to fetch: medzoo.load({found.name!r}) draws its weights.")
    config = verify(found, always=to is not None)
    if to is None:
        return found.folder
    repo = f"{ORGANISATION}/{found.checkpoint.name}" if found.checkpoint else found.name
    if not REPO.fullmatch(repo):
        repo = f"local/{config.name}"
    return copy_folder(found.folder, Path(to).expanduser() / check_repo(repo))


def copy_folder(source: Path, target: Path, card: bytes | None = None) -> Path:
    """Copy the files of a checkpoint's folder, with another card if one is given, whole or not at all; verify the copy."""
    if target.exists() and target.resolve() == source.resolve():
        if card is not None:
            store.write_bytes(target / CARD, card)
        return target
    with store.atomic_folder(target) as folder:
        for file in (*FILES, *TERMS):
            if (source / file).is_file():
                shutil.copyfile(source / file, folder / file)
        if card is not None:
            (folder / CARD).write_bytes(card)
        config = read_folder(folder)
        if config.facts is not None and store.sha256_file(config.weights) != config.facts.sha256:
            raise IntegrityError(
                f"{source} changed while it was copied, or the disk failed. Nothing was left in {target}."
            )
    with suppress(OSError):
        store.sweep(target.parent)
    return target
