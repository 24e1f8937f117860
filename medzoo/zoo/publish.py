"""Publish a folder to the Hub, or into a directory that plays it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo import paths
from medzoo.errors import LicenseError, PublishError, UsageError
from medzoo.zoo.config import FolderConfig
from medzoo.zoo.facts import Checkpoint
from medzoo.zoo.fetch import Found, check_repo, check_revision, copy_folder, verify
from medzoo.zoo.folder import save
from medzoo.zoo.leaving import card_for, prepare
from medzoo.zoo.places import is_folder
from medzoo.zoo.upload import Upload, commit

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
    """Publish a checkpoint in one commit, or copy it into a directory hub; pushing the same again changes nothing.

    What goes up is an allow-list (weights, configuration, card, LICENSE, NOTICE, evaluation files), looked through for tokens,
    places of this machine and identifiers of patients.

    Args:
        directory_or_model: a folder, a run folder, or a model (then `card` is needed).
        repo_id: org/name.
        card: as for `save`, for a model.
        private: of a repository that is created.
        revision: branch to commit to; by default main.
        create_pr: open a pull request instead.
        token: of the Hub.
        dry_run: check everything, contact nothing and write nothing.
        hub: directory that plays the Hub; by default MEDZOO_HUB. It is yours, so it also takes what may not be published.

    Returns:
        The address: of the commit or pull request, or the folder in the directory hub.

    Raises:
        LicenseError: if the weights, or those they grew out of, may not be published, or their licence is unknown.
        PublishError: if something must not leave this machine, or the Hub refuses.
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


def plan_push(directory: str | os.PathLike[str], repo_id: str) -> Upload:
    """What `push` would put up, judged; `.describe()` shows it.

    Args:
        directory: a folder or a run folder.
        repo_id: org/name.

    Raises:
        LicenseError: as `push`.
        PublishError: as `push`.
    """
    folder, config = _verified(Path(directory))
    may_publish(config)
    return prepare(folder, config, check_repo(repo_id))


def _verified(folder: Path) -> tuple[Path, FolderConfig]:
    if not is_folder(folder) and is_folder(folder / "checkpoint"):
        folder = folder / "checkpoint"
    config = verify(Found(str(folder), folder), always=True)
    if config.facts is None:
        raise PublishError(
            f"{folder} was not written by medzoo and states no licence; save the model with a card first."
        )
    return folder, config


def _push(
    folder: Path, repo_id: str, private: bool, revision: str | None, create_pr: bool, token: str | bool | None,
    dry_run: bool, hub: str | os.PathLike[str] | None,
) -> str:  # fmt: skip
    folder, config = _verified(folder)
    directory = paths.directory_hub(hub)
    if directory is not None:
        target = directory / repo_id
        if not dry_run:
            copy_folder(folder, target, card_for(config, folder, repo_id))
        return str(target)
    may_publish(config)
    upload = prepare(folder, config, repo_id)
    if dry_run:
        return f"https://huggingface.co/{repo_id}"
    done = commit(
        upload, f"Publish {config.name}", private=private, revision=revision, create_pr=create_pr, token=token
    )
    return done.address


def may_publish(config: FolderConfig) -> None:
    """Refuse weights whose licence, or that of weights behind them, does not allow another publication.

    Raises:
        LicenseError: naming which and why.
    """
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
