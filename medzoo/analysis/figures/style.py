"""Colours that people with colour blindness can distinguish, and long names in few lines."""

from __future__ import annotations

import re
import textwrap

# Source: Okabe and Ito 2008, Color Universal Design (https://jfly.uni-koeln.de/color/); without yellow, which is pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
INK, FAINT, GREY = "#1b1f24", "#e6eaee", "#8a949e"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def wrapped(name: str, width: int = 26) -> str:
    """A long name in lines, broken after `-`, `_`, `/`, `,` or a space.

    Args:
        name: any.
        width: characters of a line.

    >>> wrapped("resnet18-cifar10-simclr-medical_mnist", 24)
    'resnet18-cifar10-simclr-\\nmedical_mnist'
    """
    parts = re.findall(r"[^-_/, ]*[-_/, ]|[^-_/, ]+", name)
    lines = [""]
    for part in parts:
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(piece for line in lines for piece in textwrap.wrap(line.rstrip(), width) or [""])


def number(value: float | None, digits: int = 3) -> str:
    """A number for a sentence.

    Args:
        value: None is "not defined".
        digits: after the point.

    >>> number(-0.1234), number(None)
    ('-0.123', 'not defined')
    """
    return "not defined" if value is None else f"{value:.{digits}f}"


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """An interval for a sentence, in brackets; empty without one.

    Args:
        low: lower end.
        high: upper end.
        digits: after the point.

    >>> interval(0.12345, 0.5), interval(None, None)
    (' [0.123, 0.500]', '')
    """
    return "" if low is None or high is None else f" [{low:.{digits}f}, {high:.{digits}f}]"
