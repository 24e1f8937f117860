"""The table of `medzoo list`, and its errors for a filter that no checkpoint passes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from medzoo.commands.terminal.columns import COLUMNS, DEFAULT, PRIORITY
from medzoo.commands.terminal.text_table import TextColumn, cut_to_fit, fitting, table_lines
from medzoo.errors import UnknownNameError, UsageError
from medzoo.zoo.registry.checkpoint import Checkpoint
from medzoo.zoo.registry.registry import HOW, filter_values, info, known_names, list_models

WILDCARD = re.compile(r"[*?[]")


def list_text(entries: Sequence[Checkpoint], chosen: Sequence[str] | None, width: int | None) -> tuple[str, str]:
    """The table of checkpoints, and a sentence on columns that did not fit.

    Args:
        entries: at least one.
        chosen: names of columns; None for the usual ones, fewer on a narrow terminal and more on a wide one.
        width: characters of the terminal; None for a file or a pipe, where nothing is cut.

    Returns:
        The lines of the table, and the sentence; empty if all columns are complete.
    """
    usual = DEFAULT if width is None else [name for name in COLUMNS if name in PRIORITY]
    shown = list(usual if chosen is None else chosen)
    columns = {
        name: TextColumn(
            COLUMNS[name].heading,
            [COLUMNS[name].cell(entry) for entry in entries],
            COLUMNS[name].right,
            COLUMNS[name].may_cut,
        )
        for name in shown
    }
    if width is None:
        return "\n".join(table_lines(list(columns.values()))), ""
    if chosen is None:
        fit = fitting(columns, PRIORITY, width)
        absent = [name for name in DEFAULT if name not in fit]
        return "\n".join(table_lines([columns[name] for name in fit])), _left_out(absent)
    # the user's columns stay as long as possible: long texts are cut first
    widths = cut_to_fit(list(columns.values()), width)
    return "\n".join(table_lines(list(columns.values()), widths)), _left_out(shown[len(widths) :])


def _left_out(absent: Sequence[str]) -> str:
    if not absent:
        return ""
    return f"not shown, because the terminal is too narrow: {', '.join(absent)} (use --columns, or `medzoo list | less -S`)"


def plain_rows(entries: Sequence[Checkpoint], chosen: Sequence[str]) -> list[dict[str, Any]]:
    """The values of the chosen columns as plain data for JSON, one dict for each checkpoint."""
    return [{name: COLUMNS[name].value(entry) for name in chosen} for entry in entries]


def no_match(pattern: str, filters: Mapping[str, str | None]) -> UsageError:
    """The error for a list without rows: it names the filter value that no checkpoint has, with near matches.

    Args:
        pattern: of the names.
        filters: value by the name of the filter, as `list_models` takes them.

    >>> no_match("*", {"method": "simclrr"}).code
    'unknown-method'
    """
    for kind, value in filters.items():
        known = known_values(kind)
        if value is not None and not WILDCARD.search(value) and value.lower() not in map(str.lower, known):
            word = "licence" if kind == "license" else kind
            return UnknownNameError(word, value, known, f"Known: {', '.join(known)}.")
    if not WILDCARD.search(pattern) and not any(pattern.lower() in name for name in known_names()):
        parts = dict.fromkeys(part for name in known_names() for part in (name, *name.split("-")))
        return UnknownNameError("checkpoint", pattern, parts, f"No checkpoint has it in its name. {HOW}")
    return UsageError(
        f"No checkpoint matches {pattern!r} with these filters; `medzoo list` shows all.", code="no-match"
    )


def known_values(kind: str) -> list[str]:
    """All values that the checkpoints have for a filter, sorted.

    Args:
        kind: architecture, method, data, modality or license.

    >>> "CC-BY-NC-4.0" in known_values("license")
    True
    """
    found = {value for name in list_models() for value in filter_values(info(name))[kind] if value}
    return sorted(found, key=str.lower)
