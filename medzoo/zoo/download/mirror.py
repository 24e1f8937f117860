"""Fill a directory hub with many checkpoints, for machines without network."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medzoo import store
from medzoo.errors import LicenseError, MedzooError
from medzoo.zoo.download.fetch import fetch
from medzoo.zoo.registry.locations import ORGANISATION, WEIGHTS, availability, is_folder, next_step
from medzoo.zoo.registry.registry import info, names


@dataclass(frozen=True)
class Mirrored:
    """The result for one checkpoint.

    Args:
        name: of the checkpoint.
        result: "copied", "there already", "left out" (the user must download it, run a recipe, or do nothing) or "failed".
        detail: the folder, or the reason and what to do.
    """

    name: str
    result: str
    detail: str


def mirror(
    directory: str | os.PathLike[str],
    *,
    only: Sequence[str] | None = None,
    accept_license: bool = False,
    token: str | bool | None = None,
) -> Iterator[Mirrored]:
    """Fill a directory hub; intact copies are not fetched again, and one failure does not stop the others.

    Args:
        directory: the hub to fill; other machines use it as MEDZOO_HUB.
        only: names; by default all that medzoo can fetch, and all on this machine.
        accept_license: accept non-commercial or contested terms.
        token: of the Hub.

    Yields:
        One row for each checkpoint, when it is done.
    """
    root = Path(directory).expanduser()
    for name in only if only is not None else names():
        entry = info(name)
        state = availability(entry)
        target = root / ORGANISATION / entry.name
        if state == "drawn":
            yield Mirrored(entry.name, "left out", "random weights need no file")
        elif _is_intact(target):
            yield Mirrored(entry.name, "there already", str(target))
        elif state in ("by hand", "recipe"):
            yield Mirrored(entry.name, "left out", next_step(entry))
        else:
            try:
                folder = fetch(entry.name, to=root, accept_license=accept_license, token=token)
                yield Mirrored(entry.name, "copied", str(folder))
            except LicenseError as error:
                yield Mirrored(entry.name, "left out", str(error))
            except (MedzooError, OSError) as error:
                yield Mirrored(entry.name, "failed", str(error))


def _is_intact(folder: Path) -> bool:
    from medzoo.zoo.folder.read_write import read_folder

    if not is_folder(folder):
        return False
    try:
        facts = read_folder(folder).facts
        return facts is not None and store.verified_sha256(folder / WEIGHTS) == facts.sha256
    except (MedzooError, OSError):
        return False
