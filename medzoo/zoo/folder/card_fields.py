"""The card that `medzoo.save` takes: its fields, and how a dict or a Checkpoint is read as one."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from medzoo.closed_schema import parse, plain
from medzoo.errors import CardError, printable
from medzoo.zoo.folder.card_results import ResultRow, check_rows
from medzoo.zoo.folder.config import PROBLEMS
from medzoo.zoo.folder.facts import FolderCalibration, FolderEvaluation, Step
from medzoo.zoo.registry.checkpoint import NO_KEYWORDS, Checkpoint, Citation, Model
from medzoo.zoo.registry.licenses import License, check_license

CARD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


@dataclass(frozen=True)
class CardInput:
    """The input convention of a card; missing values are taken from the model."""

    size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channels: Literal[3, 1] | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] | None = None
    crop_pct: float | None = None
    rule: Literal["unit", "per_image_minmax"] | None = None
    clip: tuple[float, ...] | None = None
    note: str | None = None


@dataclass(frozen=True)
class Card:
    """The card that `save` takes: at least name, license and data; labels for a head."""

    name: str
    license: License | str
    data: tuple[str, ...] | str
    labels: tuple[str, ...] = ()
    problem_type: str | None = None
    method: str | None = None
    modalities: tuple[str, ...] = ()
    images: int | None = None
    epochs: int | None = None
    lineage: tuple[Step, ...] | None = None
    input: CardInput = CardInput()
    model: Model = NO_KEYWORDS
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    results: tuple[ResultRow, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    citation: Citation | None = None
    note: str | None = None
    calibration: FolderCalibration | None = None
    evaluation: FolderEvaluation | None = None


def read_card(card: Checkpoint | Mapping[str, Any]) -> Card:
    """A card from a Checkpoint or a dict.

    Args:
        card: with at least name, license and data.

    Raises:
        CardError: for a missing or unknown fact.
    """
    if isinstance(card, Checkpoint):
        past = card.pretraining
        rows: dict[str, Any] = {
            "name": card.name, "license": card.license, "data": past.data if past else (),
            "method": past.method if past else None, "lineage": card.lineage(), "input": plain(card.input),
            "model": plain(card.model), "citation": plain(card.citation) if card.citation else None,
        }  # fmt: skip
    elif isinstance(card, Mapping):
        rows = dict(card)
    else:
        raise CardError(f"A card must be a dict or a Checkpoint, not {type(card).__name__}.", code="card-wrong-type")
    for key, example in (("name", "'resnet50-simclr-mydata'"), ("license", "'apache-2.0'"), ("data", "['mydata']")):
        if rows.get(key) in (None, "", [], ()):
            raise CardError(f"The card has no {key}. Add it, for example {key}={example}.", code="card-fact-missing")
    # every value must be valid in JSON and in the schema
    rows = {key: _json_value(plain(value), f"The card's {key}") for key, value in rows.items() if value is not None}
    read = parse(Card, rows, "The card", CardError)
    if not CARD_NAME.fullmatch(read.name):
        raise CardError(
            f"The card's name is {read.name!r}. Use at most 96 letters, digits and . _ - (no slash).",
            code="card-name-invalid",
        )
    # a plain id becomes a License: redistributable unless it is unknown
    terms = read.license if isinstance(read.license, License) else None
    identifier = check_license(terms.id if terms else read.license, f"The card of {read.name}")
    if terms is None:
        terms = License(identifier, redistributable=identifier != "unknown")
    data = (read.data,) if isinstance(read.data, str) else read.data
    if read.problem_type is not None and read.problem_type not in PROBLEMS:
        raise CardError(
            f"The card's problem_type is {read.problem_type!r}; it must be one of {', '.join(PROBLEMS)}.",
            code="problem-type-unknown",
        )
    return replace(read, license=terms, data=data, results=check_rows(read.results))


def _json_value(value: Any, where: str) -> Any:  # noqa: ANN401
    """A value in a form that JSON can store.

    Raises:
        CardError: for a number that is not finite, or a value of another type; the message has its position.
    """
    if isinstance(value, Mapping):
        return {printable(key): _json_value(row, f"{where}: {key}") for key, row in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(row, f"{where}[{number}]") for number, row in enumerate(value)]
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():  # a NumPy scalar
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise CardError(f"{where} is {value}. Leave out numbers that are not finite.", code="card-number-not-finite")
    if isinstance(value, str):
        return printable(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    raise CardError(
        f"{where} is {value!r} ({type(value).__name__}). Give text, a number, a list or a table.",
        code="card-value-type",
    )
