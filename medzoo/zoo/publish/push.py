"""Publish a folder to the Hub, or into a directory that plays it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from medzoo import paths
from medzoo.errors import LicenseError, PublishError, UnknownNameError, UsageError
from medzoo.zoo.download.copy_folder import copy_folder
from medzoo.zoo.download.fetch import verify
from medzoo.zoo.folder.config import FolderConfig
from medzoo.zoo.folder.read_write import save
from medzoo.zoo.publish.relicense import Terms, relicensed, wanted_license
from medzoo.zoo.publish.upload import Pushed, Upload, commit
from medzoo.zoo.publish.upload_plan import copied, prepare
from medzoo.zoo.registry.checkpoint import Checkpoint
from medzoo.zoo.registry.hints import no_checkpoint
from medzoo.zoo.registry.hub_names import check_repo, check_revision
from medzoo.zoo.registry.locations import CARD, CONFIG, LocatedFolder, hub_address, is_folder

if TYPE_CHECKING:
    from torch import nn


def push(
    directory_or_model: str | os.PathLike[str] | nn.Module,
    repo_id: str,
    *,
    card: Checkpoint | Mapping[str, Any] | None = None,
    license: Terms | None = None,
    replace_license: bool = False,
    private: bool | None = None,
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
        license: of a folder that states none yet: an SPDX or Hub id ("cc-by-4.0"), or a table of id, url and note. It stands in
            the configuration and the card that go up; the folder on this machine stays as it is.
        replace_license: take `license` also where the folder states another one.
        private: whether a repository that is created is private, by default it is; True refuses one that is there and public.
        revision: branch to commit to; by default main.
        create_pr: open a pull request instead, unless one of yours with these very files is open.
        token: of the Hub.
        dry_run: check everything, contact nothing and write nothing.
        hub: directory that plays the Hub; by default MEDZOO_HUB. It is yours, so it also takes what may not be published.

    Returns:
        The address: of the commit or pull request, or the folder in the directory hub.

    Raises:
        LicenseError: if the weights, or those they grew out of, may not be published, or their licence is unknown.
        PublishError: if something must not leave this machine, or the Hub refuses.
    """
    return pushed(
        directory_or_model, repo_id, card=card, license=license, replace_license=replace_license, private=private,
        revision=revision, create_pr=create_pr, token=token, dry_run=dry_run, hub=hub,
    ).address  # fmt: skip


def pushed(
    directory_or_model: str | os.PathLike[str] | nn.Module,
    repo_id: str,
    *,
    card: Checkpoint | Mapping[str, Any] | None = None,
    license: Terms | None = None,
    replace_license: bool = False,
    private: bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    token: str | bool | None = None,
    dry_run: bool = False,
    hub: str | os.PathLike[str] | None = None,
) -> Pushed:
    """As `push`, and says too whether the same was there before."""
    _target(repo_id)
    if paths.directory_hub(hub) is not None and (create_pr or revision is not None):
        raise UsageError(
            "A directory hub has neither pull requests nor branches: leave out --pr and --revision (create_pr, revision), or "
            "push to the Hub (without --hub and MEDZOO_HUB)."
        )
    if revision is not None:
        revision = check_revision(revision)
    where = _Where(repo_id, private, revision, create_pr, token, dry_run, hub)
    if not isinstance(directory_or_model, str | os.PathLike):
        if card is None:
            raise UsageError(
                "Pushing a model needs its card: push(model, repo_id, card={'name': ..., 'license': ..., ...})."
            )
        if license is not None:
            raise UsageError("The licence of a model stands in its card: card={'license': ..., ...}.")
        with tempfile.TemporaryDirectory() as temporary:
            return _push(_verified(save(directory_or_model, Path(temporary) / "folder", card=card)), where)
    if card is not None:
        raise UsageError("A folder has its card already; save the model again to change it.")
    return _push(_verified(paths.plain_path(directory_or_model), license, replace_license), where)


def plan_push(
    directory: str | os.PathLike[str],
    repo_id: str,
    *,
    license: Terms | None = None,
    replace_license: bool = False,
    hub: str | os.PathLike[str] | None = None,
) -> Upload:
    """What `push` would put up, judged; `.describe()` shows it.

    Args:
        directory: a folder or a run folder.
        repo_id: org/name.
        license: as for `push`.
        replace_license: as for `push`.
        hub: directory that plays the Hub, to which one's own may go unjudged; by default MEDZOO_HUB.

    Raises:
        LicenseError: as `push`.
        PublishError: as `push`.
    """
    config, old = _verified(paths.plain_path(directory), license, replace_license)
    if paths.directory_hub(hub) is not None:
        return copied(config, old, _target(repo_id))
    may_publish(config)
    return prepare(config, _target(repo_id), old=old)


def _target(repo: object) -> str:
    try:
        return check_repo(repo if isinstance(repo, str) else "")
    except UnknownNameError as error:
        raise UsageError(
            f"{str(repo)[:200]!r} is no repository to push to; one is written org/name, as in lab/resnet50-ours, in letters, "
            "digits and single . _ - between them."
        ) from error


class _Where(NamedTuple):
    """Where a push goes, and how."""

    repo: str
    private: bool | None
    revision: str | None
    create_pr: bool
    token: str | bool | None
    dry_run: bool
    hub: str | os.PathLike[str] | None


def _verified(
    folder: Path, license: Terms | None = None, replace_license: bool = False
) -> tuple[FolderConfig, FolderConfig]:
    """The configuration that goes up, and that of the verified folder; one and the same unless a licence is stated."""
    terms = None if license is None else wanted_license(license)
    if replace_license and terms is None:
        raise UsageError("--replace-license goes with --license ID (replace_license, license).")
    if not is_folder(folder):
        if not is_folder(folder / "checkpoint"):
            raise no_checkpoint(folder)
        folder = folder / "checkpoint"
    config = verify(LocatedFolder(str(folder), folder), always=True)
    if config.facts is None:
        raise PublishError(
            f"{folder} was not written by medzoo and states no licence; save the model with a card first: "
            "medzoo.save(model, FOLDER, card={'name': ..., 'license': ..., 'data': ...})."
        )
    return (config if terms is None else relicensed(config, terms, overwrite=replace_license)), config


def _push(verified: tuple[FolderConfig, FolderConfig], where: _Where) -> Pushed:
    config, old = verified
    directory = paths.directory_hub(where.hub)
    if directory is not None:
        target, upload = directory / where.repo, copied(config, old, where.repo)
        if not where.dry_run:
            copy_folder(old.path, target, {name: upload.texts[name] for name in (CARD, CONFIG)})
        return Pushed(str(target), "")
    may_publish(config)
    upload = prepare(config, where.repo, old=old)
    if where.dry_run:
        return Pushed(f"{hub_address()}/{where.repo}", "")
    return commit(
        upload, f"Publish {config.name}", private=where.private, revision=where.revision, create_pr=where.create_pr,
        token=where.token,
    )  # fmt: skip


def may_publish(config: FolderConfig) -> None:
    """Refuse weights whose licence, or that of weights behind them, does not allow another publication.

    Raises:
        LicenseError: naming which and why.
    """
    facts = config.facts
    assert facts is not None
    if facts.license.id.lower() == "unknown":
        raise LicenseError(
            f"{facts.name} states no licence, without which nobody may use it. If the weights are yours, state one: `medzoo push "
            "FOLDER org/name --license ID` (medzoo.push(..., license='cc-by-4.0')). It stands in what goes up."
        )
    barred = [step.name or step.data for step in facts.lineage if step.redistributable is False]
    if not facts.license.redistributable or barred:
        which = f" It grew out of {', '.join(map(str, barred))}." if barred else ""
        raise LicenseError(
            f"The weights of {facts.name} may not be published again ({facts.license.note or facts.license.id}).{which} "
            "Others can convert their own copy; a directory hub (hub=DIR) on your machines can hold this one."
        )
