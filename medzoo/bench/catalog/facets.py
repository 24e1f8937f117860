"""What the script of the page filters and sorts by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medzoo.bench.catalog.model import Catalog, CatalogCheckpoint, CatalogTask
from medzoo.bench.catalog.shown_facts import AGAIN, IMAGES, SEARCHED, TERMS, WEIGHTS
from medzoo.bench.table.checkpoint_facts import RANDOM, UNKNOWN
from medzoo.data.task_description import SOURCES


@dataclass(frozen=True)
class Facet:
    """A filter.

    Args:
        name: in the address.
        title: on the page.
        shown: whether its values are shown at first.
        words: longer words for its values.
    """

    name: str
    title: str
    shown: bool = False
    words: Mapping[Any, str] = field(default_factory=dict)


CHECKPOINT_FACETS = (
    Facet("modality", "Pre-trained on", True, IMAGES),
    Facet("weights", "How to get the weights", True, WEIGHTS),
    Facet("licence", "Licence", True),
    Facet("redistributable", "Redistribution", True),
    Facet("method", "Method"),
    Facet("data", "Pre-training data"),
    Facet("architecture", "Architecture"),
)
TASK_FACETS = (
    Facet("modality", "Images", True),
    Facet("kind", "Kind of task", True),
    Facet("source", "How to get the images", True, SOURCES),
    Facet("licence", "Licence", True, TERMS),
)


def script_facts(catalog: Catalog) -> dict[str, Any]:
    """The lists of the page with their filters, sort keys and entries, as plain data.

    An entry has, for each filter, the places of its values in the filter's list.

    Args:
        catalog: to show.
    """
    checkpoints = [(f"c-{one.name}", _checkpoint_values(one), _checkpoint_keys(one)) for one in catalog.checkpoints]
    tasks = [(f"t-{one.name}", _task_values(one), [len(one.facts.classes) or None]) for one in catalog.tasks]
    return {
        "searched": list(SEARCHED),
        "lists": [
            {
                "id": "checkpoints", "prefix": "", "find": "Find by name, data, paper …",
                "sorts": [["parameters", "parameters"], ["year", "year"]], **_coded(CHECKPOINT_FACETS, checkpoints),
            },
            {
                "id": "tasks", "prefix": "task-", "find": "Find by name, title, class …",
                "sorts": [["classes", "number of classes"]], **_coded(TASK_FACETS, tasks),
            },
        ],
    }  # fmt: skip


def _coded(
    facets: Sequence[Facet], entries: Sequence[tuple[str, list[Sequence[str]], list[int | None]]]
) -> dict[str, Any]:
    """The filters with their values, and the entries with the places of theirs."""
    values = [sorted({value for _, row, _ in entries for value in row[at]}, key=str.lower) for at in range(len(facets))]
    return {
        "facets": [
            {
                "name": facet.name,
                "title": facet.title,
                "shown": facet.shown,
                "values": known,
                "words": [f"{value}: {facet.words[value]}" if value in facet.words else value for value in known],
            }
            for facet, known in zip(facets, values, strict=True)
        ],
        "entries": [
            [name, [[known.index(value) for value in mine] for mine, known in zip(row, values, strict=True)], keys]
            for name, row, keys in entries
        ],
    }


def _checkpoint_values(one: CatalogCheckpoint) -> list[Sequence[str]]:
    past = one.facts.pretraining
    nothing = (RANDOM,) if one.facts.random else (UNKNOWN,)
    return [
        (past.modalities if past else ()) or nothing,
        (one.weights,),
        (one.facts.license.id,),
        (AGAIN[one.facts.license.redistributable],),
        (past.method,) if past and past.method else nothing,
        (past.data if past else ()) or nothing,
        (one.family,),
    ]


def _checkpoint_keys(one: CatalogCheckpoint) -> list[int | None]:
    return [one.facts.facts.get("parameters"), one.facts.citation.year if one.facts.citation else None]


def _task_values(one: CatalogTask) -> list[Sequence[str]]:
    return [one.modality.split(", ") if one.modality else ("any",), (one.kind,), (one.source,), (one.terms,)]
