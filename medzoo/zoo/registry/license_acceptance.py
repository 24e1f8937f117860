"""Whether the user accepted the terms of a checkpoint: by an argument, an environment variable, or earlier."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from medzoo import paths, store
from medzoo.errors import LicenseError
from medzoo.zoo.registry import registry
from medzoo.zoo.registry.licenses import License


def require_acceptance(name: str, license: License, accepted: bool = False) -> None:
    """Refuse weights under non-commercial or contested terms until the user has accepted them; record the acceptance.

    Args:
        name: the checkpoint's name.
        license: its terms.
        accepted: whether the caller accepts now; MEDZOO_ACCEPT_LICENSE=name,...|all does the same.

    Raises:
        LicenseError: with the terms' address and both ways to accept.
    """
    if not license.needs_acceptance:
        return
    note, terms = _note(name), _terms(name, license)
    remembered = _read(note) == terms
    if accepted or (not remembered and name in _accepted_by_environment(name)):
        if not remembered:
            with suppress(OSError):  # with a read-only home, the user must accept again next time
                store.write_json(note, terms)
        return
    if not remembered:
        raise LicenseError(
            f"The weights of {name} {_description(license)} If you accept the terms, pass accept_license=True "
            f"(--accept-license), or set MEDZOO_ACCEPT_LICENSE={name} (or all).",
            code="license-not-accepted",
        )


def is_accepted(name: str, license: License) -> bool:
    """Whether `require_acceptance` would accept a checkpoint; writes nothing.

    >>> is_accepted("resnet50-imagenet", License("bsd-3-clause", redistributable=True))
    True
    """
    return (
        not license.needs_acceptance
        or _read(_note(name)) == _terms(name, license)
        or name in _accepted_by_environment(name)
    )


def _note(name: str) -> Path:
    return paths.home() / "accepted" / f"{name}.json"


def _terms(name: str, license: License) -> dict[str, str | None]:
    """The terms that were accepted; changed terms must be accepted again."""
    return {"name": name, "license": license.id, "url": license.url}


def _accepted_by_environment(name: str) -> set[str]:
    """The checkpoint names in MEDZOO_ACCEPT_LICENSE, which may be aliases; "all" gives `name`."""
    entries = {part.strip() for part in os.environ.get("MEDZOO_ACCEPT_LICENSE", "").split(",")} - {""}
    if entries & {name, "all"}:
        return {name}
    return {registry.info(entry).name for entry in entries if registry.is_known(entry)}


def _description(license: License) -> str:
    descriptions = {"unknown": "have no stated licence", "other": "have their own terms"}
    text = descriptions.get(license.id.lower(), f"are under {license.id}")
    return f"{text}: {license.url or 'no terms were published'}.{f' {license.note}' if license.note else ''}"


def _read(note: Path) -> object:
    try:
        return json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
