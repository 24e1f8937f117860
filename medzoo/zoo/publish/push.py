"""Publish a folder to the Hub, or copy it into a directory hub."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from medzoo import paths
from medzoo.errors import LicenseError, PublishError, UnknownNameError, UsageError
from medzoo.zoo.download.copy_folder import copy_folder
from medzoo.zoo.download.fetch import locate
from medzoo.zoo.folder.config import FolderConfig
from medzoo.zoo.folder.read_write import save, verify_folder
from medzoo.zoo.publish.relicense import Terms, parse_license, relicensed
from medzoo.zoo.publish.upload import Pushed, Upload, commit
from medzoo.zoo.publish.upload_plan import copied, prepare
from medzoo.zoo.registry.checkpoint import Checkpoint
from medzoo.zoo.registry.hints import no_checkpoint
from medzoo.zoo.registry.hub_names import check_repo, check_revision
from medzoo.zoo.registry.license_acceptance import require_acceptance
from medzoo.zoo.registry.licenses import WITH_TEXT, forbids_sharing
from medzoo.zoo.registry.locations import CARD, CONFIG, TERMS, LocatedFolder, hub_address, is_folder
from medzoo.zoo.registry.registry import is_known

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

    Only an allow-list of files is uploaded (weights, configuration, card, LICENSE, NOTICE, evaluation files). They are scanned
    for tokens, paths on this machine and identifiers of patients.

    Args:
        directory_or_model: a folder, a run folder, the name of a checkpoint on this machine (`medzoo add`), or a model (then
            `card` is needed).
        repo_id: org/name.
        card: as for `save`, for a model.
        license: of a folder without a licence: an SPDX or Hub id ("cc-by-4.0"), or a table of id, url and note. It is written
            into the uploaded configuration and card; the folder on this machine does not change.
        replace_license: use `license` also if the folder has another one.
        private: whether a new repository is private (the default); True refuses an existing public one.
        revision: branch to commit to; by default main.
        create_pr: open a pull request instead, unless you have an open one with the same files.
        token: of the Hub.
        dry_run: check everything, make no connection and write nothing.
        hub: directory that replaces the Hub; by default MEDZOO_HUB. It also takes weights that must not be published.

    Returns:
        The address of the commit or pull request, or the folder in the directory hub.

    Raises:
        LicenseError: if the licence of the weights, or of weights in their lineage, is unknown or forbids publishing, or if it
            requires its text and the folder has no LICENSE.
        PublishError: if the files have private data, or the Hub refuses.
    """
    return pushed(
        directory_or_model,
        repo_id,
        card=card,
        license=license,
        replace_license=replace_license,
        private=private,
        revision=revision,
        create_pr=create_pr,
        token=token,
        dry_run=dry_run,
        hub=hub,
    ).address


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
    """Like `push`; the result also has whether the repository had the same files already."""
    # check the options before anything is read
    _check_target(repo_id)
    if paths.directory_hub(hub) is not None and (create_pr or revision is not None):
        raise UsageError(
            "A directory hub has no pull requests and no branches. Leave out --pr and --revision (create_pr, revision), or "
            "push to the Hub (without --hub and MEDZOO_HUB).",
            code="directory-hub-without-branches",
        )
    if revision is not None:
        revision = check_revision(revision)
    target = _Target(repo_id, private, revision, create_pr, token, dry_run, hub)
    # a model is saved to a temporary folder first
    if not isinstance(directory_or_model, str | os.PathLike):
        if card is None:
            raise UsageError(
                "A model needs a card: push(model, repo_id, card={'name': ..., 'license': ..., ...}).",
                code="card-required",
            )
        if license is not None:
            raise UsageError(
                "Give the licence of a model in its card: card={'license': ..., ...}.", code="license-outside-card"
            )
        with tempfile.TemporaryDirectory() as temporary:
            return _push(_verified(save(directory_or_model, Path(temporary) / "folder", card=card)), target)
    if card is not None:
        raise UsageError("A folder already has a card. Save the model again to change it.", code="card-not-allowed")
    return _push(_verified(paths.plain_path(directory_or_model), license, replace_license), target)


def plan_push(
    directory: str | os.PathLike[str],
    repo_id: str,
    *,
    license: Terms | None = None,
    replace_license: bool = False,
    hub: str | os.PathLike[str] | None = None,
) -> Upload:
    """The checked upload of `push`, without uploading; `.describe()` shows it.

    Args:
        directory: a folder or a run folder.
        repo_id: org/name.
        license: as for `push`.
        replace_license: as for `push`.
        hub: directory that replaces the Hub, for which nothing is checked; by default MEDZOO_HUB.

    Raises:
        LicenseError: as for `push`.
        PublishError: as for `push`.
    """
    config, old = _verified(paths.plain_path(directory), license, replace_license)
    if paths.directory_hub(hub) is not None:
        return copied(config, old, _check_target(repo_id))
    check_publishable(config)
    _check_license_text(config)
    return prepare(config, _check_target(repo_id), old=old)


def _check_target(repo: object) -> str:
    try:
        return check_repo(repo if isinstance(repo, str) else "")
    except UnknownNameError as error:
        raise UsageError(
            f"{str(repo)[:200]!r} is not a repository name. Give org/name with letters, digits and single . _ - between them, "
            "for example lab/resnet50-ours.",
            code="repository-name-invalid",
        ) from error


class _Target(NamedTuple):
    """The repository of a push, and its options."""

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
    """The configuration for the upload and that of the verified folder; the same object without a new licence."""
    terms = None if license is None else parse_license(license)
    if replace_license and terms is None:
        raise UsageError(
            "--replace-license needs --license ID (replace_license, license).", code="replace-license-without-license"
        )
    if is_folder(folder / "checkpoint") and not is_folder(folder):
        folder = folder / "checkpoint"
    if not is_folder(folder):
        # the name of a checkpoint on this machine, for example one of `medzoo add`
        located = locate(str(folder), download=False) if is_known(str(folder)) else None
        if located is None or located.folder is None:
            raise no_checkpoint(folder)
        if located.checkpoint is not None:
            require_acceptance(located.checkpoint.name, located.checkpoint.license)
        folder = located.folder
    config = verify_folder(LocatedFolder(str(folder), folder), always=True)
    if config.facts is None:
        raise PublishError(
            f"{folder} was not written by medzoo and has no licence. Save the model with a card first: "
            "medzoo.save(model, FOLDER, card={'name': ..., 'license': ..., 'data': ...}).",
            code="facts-missing",
        )
    return (config if terms is None else relicensed(config, terms, overwrite=replace_license)), config


def _push(verified: tuple[FolderConfig, FolderConfig], target: _Target) -> Pushed:
    config, old = verified
    directory = paths.directory_hub(target.hub)
    if directory is not None:
        folder, upload = directory / target.repo, copied(config, old, target.repo)
        if not target.dry_run:
            copy_folder(old.path, folder, {name: upload.texts[name] for name in (CARD, CONFIG)})
        return Pushed(str(folder), "")
    check_publishable(config)
    _check_license_text(config)
    upload = prepare(config, target.repo, old=old)
    if target.dry_run:
        return Pushed(f"{hub_address()}/{target.repo}", "")
    return commit(
        upload,
        f"Publish {config.name}",
        private=target.private,
        revision=target.revision,
        create_pr=target.create_pr,
        token=target.token,
    )


def check_publishable(config: FolderConfig) -> None:
    """Refuse weights if their licence, or the licence of weights in their lineage, forbids publishing.

    Raises:
        LicenseError: with the weights and the reason.
    """
    facts = config.facts
    assert facts is not None
    if facts.license.id.lower() == "unknown":
        raise LicenseError(
            f"{facts.name} has no licence, so nobody may use it. If the weights are yours, add one to the upload: `medzoo push "
            "FOLDER org/name --license ID` (medzoo.push(..., license='cc-by-4.0')).",
            code="license-unknown",
        )
    forbidden = [step.name or step.data for step in facts.lineage if step.redistributable is False]
    if not facts.license.redistributable or forbidden:
        source = f" They were trained from {', '.join(map(str, forbidden))}." if forbidden else ""
        raise LicenseError(
            f"The weights of {facts.name} may not be published again ({facts.license.note or facts.license.id}).{source} "
            "Others can convert their own copy. You can copy this one into a directory hub on your machines (hub=DIR).",
            code="not-redistributable",
        )
    earlier = [step for step in facts.lineage[:-1] if forbids_sharing([step.license])]
    if earlier:
        names = ", ".join(f"{step.name or step.data} ({step.license})" for step in earlier)
        raise LicenseError(
            f"{facts.name} was trained from {names}, whose licence forbids to share changed versions of the weights. You can copy "
            "it into a directory hub on your machines (hub=DIR).",
            code="license-forbids-derivatives",
        )


def _check_license_text(config: FolderConfig) -> None:
    """Refuse weights that others made if their licence requires its text and the folder has none."""
    facts = config.facts
    assert facts is not None
    if facts.source and facts.license.id.lower() in WITH_TEXT and not (config.path / TERMS[0]).is_file():
        raise LicenseError(
            f"{facts.license.id} requires its text, with the line of the copyright holders, in every copy. Save it"
            f"{f' from {facts.license.url}' if facts.license.url else ''} as {config.path / TERMS[0]}.",
            code="license-text-required",
        )
