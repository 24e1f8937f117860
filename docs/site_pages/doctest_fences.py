"""An extension of griffe, which reads docstrings for mkdocstrings: examples with `>>>` become blocks of code."""

from __future__ import annotations

import griffe

START = ">>> "


def fenced(docstring: str) -> str:
    """A docstring with a fence around each example; an example ends at an empty line.

    Args:
        docstring: without the indentation of its source.

    >>> fenced("Add.\\n\\n>>> 1 + 1\\n2").splitlines()
    ['Add.', '', '```pycon', '>>> 1 + 1', '2', '```']
    """
    lines: list[str] = []
    indent: str | None = None
    for line in [*docstring.splitlines(), ""]:
        if indent is None and line.lstrip().startswith(START) and "```" not in docstring:
            indent = line[: len(line) - len(line.lstrip())]
            lines += [] if not lines or not lines[-1].strip() else [""]
            lines.append(f"{indent}```pycon")
        elif indent is not None and not line.strip():
            lines.append(f"{indent}```")
            indent = None
        lines.append(line)
    return "\n".join(lines[:-1])


class DoctestFences(griffe.Extension):
    """Puts the examples of all docstrings into fences."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Change the docstring of an object after it was read.

        Args:
            obj: a module, class, function or attribute.
        """
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)
