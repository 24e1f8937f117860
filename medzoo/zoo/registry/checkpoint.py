"""The facts about a checkpoint, as frozen dataclasses: the schema of the TOML files in hub_configs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from medzoo.closed_schema import plain
from medzoo.zoo.registry.licenses import License


@dataclass(frozen=True)
class Model:
    """The architecture's keywords for timm, and the labels of the stored head.

    Args:
        kwargs: keywords with JSON values (num_heads, img_size, window_size, global_pool).
        labels: the labels of the stored head's outputs, in order; absent if unknown.
    """

    kwargs: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


NO_KEYWORDS = Model()


@dataclass(frozen=True)
class Input:
    """The input convention: RGB scaled to [0, 1], minus mean, divided by std.

    Args:
        size: side in pixels.
        mean: one number for each channel.
        std: one number for each channel.
        channels: 3 or 1.
        interpolation: of the resize, with timm's name.
        crop_pct: share of the resized image that the centre crop keeps.
        rule: the range that is scaled to [0, 1]: that of the data type ("unit") or of each image ("per_image_minmax").
        clip: lowest and highest HU of CT.
        note: anything else that a user should know.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: Literal[3, 1] = 3
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] | None = None
    crop_pct: float | None = None
    rule: Literal["unit", "per_image_minmax"] = "unit"
    clip: tuple[float, ...] | None = None
    note: str | None = None


def number_problems(shape: Input) -> Iterator[str]:
    """The numbers of an input convention that would give NaN or infinity, in sentences that begin with the key.

    Args:
        shape: the input convention of a card, a folder or a TOML file.
    """
    if not len(shape.mean) == len(shape.std) == shape.channels:
        yield f"mean and std need {shape.channels} numbers each, one for each channel."
    if not all(map(math.isfinite, (*shape.mean, *shape.std))):
        yield f"mean {list(shape.mean)} and std {list(shape.std)} must be finite."
    if not all(value > 0 for value in shape.std):
        yield f"std is {list(shape.std)}; it must be above 0."
    if shape.clip is not None:
        numbers = all(map(math.isfinite, shape.clip))
        if not (len(shape.clip) == 2 and numbers and shape.clip[0] < shape.clip[1]):
            yield "clip must be a list of two numbers, lowest and highest HU."


def input_problems(shape: Input) -> Iterator[str]:
    """The problems of an input convention, in sentences that begin with the key.

    Args:
        shape: the input convention of a card or a TOML file.
    """
    yield from number_problems(shape)
    if not 8 <= shape.size <= 4096:
        yield f"size is {shape.size}; it should be between 8 and 4096 pixels."
    if shape.crop_pct is not None and not 0 < shape.crop_pct <= 1:
        yield f"crop_pct is {shape.crop_pct}; it must be above 0 and at most 1."


@dataclass(frozen=True)
class Pretraining:
    """How the weights were trained; an absent fact is unknown.

    Args:
        method: of the pre-training.
        data: names of the data sets, in the order of use.
        modalities: kinds of images in the training data.
        images: the number of training images.
        epochs: of the last stage.
        init: the initial weights.
    """

    method: str | None = None
    data: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    images: int | None = None
    epochs: int | None = None
    init: str | None = None


@dataclass(frozen=True)
class Upstream:
    """Where the authors published the weights: a url, or a Hub repository with revision and file.

    Args:
        access: "direct" if medzoo can download them, "manual" if the user must, "recipe" if a recipe trains them.
        format: of medzoo/zoo/convert/formats; absent if the file's layout is unknown.
        also: other formats in which the same weights are published.
        url: address of the file; for "manual", of the download page.
        hub: Hub repository.
        revision: its commit.
        file: name of the file.
        sha256: of the published file.
        md5: of the published file; the first digits are enough.
        instructions: what the user does, or the recipe's command.
        channel_order: of the input in training; absent where the format shows it.
    """

    access: Literal["direct", "manual", "recipe"]
    format: str | None = None
    also: tuple[str, ...] = ()
    url: str | None = None
    hub: str | None = None
    revision: str | None = None
    file: str | None = None
    sha256: str | None = None
    md5: str | None = None
    instructions: str | None = None
    channel_order: Literal["rgb", "bgr"] | None = None


@dataclass(frozen=True)
class Citation:
    """The paper to cite.

    Args:
        title: of the paper.
        authors: their names, separated by commas.
        year: of the publication.
        paper: its address.
    """

    title: str
    authors: str | None = None
    year: int | None = None
    paper: str | None = None


@dataclass(frozen=True)
class Golden:
    """Features of three fixed inputs (zoo/models/golden.py), to check that a network still computes the same as at conversion.

    Args:
        mean: of the features of each input.
        norm: Euclidean norm of the features of each input.
        first: the first features of each input.
    """

    mean: tuple[float, ...]
    norm: tuple[float, ...]
    first: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Hub:
    """The Hub repository in which medzoo published the folder.

    Args:
        repo: org/name.
        revision: its commit, 40 hexadecimal digits.
        sha256: of model.safetensors.
        size: of model.safetensors, bytes.
    """

    repo: str
    revision: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Checkpoint:
    """All facts about a checkpoint; `print` shows them, `.to_dict()` returns plain data.

    Args:
        name: of the checkpoint; in a file of the registry, it is the name of the file.
        architecture: timm's name, or one of medzoo/zoo/variants.py.
        input: how an image becomes the network's input.
        license: terms of the weights.
        alias: other names that `load` knows.
        model: keywords of the architecture, and labels of the stored head.
        pretraining: how the weights were trained; absent for random weights.
        upstream: where the authors published the weights.
        citation: the paper to cite.
        golden: stored features, to check the network; `medzoo publish` writes them.
        hub: where medzoo published the folder; `medzoo publish` writes it.
    """

    name: str
    architecture: str
    input: Input
    license: License
    alias: tuple[str, ...] = ()
    model: Model = NO_KEYWORDS
    pretraining: Pretraining | None = None
    upstream: Upstream | None = None
    citation: Citation | None = None
    golden: Golden | None = None
    hub: Hub | None = None

    @property
    def random(self) -> bool:
        """Whether it has no stored weights: `load` draws them from torch's random generator."""
        return self.upstream is None and self.hub is None

    @property
    def fp32_bytes(self) -> int | None:
        """Bytes of the parameters in fp32, without a classifier; None if their number is unknown."""
        parameters = self.facts.get("parameters")
        return 4 * int(parameters) if parameters else None

    @property
    def facts(self) -> Mapping[str, Any]:
        """Parameters, feature width and usual size of the architecture, from zoo/registry/architectures.json."""
        return architecture_facts().get(self.architecture, {})

    def lineage(self) -> tuple[dict[str, Any], ...]:
        """The training steps of the weights, oldest first; empty for random weights."""
        past = self.pretraining
        if past is None:
            return ()
        steps: list[dict[str, Any]] = [{"data": data} for data in past.data]
        modalities = list(past.modalities)
        last = {"method": past.method, "images": past.images, "epochs": past.epochs, "modalities": modalities}
        last |= {"name": self.name, "license": self.license.id, "redistributable": self.license.redistributable}
        if past.init:
            steps[0]["init"] = past.init
        steps[-1] |= {key: value for key, value in last.items() if value not in (None, [])}
        return tuple(steps)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, with the architecture's facts; unknown facts are absent."""
        return {**plain(self), "facts": dict(self.facts)}

    def __str__(self) -> str:
        return as_text(self.to_dict())

    __repr__ = __str__


def as_text(values: Mapping[str, Any]) -> str:
    """Nested facts as indented lines.

    Args:
        values: plain dictionaries and lists.

    >>> print(as_text({"name": "x", "input": {"mean": [0.5, 0.5]}}))
    name   x
    input
      mean  0.5, 0.5
    """
    return "\n".join(_lines(values))


def _lines(values: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    width = max((len(key) for key in values), default=0) + 2
    for key, value in values.items():
        if isinstance(value, Mapping):
            if value:
                yield f"{indent}{key}"
                yield from _lines(value, indent + "  ")
        elif key != "first":  # the rows of golden features are of no use to a reader
            if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
                for number, row in enumerate(value, start=1):
                    yield f"{indent}{key} {number}"
                    yield from _lines(row, indent + "  ")
                continue
            text = ", ".join(map(str, value)) if isinstance(value, list) else value
            yield f"{indent}{key:<{width}}{text}"


@cache
def architecture_facts() -> dict[str, dict[str, Any]]:
    """The computed facts about each architecture (`python -m medzoo.zoo.models.architectures` writes them)."""
    facts: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "architectures.json").read_text())
    return facts
