"""Copies of a checkpoint's folder, and where on the Hub a copy came from."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from medzoo import store
from medzoo.errors import IntegrityError, UsageError, WeightsUnavailableError
from medzoo.zoo.download.resolved_revisions import read_note
from medzoo.zoo.folder.read_write import FILES, read_folder
from medzoo.zoo.registry.locations import ORIGIN, TERMS, hub_address, is_spelled
from medzoo.zoo.registry.registry import HEX40


def origin_of(repo: str, revision: str | None, commit: str | None) -> dict[str, Any] | None:
    """What a copy for a directory hub notes of its origin; None for what did not come from the Hub.

    Args:
        repo: org/name.
        revision: that was asked for.
        commit: that it stood for.
    """
    if commit is None:
        return None
    return {"hub": hub_address(), "type": "model", "repo": repo, "revision": revision, "commit": commit}


def check_origin(folder: Path, repo: str, revision: str) -> str:
    """Whether a copy in a directory hub is what was asked for, as far as it notes where it came from.

    Args:
        folder: in the directory hub.
        repo: org/name.
        revision: that is asked for.

    Returns:
        What a reader of the receipt should know.

    Raises:
        WeightsUnavailableError: if the copy is another revision's.
    """
    rows = read_note(folder / ORIGIN)
    commit = str(rows.get("commit"))
    if rows.get("repo") != repo or not HEX40.fullmatch(commit):
        return f"a directory hub has no revisions; {revision!r} was not looked at"
    if revision not in (rows.get("revision"), commit):
        asked = rows.get("revision") or "the head of main"
        raise WeightsUnavailableError(
            f"{folder} holds {repo} at {commit} ({asked}), and {revision!r} is asked for. Leave the revision out, or fetch it "
            f"where there is a network: `medzoo fetch {repo}@{revision} --to DIR`."
        )
    return f"copied from {rows.get('hub')} at {commit}"


def copy_folder(
    source: Path, target: Path, texts: Mapping[str, bytes] | None = None, origin: dict[str, Any] | None = None
) -> Path:
    """Copy the files of a checkpoint's folder, whole or not at all; verify the copy.

    Args:
        source: the folder.
        target: where the copy goes; what is there is replaced.
        texts: another card or configuration, by name.
        origin: what the copy notes of its origin.

    Raises:
        IntegrityError: if the source changed meanwhile.
        UsageError: if the disk ignores case and has the target in another spelling, which is another name.
    """
    if target.exists() and not is_spelled(target.parent.parent, f"{target.parent.name}/{target.name}"):
        raise UsageError(f"{target} is there in another spelling, and this disk ignores case. Choose another name.")
    onto_itself = target.exists() and target.resolve() == source.resolve()
    if onto_itself:
        changed = [name for name, text in (texts or {}).items() if _content(target / name) != text]
        for name in changed if len(changed) < 2 else ():
            store.write_bytes(target / name, (texts or {})[name])
        if len(changed) < 2:
            return target
    with store.atomic_folder(target) as folder:
        if onto_itself:  # with all that lies there beside
            shutil.copytree(source, folder, symlinks=True, dirs_exist_ok=True)
        for file in (*FILES, *TERMS):
            if (source / file).is_file() and not onto_itself:
                shutil.copyfile(source / file, folder / file)
        for name, text in (texts or {}).items():
            (folder / name).write_bytes(text)
        if origin is not None:
            store.write_json(folder / ORIGIN, origin)
        config = read_folder(folder)
        if config.facts is not None and store.sha256_file(config.weights) != config.facts.sha256:
            raise IntegrityError(
                f"{source} changed while it was copied, or the disk failed. Nothing was left in {target}."
            )
    with suppress(OSError):
        store.sweep(target.parent)
    return target


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
