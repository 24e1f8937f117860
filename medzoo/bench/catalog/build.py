"""Build a catalog from the registry, the tasks and, if there are any, results. It does not look for weights on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from medzoo.bench.catalog.lineage import lineages
from medzoo.bench.catalog.model import Catalog, CatalogCheckpoint, CatalogTask, Lineage, ScoreColumn
from medzoo.bench.catalog.scores import score_columns
from medzoo.bench.contamination.image_sources import shared_data
from medzoo.bench.table.checkpoint_facts import study_of
from medzoo.data.task_description import commands_of, modality_of, source_of
from medzoo.data.task_registry import list_tasks, task_info
from medzoo.zoo.folder.card_usage import code_examples
from medzoo.zoo.registry.checkpoint import Checkpoint
from medzoo.zoo.registry.licenses import known_license
from medzoo.zoo.registry.locations import next_step, published
from medzoo.zoo.registry.registry import shipped

EXAMPLE = "resnet50-imagenet"  # in the commands of tasks


def build_catalog(results: str | os.PathLike[str] | None = None) -> Catalog:
    """All checkpoints that medzoo ships and all tasks, with the scores of a store.

    Args:
        results: the folder of a store; None for a catalog without scores.

    Raises:
        ResultError: if the store has no results.

    >>> len(build_catalog().checkpoints) > 90
    True
    """
    entries = {entry.name: entry for entry in shipped()}
    columns, runs = ((), 0) if results is None else score_columns(results, entries)
    names = [name for name in list_tasks() if not name.endswith(":PATH")]
    seen = {
        entry.name: tuple(task for task in names if shared_data(entry.pretraining.data, task))
        if entry.pretraining
        else ()
        for entry in entries.values()
    }
    found = lineages(entries)
    return Catalog(
        tuple(_checkpoint(entry, found[entry.name], seen[entry.name], columns) for entry in entries.values()),
        tuple(_task(name, seen, columns) for name in list_tasks()),
        tuple(column for column in columns if not column.listed),
        runs,
    )


def _checkpoint(
    entry: Checkpoint, lineage: Lineage, seen: tuple[str, ...], columns: Sequence[ScoreColumn]
) -> CatalogCheckpoint:
    return CatalogCheckpoint(
        entry,
        published(entry),
        next_step(entry, here=False),
        entry.fp32_bytes,
        study_of(entry.citation),
        lineage,
        code_examples(entry),
        seen,
        tuple(column for column in columns if any(score.registered == entry.name for score in column.scores)),
    )


def _task(name: str, seen: Mapping[str, tuple[str, ...]], columns: Sequence[ScoreColumn]) -> CatalogTask:
    facts = task_info(name)
    check, _, train = commands_of(facts, EXAMPLE)
    source = source_of(facts)
    commands = (f"medzoo tasks info {name}", check, train)
    return CatalogTask(
        facts,
        "any kind" if source == "your own" else facts.kind,
        modality_of(facts),
        source,
        terms_of(facts.license),
        tuple(command.partition(" [")[0] for command in commands),  # without optional words: a shell would expand them
        tuple(checkpoint for checkpoint, tasks in seen.items() if name in tasks),
        tuple(column for column in columns if column.listed == name),
    )


def terms_of(license: str) -> str:
    """The kind of a task's licence: its id in one spelling, "own terms", "not stated" or "your data's".

    Args:
        license: an id, or a sentence.

    >>> [terms_of(text) for text in ("cc-by-4.0", "Apache-2.0", "not stated with the data", "for research only")]
    ['CC-BY-4.0', 'Apache-2.0', 'not stated', 'own terms']
    """
    if known_license(license):
        return license.upper() if license.lower().startswith("cc") else license
    if license == "your data's":
        return license
    return "not stated" if "not stated" in license else "own terms"
