"""The options of all analyses, for a command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from medzoo.analysis import list_analyses, open_analysis


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
