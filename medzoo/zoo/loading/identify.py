"""Which weights a name stands for on this machine, without reading them: what a table and a dry run ask."""

from __future__ import annotations

import os
from dataclasses import dataclass

from medzoo.zoo.registry.checkpoint import Input


@dataclass(frozen=True)
class Identified:
    """What of a checkpoint is known before its network is built; as its load receipt would say it.

    Args:
        name: the checkpoint's own name, whatever was typed.
        architecture: timm's name, or a variant's.
        sha256: of the weights; empty for random ones.
        input: the input convention.
        repo: on the Hub, where `revision` is a commit of it.
        revision: the Hub's commit.
    """

    name: str
    architecture: str
    sha256: str
    input: Input
    repo: str | None = None
    revision: str | None = None


def identify(name: str, *, hub: str | os.PathLike[str] | None = None) -> Identified:
    """The weights behind a name, as far as they are here; nothing is fetched, converted or drawn.

    The weights are hashed if their size, time or inode changed since they last were.

    Args:
        name: as for `medzoo.load`.
        hub: directory that plays the Hub; by default MEDZOO_HUB.

    Raises:
        MedzooError: if the name means nothing, its weights are not here, or they are damaged.

    >>> identify("resnet18-random").sha256
    ''
    """
    from medzoo import store
    from medzoo.zoo.download.fetch import locate, verify

    # accepting the terms belongs to loading; who asks which weights these are does not use them
    found = locate(name, hub=hub, download=False, accept_license=True)
    if found.folder is None:
        assert found.checkpoint is not None
        return Identified(found.checkpoint.name, found.checkpoint.architecture, "", found.checkpoint.input)
    config = verify(found)
    sha256 = config.facts.sha256 if config.facts else store.verified_sha256(config.weights)
    repo = found.name if found.revision and "/" in found.name else None
    return Identified(config.name, config.architecture, sha256, config.input, repo, found.revision)
