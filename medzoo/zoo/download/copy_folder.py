"""Copy a checkpoint's folder, and record the Hub repository that a copy came from."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from medzoo import store
from medzoo.errors import IntegrityError, UsageError, WeightsUnavailableError
from medzoo.zoo.download.resolved_revisions import read_note
from medzoo.zoo.folder.read_write import FILES, read_decoder, read_folder
from medzoo.zoo.registry.locations import DECODER, ORIGIN, TERMS, hub_address, is_spelled
from medzoo.zoo.registry.registry import HEX40


def origin_of(repo: str, revision: str | None, commit: str | None) -> dict[str, Any] | None:
    """The content of origin.json for a copy in a directory hub; None if it did not come from the Hub.

    Args:
        repo: org/name.
        revision: the requested revision.
        commit: the revision's commit.
    """
    if commit is None:
        return None
    return {"hub": hub_address(), "type": "model", "repo": repo, "revision": revision, "commit": commit}


def check_origin(folder: Path, repo: str, revision: str) -> str:
    """Check that a copy in a directory hub has the requested revision, if its origin.json records one.

    Args:
        folder: in the directory hub.
        repo: org/name.
        revision: the requested revision.

    Returns:
        A note for the load receipt.

    Raises:
        WeightsUnavailableError: if the copy has another revision.
    """
    rows = read_note(folder / ORIGIN)
    commit = str(rows.get("commit"))
    if rows.get("repo") != repo or not HEX40.fullmatch(commit):
        return f"a directory hub has no revisions; {revision!r} was not checked"
    if revision not in (rows.get("revision"), commit):
        copied = rows.get("revision") or "the head of main"
        raise WeightsUnavailableError(
            f"{folder} holds {repo} at {commit} ({copied}), not at {revision!r}. Leave the revision out, or fetch it on a "
            f"machine with a network: `medzoo fetch {repo}@{revision} --to DIR`.",
            code="other-revision-in-directory-hub",
        )
    return f"copied from {rows.get('hub')} at {commit}"


def copy_folder(
    source: Path, target: Path, texts: Mapping[str, bytes] | None = None, origin: dict[str, Any] | None = None
) -> Path:
    """Copy the files of a checkpoint's folder, all or none, and verify the copy.

    Args:
        source: the folder.
        target: the path of the copy; an older copy is replaced.
        texts: files with new content (card or configuration), by name.
        origin: the content of the copy's origin.json.

    Raises:
        IntegrityError: if the source changed during the copy.
        UsageError: if the disk ignores case and has the target in another spelling, which is another name.
    """
    if target.exists() and not is_spelled(target.parent.parent, f"{target.parent.name}/{target.name}"):
        raise UsageError(
            f"{target} exists in another spelling, and this disk ignores case. Choose another name.",
            code="name-in-other-spelling",
        )
    # a copy onto itself with at most one changed file needs no new folder
    onto_itself = target.exists() and target.resolve() == source.resolve()
    if onto_itself:
        changed = [name for name, text in (texts or {}).items() if _content(target / name) != text]
        for name in changed if len(changed) < 2 else ():
            store.write_bytes(target / name, (texts or {})[name])
        if len(changed) < 2:
            return target
    with store.atomic_folder(target) as folder:
        if onto_itself:  # keep the folder's other files too
            shutil.copytree(source, folder, symlinks=True, dirs_exist_ok=True)
        for file in (*FILES, DECODER, *TERMS):
            if (source / file).is_file() and not onto_itself:
                shutil.copyfile(source / file, folder / file)
        for name, text in (texts or {}).items():
            (folder / name).write_bytes(text)
        if origin is not None:
            store.write_json(folder / ORIGIN, origin)
        config = read_folder(folder)
        if config.facts is not None and store.sha256_file(config.weights) != config.facts.sha256:
            raise IntegrityError(
                f"{source} changed during the copy, or the disk failed. {target} was not written. Try again.",
                code="changed-during-copy",
            )
        if config.facts is not None and config.facts.decoder is not None:
            read_decoder(folder, config.facts.decoder)
    with suppress(OSError):
        store.sweep(target.parent)
    return target


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
