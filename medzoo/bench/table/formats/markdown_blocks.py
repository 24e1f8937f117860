"""Tables inside Markdown files, such as a README: between two comments, of which the first is the command that makes the table.

<!-- medzoo table results --control random -->
| checkpoint | ...
<!-- end of medzoo table -->
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medzoo.errors import UsageError

END = "<!-- end of medzoo table -->"
_START = re.compile(r"<!-- medzoo table (.+) -->")


@dataclass(frozen=True)
class TableBlock:
    """A table in a Markdown file.

    Args:
        arguments: of the command `medzoo table` that makes it.
        first: index of its first line, after the comment.
        last: index of the comment that ends it.
    """

    arguments: tuple[str, ...]
    first: int
    last: int


def table_blocks(text: str, where: str) -> list[TableBlock]:
    """The tables of a Markdown file, in their order.

    Args:
        text: the file's content.
        where: its name, for messages.

    Raises:
        UsageError: for a table without an end, an end without a table, a command that cannot be split, and a file without tables.

    >>> table_blocks(f"<!-- medzoo table results -->\\n{END}", "README.md")
    [TableBlock(arguments=('results',), first=1, last=1)]
    """
    found: list[TableBlock] = []
    open_at: tuple[int, tuple[str, ...]] | None = None
    fenced = False
    for number, line in enumerate(text.split("\n")):
        stripped = line.strip()
        fenced ^= stripped.startswith("```")  # an example in a code block does not count
        start = None if fenced else _START.fullmatch(stripped)
        if start is not None or (stripped == END and not fenced):
            if (start is None) == (open_at is None):
                problem = "an end without a table" if start is None else "a table inside a table"
                raise UsageError(f"{where}, line {number + 1}: {problem}.", code="table-block-broken")
            if open_at is not None:
                found.append(TableBlock(open_at[1], open_at[0] + 1, number))
                open_at = None
            elif start is not None:
                try:
                    open_at = number, tuple(shlex.split(start[1]))
                except ValueError as error:
                    raise UsageError(f"{where}, line {number + 1}: {error}.", code="table-block-broken") from error
    if open_at is not None:
        raise UsageError(f"{where}, line {open_at[0] + 1}: the table has no line {END}.", code="table-block-broken")
    if not found:
        raise UsageError(
            f"{where} has no table. Add the two lines <!-- medzoo table RESULTS --> and {END}; `medzoo table --update` fills them.",
            code="table-block-missing",
        )
    return found


def with_tables(text: str, where: str, make: Callable[[Sequence[str]], str]) -> str:
    """A Markdown file with all its tables made again.

    Args:
        text: the file's content.
        where: its name, for messages.
        make: the Markdown of a table from the arguments of its command.
    """
    lines = text.split("\n")
    for block in reversed(table_blocks(text, where)):
        lines[block.first : block.last] = ["", *make(block.arguments).strip("\n").split("\n"), ""]
    return "\n".join(lines)


def differing_lines(text: str, made: str, where: str) -> list[str]:
    """The lines of a file that its tables, made again, do not have; each with its number.

    Args:
        text: the file's content.
        made: of `with_tables`.
        where: the file's name.

    >>> differing_lines("a\\nb", "a\\nc", "README.md")
    ["README.md, line 2: is 'b', should be 'c'"]
    """
    old, new = text.split("\n"), made.split("\n")
    lines = [
        f"{where}, line {number}: is {a!r}, should be {b!r}"
        for number, (a, b) in enumerate(zip(old, new, strict=False), start=1)
        if a != b
    ]
    if len(old) != len(new) and not lines:
        lines.append(f"{where}: has {len(old)} lines, should have {len(new)}")
    return lines


def file_text(path: Path) -> str:
    """The content of a Markdown file.

    Args:
        path: the file.

    Raises:
        UsageError: if it cannot be read as text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", code="file-unreadable") from error
