r"""A table as LaTeX, for a paper: `\input{table.tex}` with the packages booktabs, amssymb and threeparttable."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from medzoo.bench.table.cell import MISSING, TableCell
from medzoo.bench.table.model import Column
from medzoo.bench.table.uncertainty.statistics_notes import differences

if TYPE_CHECKING:
    from medzoo.bench.table.model import TableData

ESCAPED = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"$\sim$", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "`": r"\textasciigrave{}", "'": r"\textquotesingle{}", '"': r"\textquotedbl{}",
}  # fmt: skip
SIGNS = {
    "▲": r"$\blacktriangle$", "▼": r"$\blacktriangledown$", "≈": r"$\approx$", "±": r"$\pm$", "↑": r"$\uparrow$",
    "↓": r"$\downarrow$", "—": r"\textemdash{}", "–": r"\textendash{}", "†": r"$^{\dagger}$", "‡": r"$^{\ddagger}$",
    "×": r"$\times$", "→": r"$\to$", "−": "$-$", "·": r"$\cdot$", "²": r"$^{2}$", "≤": r"$\leq$", "≥": r"$\geq$",
}  # fmt: skip
_MINUS = re.compile(r"(?<![\w-])-(?=\d)")
_ANY = re.compile("|".join(re.escape(sign) for sign in [*ESCAPED, *SIGNS]))


def latex(table: TableData) -> str:
    """A `table` environment with the values of the Markdown table, and its footnotes below.

    Args:
        table: with its cells.
    """
    aligned = "l" + "r" * len(table.columns)
    head = [
        ["", *(escaped(c.title) for c in table.columns)],
        ["", *(escaped(c.heading) for c in table.columns)],
    ]
    if any(c.detail for c in table.columns):
        head.append(["", *(rf"\footnotesize {escaped(c.detail)}" for c in table.columns)])
    body = [
        [escaped(row.label), *(_value(cell, c) for c, cell in zip(table.columns, cells, strict=True))]
        for row, cells in zip(table.rows, table.grid, strict=True)
    ]
    lines = [
        rf"% Made by {table.generator}. Packages: booktabs, amssymb, textcomp, threeparttable, and fontenc with T1.",
        r"\begin{table}",
        r"\centering",
        r"\begin{threeparttable}",
        rf"\caption{{{escaped(table.title)}}}",
        rf"\begin{{tabular}}{{{aligned}}}",
        r"\toprule",
        *(_line(cells) for cells in head),
        r"\midrule",
        *(_line(cells) for cells in body),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if table.footnotes:
        lines += [r"\begin{tablenotes}\footnotesize"]
        lines += [rf"\item{{}} {escaped(note)}" for note in table.footnotes]
        lines += [r"\end{tablenotes}"]
    lines += [r"\end{threeparttable}", r"\end{table}"]
    found = differences(table.rows, table.columns, table.grid)
    if found:
        lines += ["", *_differences(found)]
    return "\n".join([*lines, ""])


def escaped(words: str) -> str:
    r"""Text in which LaTeX's special characters are printed as they are.

    Args:
        words: plain text.

    >>> print(escaped("Dice ↑, 50% of a_b"))
    Dice $\uparrow$, 50\% of a\_b
    """
    signs = ESCAPED | SIGNS
    words = _MINUS.sub("−", " ".join(words.split()))
    return re.sub("-(?=-)", "-{}", _ANY.sub(lambda match: signs[match[0]], words))  # two hyphens would print a dash


def _differences(found: Sequence[tuple[str, ...]]) -> list[str]:
    names = [r"$p$ (Holm)" if word == "p (Holm)" else word for word in found[0]]
    return [
        r"\begin{table}",
        r"\centering",
        r"\caption{Differences to the control}",
        rf"\begin{{tabular}}{{{'l' * (len(names) - 3)}rrl}}",
        r"\toprule",
        _line(names),
        r"\midrule",
        *(_line([escaped(part) for part in line]) for line in found[1:]),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def _value(cell: TableCell, column: Column) -> str:
    words = cell.worded(column.digits)
    return r"\textemdash{}" if words == MISSING else escaped(words)


def _line(cells: list[str]) -> str:
    line = " & ".join(cells) + r" \\"
    return "{}" + line if line[0] in "[*" else line  # both would be read as an argument of the line break above
