"""Publish a folder to the Hub, or into a directory that plays it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo import paths, store
from medzoo.errors import LicenseError, PublishError, UsageError
from medzoo.zoo.config import FolderConfig
from medzoo.zoo.facts import Checkpoint
from medzoo.zoo.fetch import Found, check_repo, check_revision, copy_folder, verify
from medzoo.zoo.folder import FILES, save
from medzoo.zoo.places import CARD, CONFIG, WEIGHTS, is_folder

if TYPE_CHECKING:
    from torch import nn


def push(
    directory_or_model: str | os.PathLike[str] | nn.Module,
    repo_id: str,
    *,
    card: Checkpoint | Mapping[str, Any] | None = None,
    private: bool = True,
    revision: str | None = None,
    create_pr: bool = False,
    token: str | bool | None = None,
    dry_run: bool = False,
    hub: str | os.PathLike[str] | None = None,
) -> str:
    """Publish a checkpoint's three files in one commit, or copy them into a directory hub.

    Args:
        directory_or_model: a folder, a run folder, or a model (then `card` is needed).
        repo_id: org/name.
        card: as for `save`, for a model.
        private: of a repository that is created.
        revision: branch to commit to; by default main.
        create_pr: open a pull request instead.
        token: of the Hub.
        dry_run: check everything, and write nothing.
        hub: directory that plays the Hub; by default MEDZOO_HUB. It is yours, so it also takes what may not be published.

    Returns:
        The address: of the commit or pull request, or the folder in the directory hub.

    Raises:
        LicenseError: if the weights, or those they grew out of, may not be published, or their licence is unknown.
        PublishError: if the Hub refuses.
    """
    check_repo(repo_id)
    if revision is not None:
        check_revision(revision)
    if not isinstance(directory_or_model, str | os.PathLike):
        if card is None:
            raise UsageError(
                "Pushing a model needs its card: push(model, repo_id, card={'name': ..., 'license': ..., ...})."
            )
        with tempfile.TemporaryDirectory() as temporary:
            folder = save(directory_or_model, Path(temporary) / "folder", card=card)
            return _push(folder, repo_id, private, revision, create_pr, token, dry_run, hub)
    if card is not None:
        raise UsageError("A folder has its card already; save the model again to change it.")
    return _push(Path(directory_or_model), repo_id, private, revision, create_pr, token, dry_run, hub)


def _push(
    folder: Path, repo_id: str, private: bool, revision: str | None, create_pr: bool, token: str | bool | None,
    dry_run: bool, hub: str | os.PathLike[str] | None,
) -> str:  # fmt: skip
    if not is_folder(folder) and is_folder(folder / "checkpoint"):
        folder = folder / "checkpoint"
    config = verify(Found(str(folder), folder), always=True)
    if config.facts is None:
        raise PublishError(
            f"{folder} was not written by medzoo and states no licence; save the model with a card first."
        )
    directory = paths.directory_hub(hub)
    if directory is not None:
        target = directory / repo_id
        if not dry_run:
            copy_folder(folder, target)
            _readdress(config, target, repo_id)
        return str(target)
    _may_publish(config)
    if dry_run:
        return f"https://huggingface.co/{repo_id}"
    return _commit(folder, config, repo_id, private, revision, create_pr, token)


def _may_publish(config: FolderConfig) -> None:
    facts = config.facts
    assert facts is not None
    if facts.license.id.lower() == "unknown":
        raise LicenseError(f"{facts.name} has no known licence. State one in its card before it is published.")
    barred = [step.name or step.data for step in facts.lineage if step.redistributable is False]
    if not facts.license.redistributable or barred:
        which = f" It grew out of {', '.join(map(str, barred))}." if barred else ""
        raise LicenseError(
            f"The weights of {facts.name} may not be published again ({facts.license.note or facts.license.id}).{which} "
            "Others can convert their own copy; a directory hub (hub=DIR) on your machines can hold this one."
        )


def _card(config: FolderConfig, folder: Path, repo_id: str) -> bytes:
    """The card with the repository's address, unless a person edited it."""
    from medzoo.zoo.cards import render

    path = folder / CARD
    written = path.read_text(encoding="utf-8") if path.is_file() else ""
    return (render(config, repo=repo_id) if written in ("", render(config)) else written).encode()


def _readdress(config: FolderConfig, target: Path, repo_id: str) -> None:
    store.write_bytes(target / CARD, _card(config, target, repo_id))


def _commit(
    folder: Path,
    config: FolderConfig,
    repo_id: str,
    private: bool,
    revision: str | None,
    create_pr: bool,
    token: str | bool | None,
) -> str:
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(token=token, library_name="medzoo")
    # An open file goes up by LFS in the one commit; a path would go through Xet, whose uploads come in parts.
    with (folder / WEIGHTS).open("rb") as weights:
        content = {WEIGHTS: weights, CONFIG: (folder / CONFIG).read_bytes(), CARD: _card(config, folder, repo_id)}
        operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=content[name]) for name in FILES]  # type: ignore[arg-type]
        try:
            api.create_repo(repo_id, private=private, exist_ok=True)
            if revision is not None and not revision.startswith("refs/"):
                api.create_branch(repo_id, branch=revision, exist_ok=True)
            commit = api.create_commit(
                repo_id, operations, commit_message=f"Publish {config.name}", revision=revision, create_pr=create_pr
            )
        except (HfHubHTTPError, OSError, ValueError) as error:
            raise PublishError(
                f"The Hub did not take {repo_id}: {error} (log in with `hf auth login`, or pass token=)."
            ) from error
    return str(commit.pr_url or commit.commit_url)
