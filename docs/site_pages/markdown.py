"""Markdown of the pages that are made from the source: text, tables, comments of TOML files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

URL = re.compile(r"https?://[^\s<>`\"]+[^\s<>`\".,;:)\]]")


def as_text(text: str) -> str:
    """Plain text of the source as HTML in one line: what is in backticks is code, and addresses are links.

    Args:
        text: of a docstring, a help line or a comment.

    >>> as_text("at most <1>, see `medzoo list` | https://arxiv.org/abs/1.")
    'at most &lt;1&gt;, see <code>medzoo list</code> &#124; <a href="https://arxiv.org/abs/1">https://arxiv.org/abs/1</a>.'
    """
    parts = re.split(r"`([^`]+)`", " ".join(text.split()))
    shown = []
    for number, part in enumerate(parts):
        if number % 2:
            shown.append(f"<code>{escape(part, quote=False)}</code>")
        else:
            shown.append(_linked(part))
    return _without_marks("".join(shown))


def _without_marks(text: str) -> str:
    """HTML without signs that Markdown would read: they become entities."""
    for sign in "|*_[]\\":
        text = text.replace(sign, f"&#{ord(sign)};")
    return text


def _linked(text: str) -> str:
    """Text as HTML, with its addresses as links."""
    shown, end = [], 0
    for found in URL.finditer(text):
        shown += [
            escape(text[end : found.start()], quote=False),
            f'<a href="{escape(found[0])}">{escape(found[0])}</a>',
        ]
        end = found.end()
    return "".join([*shown, escape(text[end:], quote=False)])


def code(text: object) -> str:
    """A name or value as code that does not break at a hyphen and may stand in a table.

    Args:
        text: to show.
    """
    return f"<code>{_without_marks(escape(str(text), quote=False))}</code>"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; empty without rows.

    Args:
        headings: of the columns.
        rows: cells that need no further escapes.
    """
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(headings)} |", "|" + "---|" * len(headings), *lines, ""])


def block(language: str, text: str) -> str:
    """A block of code.

    Args:
        language: for the colours.
        text: to show.
    """
    return f"```{language}\n{text.rstrip()}\n```\n"


def docstring(text: str) -> str:
    """A docstring as Markdown: paragraphs, lists, and indented lines as commands.

    Args:
        text: without the indentation of its source.
    """
    parts = []
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        lines = paragraph.splitlines()
        if all(line.startswith("    ") for line in lines):
            parts.append(block("bash", "\n".join(line[4:] for line in lines)))
            continue
        parts += _paragraphs(lines)
    return "\n".join(parts)


def _paragraphs(lines: Sequence[str]) -> list[str]:
    """Lines of text as paragraphs and list items."""
    texts: list[str] = []
    for line in lines:
        if line.lstrip().startswith("- ") or not texts:
            texts.append(line.strip())
        else:
            texts[-1] += f" {line.strip()}"
    items = [f"- {as_text(text[2:])}" if text.startswith("- ") else as_text(text) for text in texts]
    shown = ""
    for number, item in enumerate(items):  # a list needs an empty line above
        shown += (
            ("\n" if number and item.startswith("- ") and not items[number - 1].startswith("- ") else "") + item + "\n"
        )
    return [shown]


def header_comment(text: str) -> str:
    """The comment at the top of a TOML file, as a docstring: `#` removed, deeper lines as commands.

    Args:
        text: of the file.
    """
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line[1:].removeprefix(" ") if not line.startswith("#   ") else "    " + line[4:])
    # the continuation of a list item is indented by two spaces
    return "\n".join(lines)


def arguments_of(docstring_text: str | None) -> dict[str, str]:
    """The descriptions of arguments in a docstring, by name.

    Args:
        docstring_text: in Google's style.

    >>> arguments_of("A point.\\n\\nArgs:\\n    x: from left,\\n        pixels.\\n    y: from above.\\n")
    {'x': 'from left, pixels.', 'y': 'from above.'}
    """
    found: dict[str, str] = {}
    inside, name = False, ""
    for line in (docstring_text or "").expandtabs().splitlines():
        if re.fullmatch(r"\s*(Args|Attributes):", line):
            inside, depth = True, len(line) - len(line.lstrip())
        elif inside and line.strip():
            indent = len(line) - len(line.lstrip())
            if indent <= depth:
                inside = False
            elif indent == depth + 4 and (match := re.match(r"\s*\*{0,2}(\w+): (.*)", line)):
                name = match[1]
                found[name] = match[2]
            else:
                found[name] += f" {line.strip()}"
    return found


def front_matter(title: str, description: str, *, wide: bool = False) -> str:
    """The first lines of a page.

    Args:
        title: of the page.
        description: for the list of a search engine.
        wide: hide the list of pages at the left.
    """
    hidden = "hide: [navigation]\n" if wide else ""
    return f"---\ntitle: {title}\ndescription: {description}\n{hidden}---\n\n# {title}\n\n"


def toml_value(value: object) -> str:
    """A value in the form of TOML.

    Args:
        value: a text, number, switch, list or table.

    >>> toml_value((1, "a", True))
    '[1, "a", true]'
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml_value(row)}" for key, row in value.items()) + " }"
    if isinstance(value, float) and 0 < abs(value) < 0.001:
        return f"{value:g}".replace("e-0", "e-")
    return str(value)
