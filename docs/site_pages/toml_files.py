"""TOML files of the recipes as a page shows them: the comment at the top, and the comments at keys."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from site_pages.markdown import as_text, code, docstring, header_comment, table, toml_value


@dataclass
class TomlTable:
    """A table of a file.

    Args:
        comment: the lines below its name.
        values: by key.
        reasons: comments at the ends of lines, by key.
    """

    comment: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def read_tables(path: Path) -> dict[str, TomlTable]:
    """The tables of a file that are not lists; "" has the keys above the first table.

    Args:
        path: of the file.
    """
    text = path.read_text(encoding="utf-8")
    found: dict[str, TomlTable] = {"": TomlTable()}
    here, fresh = found[""], False
    for line in text.splitlines():
        if name := re.fullmatch(r"\[([\w.-]+)\]\s*", line):
            here, fresh = found.setdefault(name[1], TomlTable()), True
        elif line.startswith("#") and fresh:
            here.comment += line[1:] + "\n"
        elif row := re.match(r"(\w+)\s*=\s*(?:[^#\"]|\"[^\"]*\")*?\s+#\s*(.+)", line):
            here.reasons[row[1]] = row[2]
            fresh = False
        elif line.strip():
            fresh = False
    content = tomllib.loads(text)
    for name, one in found.items():
        values: Any = content
        for part in name.split(".") if name else ():
            values = values[part]
        one.values = {key: value for key, value in values.items() if not isinstance(value, dict)}
    return found


def header(path: Path) -> str:
    """The comment at the top of a file as Markdown.

    Args:
        path: of the file.
    """
    return docstring(header_comment(path.read_text(encoding="utf-8")))


def values_table(one: TomlTable, helps: dict[str, str]) -> str:
    """The keys of a table with their values, and the reason or the meaning of each.

    Args:
        one: the table.
        helps: the meaning of keys, shown where the file gives no reason.
    """
    rows = []
    for key, value in one.values.items():
        text = helps.get(key, "")
        if key in one.reasons:
            text = f"{text.rstrip('.')}; {one.reasons[key]}" if text else one.reasons[key]
        rows.append([code(key), code(toml_value(value)), as_text(text)])
    return table(["option", "value", "meaning, and the reason in the file"], rows)
