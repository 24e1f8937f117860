"""A licence for a folder that states none, or another: in the configuration and the card that go up; the folder stays."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from medzoo.errors import CardError, LicenseError, PublishError, UsageError
from medzoo.zoo.folder.card import render
from medzoo.zoo.folder.config import FolderConfig, parse_config
from medzoo.zoo.registry import registry
from medzoo.zoo.registry.closed_schema import parse, plain
from medzoo.zoo.registry.licenses import License, check_license
from medzoo.zoo.registry.locations import CARD, CONFIG

Terms = str | License | Mapping[str, Any]


def wanted_license(license: Terms, url: str | None = None) -> License:
    """A licence as a person states it.

    Args:
        license: SPDX or Hub id, or a License or its fields.
        url: where the terms stand.

    Raises:
        UsageError: for an id that does not exist, or own terms ("other") without an address.
    """
    if isinstance(license, Mapping):
        stated = {key: value for key, value in license.items() if value is not None}
        license = parse(License, {"redistributable": True, **stated}, "license", UsageError)
    terms = license if isinstance(license, License) else License(str(license), redistributable=True)
    try:
        terms = replace(terms, id=check_license(license if isinstance(license, str) else terms.id, "--license"))
    except CardError as error:
        raise UsageError(str(error)) from error
    terms = replace(terms, url=url or terms.url)
    if terms.id == "other" and not terms.url:
        raise UsageError(
            "License 'other' needs the address of its terms: --license-url (license={'id': 'other', 'url': ...})."
        )
    if terms.id == "unknown":
        raise UsageError("'unknown' is no licence to publish under; give the id of one, for example cc-by-4.0.")
    return terms


def relicensed(config: FolderConfig, license: License, *, overwrite: bool = False) -> FolderConfig:
    """A folder's configuration under another licence.

    Args:
        config: with facts.
        license: as `wanted_license` gives it.
        overwrite: also where the folder states another licence.

    Raises:
        LicenseError: if it states another licence, or its weights are of others.
    """
    facts = config.facts
    assert facts is not None
    before = facts.license
    if before.id.lower() == license.id and license.url in (None, before.url):
        return config
    if (registry.config_dir() / f"{facts.name}.toml").is_file():
        raise LicenseError(
            f"The weights of {facts.name} are of their authors, and so is their licence ({before.id}); `medzoo info {facts.name}`."
        )
    if before.id.lower() != "unknown" and not before.redistributable:
        raise LicenseError(
            f"{config.path} states that its weights may not be published again ({before.note or before.id})."
        )
    if before.id.lower() not in ("unknown", license.id):
        if not overwrite:
            raise LicenseError(
                f"{config.path} states the licence {before.id}, and {license.id} is asked for. If you hold the rights and mean to "
                "change it, say so: --replace-license (replace_license=True)."
            )
        print(f"{facts.name} goes up under {license.id}; the folder states {before.id}.", file=sys.stderr)
    last = facts.lineage[-1:]
    if last and (last[0].license or "").lower() == before.id.lower():
        last = (replace(last[0], license=license.id),)
    facts = replace(facts, license=license, lineage=(*facts.lineage[:-1], *last))
    cfg = {**config.pretrained_cfg, "license": license.id}
    return replace(config, facts=facts, pretrained_cfg=cfg)


def config_bytes(config: FolderConfig, old: FolderConfig) -> bytes:
    """The config.json of a folder that goes up under another licence; as it lies there if the licence is the same.

    Args:
        config: as `relicensed` gives it.
        old: as it was read.

    Raises:
        IntegrityError: if the result is none that medzoo reads.
    """
    content = (old.path / CONFIG).read_bytes()
    if config is old:
        return content
    assert config.facts is not None
    rows = json.loads(content)
    rows["medzoo"] = plain(config.facts)
    rows["pretrained_cfg"]["license"] = config.facts.license.id
    text = json.dumps(rows, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    parse_config(text, old.path)
    return text.encode()


def relicensed_card(written: str, config: FolderConfig, old: FolderConfig) -> str:
    """A card that a person edited, under another licence: the lines that state it are changed, and no others.

    Args:
        written: the card.
        config: as `relicensed` gives it.
        old: as it was read.

    Raises:
        PublishError: if such a line was edited too; the message says how it should read.
    """
    if config is old:
        return written
    lines, was, now = written.split("\n"), render(old).split("\n"), render(config).split("\n")
    for kind, a, b, c, d in reversed(difflib.SequenceMatcher(None, was, now, autojunk=False).get_opcodes()):
        if kind == "equal":
            continue
        start, end = max(0, a - 1), min(len(was), b + 1)  # with a line around, so that it is found in one place alone
        block = was[start:end]
        found = [at for at in range(len(lines) - len(block) + 1) if lines[at : at + len(block)] == block]
        if len(found) != 1:
            raise PublishError(
                f"{old.path / CARD} was edited where it states the licence. Change it by hand: "
                f"{' / '.join(was[a:b]).strip() or 'nothing'!r} becomes {' / '.join(now[c:d]).strip()!r}."
            )
        lines[found[0] : found[0] + len(block)] = [*was[start:a], *now[c:d], *was[b:end]]
    return "\n".join(lines)
