"""The lineage of checkpoints: their stages of pre-training, and which checkpoint starts from which."""

from __future__ import annotations

import re
from collections.abc import Mapping

from medzoo.bench.catalog.model import Lineage, LineageStage, Relative
from medzoo.zoo.folder.card import data_facts
from medzoo.zoo.registry.checkpoint import Checkpoint


def lineages(entries: Mapping[str, Checkpoint]) -> dict[str, Lineage]:
    """The lineage of each checkpoint.

    Args:
        entries: the checkpoints, by name.

    >>> from medzoo.zoo.registry.registry import info
    >>> names = ("vit_small-imagenet", "vit_small-gmml-imagenet-oct")
    >>> found = lineages({name: info(name) for name in names})
    >>> [stage.data for stage in found[names[1]].stages], found[names[0]].children
    (['imagenet', 'oct'], (Relative(name='vit_small-gmml-imagenet-oct', evidence='recipe'),))
    """
    bases = {name: _base(entry, entries) for name, entry in entries.items()}
    children: dict[str, list[Relative]] = {}
    for name, base in bases.items():
        if base is not None:
            children.setdefault(base.name, []).append(Relative(name, base.evidence))
    return {
        name: Lineage(
            (entry.pretraining.init or "") if entry.pretraining else "random",
            _stages(entry, bases[name], entries),
            bases[name],
            tuple(children.get(name, [])),
        )
        for name, entry in entries.items()
    }


def _base(entry: Checkpoint, entries: Mapping[str, Checkpoint]) -> Relative | None:
    """The checkpoint that an entry starts from: that of its recipe's command, else that of its name without the last data set."""
    source, past = entry.upstream, entry.pretraining
    if source is not None and source.access == "recipe":
        named = re.search(r"--checkpoint (\S+)", source.instructions or "")
        return Relative(named[1], "recipe") if named and named[1] in entries else None
    before = entries.get(entry.name.rpartition("-")[0])
    if past is None or before is None or before.pretraining is None or before.architecture != entry.architecture:
        return None
    return Relative(before.name, "name") if before.pretraining.data == past.data[:-1] else None


def _stages(entry: Checkpoint, base: Relative | None, entries: Mapping[str, Checkpoint]) -> tuple[LineageStage, ...]:
    """The stages. The method of the last one is a fact of the entry; earlier ones are known only from the recipe's base."""
    past = entry.pretraining
    if past is None:
        return ()
    methods = [""] * (len(past.data) - 1) + [past.method or ""]
    if base is not None and base.evidence == "recipe" and len(past.data) > 1:
        before = entries[base.name].pretraining
        methods[-2] = (before.method or "") if before is not None else ""
    sets = data_facts()
    return tuple(
        LineageStage(
            name, sets[name].title if name in sets else name, (sets[name].url or "") if name in sets else "", method
        )
        for name, method in zip(past.data, methods, strict=True)
    )
