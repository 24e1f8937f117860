"""The options of all analyses, for a command line."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from medzoo.analysis import list_analyses, open_analysis
from medzoo.analysis.inputs.options import CompareOptions
from medzoo.training.options.fields import flag


def analysis_options() -> dict[str, type[Any]]:
    """The Options class of each analysis, by its name.

    >>> "representation" in analysis_options()
    True
    """
    return {name: open_analysis(name).Options for name in list_analyses()}


def by_analysis(chosen: Iterable[Any]) -> dict[str, Any]:
    """Options instances by the name of their analysis.

    Args:
        chosen: instances of the classes of `analysis_options`.
    """
    names = {kind: name for name, kind in analysis_options().items()}
    return {names[type(one)]: one for one in chosen}


def command_of(options: CompareOptions, chosen: Iterable[Any] = ()) -> str:
    """The command that makes the same comparison again: all options that are not the defaults.

    Args:
        options: of the comparison.
        chosen: instances of the classes of `analysis_options`.

    >>> command_of(CompareOptions(checkpoints=["a", "b"], task="t", only=["weights"], seed=3))
    'medzoo compare a b --task t --only weights --seed 3'
    """
    words = ["medzoo", "compare", *(options.checkpoints or ())]
    for part in (options, *chosen):
        for one in fields(part):
            value = getattr(part, one.name)
            if one.name in ("checkpoints", "again") or value == one.default:
                continue
            given = value if isinstance(value, list) else [] if value is True else [value]
            words += [flag(one.name), *map(str, given)]
    return shlex.join(words)
