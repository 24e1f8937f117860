"""Change the licence of a folder for an upload: in the uploaded configuration and card; the folder itself does not change."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from medzoo.closed_schema import parse
from medzoo.errors import CardError, LicenseError, PublishError, UsageError
from medzoo.zoo.folder.card import render
from medzoo.zoo.folder.card_edit import config_text, edited_card
from medzoo.zoo.folder.config import FolderConfig
from medzoo.zoo.registry import registry
from medzoo.zoo.registry.licenses import License, check_license
from medzoo.zoo.registry.locations import CARD, CONFIG

Terms = str | License | Mapping[str, Any]


def parse_license(license: Terms, url: str | None = None) -> License:
    """A checked licence from the user's argument.

    Args:
        license: SPDX or Hub id, or a License or its fields.
        url: address of the terms.

    Raises:
        UsageError: for an unknown id, or special terms ("other") without an address.
    """
    if isinstance(license, Mapping):
        fields = {key: value for key, value in license.items() if value is not None}
        license = parse(License, {"redistributable": True, **fields}, "license", UsageError)
    terms = license if isinstance(license, License) else License(str(license), redistributable=True)
    try:
        terms = replace(terms, id=check_license(license if isinstance(license, str) else terms.id, "--license"))
    except CardError as error:
        raise UsageError(str(error), code="license-unknown-id") from error
    terms = replace(terms, url=url or terms.url)
    if terms.id == "other" and not terms.url:
        raise UsageError(
            "License 'other' needs the address of its terms: --license-url (license={'id': 'other', 'url': ...}).",
            code="license-url-missing",
        )
    if terms.id == "unknown":
        raise UsageError(
            "A folder cannot be published with the licence 'unknown'. Give the id of a licence, for example cc-by-4.0.",
            code="license-unknown",
        )
    return terms


def relicensed(config: FolderConfig, license: License, *, overwrite: bool = False) -> FolderConfig:
    """A folder's configuration with another licence.

    Args:
        config: with facts.
        license: of `parse_license`.
        overwrite: also if the folder has another licence.

    Raises:
        LicenseError: if it has another licence, or its weights are from other authors.
    """
    facts = config.facts
    assert facts is not None
    # only the holder of the rights may change a licence
    before = facts.license
    if before.id.lower() == license.id and license.url in (None, before.url):
        return config
    if (registry.config_dir() / f"{facts.name}.toml").is_file():
        raise LicenseError(
            f"The weights of {facts.name} have the licence of their authors ({before.id}). You cannot change it; see `medzoo info "
            f"{facts.name}`.",
            code="license-of-authors",
        )
    if before.id.lower() != "unknown" and not before.redistributable:
        raise LicenseError(
            f"{config.path} has a licence that forbids publishing the weights again ({before.note or before.id}).",
            code="not-redistributable",
        )
    if before.id.lower() not in ("unknown", license.id):
        if not overwrite:
            raise LicenseError(
                f"{config.path} has the licence {before.id}, not {license.id}. If you hold the rights and want to change the "
                "licence, use --replace-license (replace_license=True).",
                code="license-differs",
            )
        print(f"{facts.name} is uploaded with the licence {license.id}; the folder has {before.id}.", file=sys.stderr)
    # the last training step has the same licence
    last = facts.lineage[-1:]
    if last and (last[0].license or "").lower() == before.id.lower():
        last = (replace(last[0], license=license.id),)
    facts = replace(facts, license=license, lineage=(*facts.lineage[:-1], *last))
    cfg = {**config.pretrained_cfg, "license": license.id}
    return replace(config, facts=facts, pretrained_cfg=cfg)


def config_bytes(config: FolderConfig, old: FolderConfig) -> bytes:
    """The bytes of the uploaded config.json: the folder's own file, or with another licence.

    Args:
        config: of `relicensed`.
        old: the configuration in the folder.

    Raises:
        IntegrityError: if medzoo could not read the result.
    """
    content = (old.path / CONFIG).read_bytes()
    if config is old:
        return content
    return config_text(config).encode()


def relicensed_card(text: str, config: FolderConfig, old: FolderConfig) -> str:
    """A card that the user edited, with another licence: only the lines of the licence are changed.

    Args:
        text: the card.
        config: of `relicensed`.
        old: the configuration in the folder.

    Raises:
        PublishError: if the user edited these lines too; the message has the new lines.
    """
    if config is old:
        return text
    try:
        return edited_card(text, render(old), render(config), str(old.path / CARD))
    except CardError as error:
        raise PublishError(str(error), code="card-license-edited") from error
