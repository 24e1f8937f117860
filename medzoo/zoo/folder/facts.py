"""The facts of a folder: the `medzoo` block of config.json, a closed schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from medzoo.zoo.folder.card_results import ResultRow
from medzoo.zoo.registry.checkpoint import Citation, Golden
from medzoo.zoo.registry.licenses import License

SCHEMA: Literal["medzoo.folder/1"] = "medzoo.folder/1"


@dataclass(frozen=True)
class Step:
    """One training step of a lineage; an absent fact is unknown."""

    data: str | None = None
    method: str | None = None
    images: int | None = None
    epochs: int | None = None
    init: str | None = None
    modalities: tuple[str, ...] = ()
    name: str | None = None
    license: str | None = None
    redistributable: bool | None = None
    sha256: str | None = None
    repo: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Rule:
    """The input convention beyond size, mean and std."""

    rule: Literal["unit", "per_image_minmax"] = "unit"
    clip: tuple[float, ...] | None = None
    note: str | None = None


@dataclass(frozen=True)
class Source:
    """The upstream file that a folder was converted from.

    Args:
        format: the name of its layout, a key of medzoo.zoo.convert.formats.FORMATS.
        file: its name.
        sha256: of its bytes.
        size: in bytes.
        as_published: whether it has the hash that its authors published; None if they published none.
        url: the address from which medzoo fetched it; absent if the user downloaded it.
        hub: the Hub repository from which it was fetched.
        revision: that repository's commit.
    """

    format: str
    file: str
    sha256: str
    size: int
    as_published: bool | None = None
    url: str | None = None
    hub: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class TrainedDecoder:
    """The decoder of a segmentation network, in decoder.safetensors next to the weights of its encoder.

    Args:
        name: of the decoder.
        classes: names, without the background.
        size: side of the images in training, pixels.
        sha256: of the file.
    """

    name: Literal["unet", "upernet", "dpt", "linear"]
    classes: tuple[str, ...]
    size: int
    sha256: str


@dataclass(frozen=True)
class FolderFacts:
    """The `medzoo` block of config.json; a closed schema."""

    schema: Literal["medzoo.folder/1"]
    name: str
    sha256: str
    license: License
    input: Rule = Rule()
    lineage: tuple[Step, ...] = ()
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    results: tuple[ResultRow, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    golden: Golden | None = None
    source: Source | None = None
    decoder: TrainedDecoder | None = None
    citation: Citation | None = None
    note: str | None = None
