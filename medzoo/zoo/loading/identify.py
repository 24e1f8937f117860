"""Identify the weights of a name on this machine without loading them, for tables and dry runs."""

from __future__ import annotations

import os
from dataclasses import dataclass

from medzoo import store
from medzoo.zoo.download.fetch import locate
from medzoo.zoo.folder.read_write import verify_folder
from medzoo.zoo.registry.checkpoint import Input


@dataclass(frozen=True)
class Identified:
    """The facts of a checkpoint that are known before its network is built, as in its load receipt.

    Args:
        name: the checkpoint's registered name, also for an alias.
        architecture: the name of a timm architecture or of a variant.
        sha256: of the weights; empty for random ones.
        input: the input convention.
        repo: repository on the Hub, if `revision` is a commit of it.
        revision: the Hub's commit.
    """

    name: str
    architecture: str
    sha256: str
    input: Input
    repo: str | None = None
    revision: str | None = None


def identify(name: str, *, hub: str | os.PathLike[str] | None = None) -> Identified:
    """The weights of a name on this machine; nothing is fetched, converted or initialised.

    The weights are hashed only if their size, time or inode changed since the last hash. Their terms need not be accepted, and
    no acceptance is recorded.

    Args:
        name: as for `medzoo.load`.
        hub: directory that replaces the Hub; by default MEDZOO_HUB.

    Raises:
        MedzooError: if the name is unknown, or its weights are damaged or not on this machine.

    >>> identify("resnet18-random").sha256
    ''
    """
    located = locate(name, hub=hub, download=False)
    if located.folder is None:
        assert located.checkpoint is not None
        return Identified(located.checkpoint.name, located.checkpoint.architecture, "", located.checkpoint.input)
    config = verify_folder(located)
    sha256 = config.facts.sha256 if config.facts else store.verified_sha256(config.weights)
    repo = located.name if located.revision and "/" in located.name else None
    return Identified(config.name, config.architecture, sha256, config.input, repo, located.revision)
