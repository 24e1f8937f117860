"""Colours that people with colour blindness can distinguish, marks and axes of figures, and numbers and names as texts."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Source: Okabe and Ito 2008, Color Universal Design (https://jfly.uni-koeln.de/color/); without yellow, which is pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
INK, FAINT, GREY = "#1b1f24", "#e6eaee", "#8a949e"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# of classes and domains; yellow is dark enough for points
CLASS_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7A6A00", "#8A949E")
# of the two networks and of random weights, the same in every figure
ROLES = {"first": "#0072B2", "second": "#D55E00", "random": "#8A949E"}
MARKS = {"first": "o", "second": "s", "random": "D"}


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


def interval_of(row: Mapping[str, Any], digits: int = 3) -> str:
    """The interval of a row for a sentence, in brackets; empty without one.

    Args:
        row: with "low" and "high".
        digits: after the point.

    >>> interval_of({"low": 0.12345, "high": 0.5}, 2)
    ' [0.12, 0.50]'
    """
    return interval(row["low"], row["high"], digits)


def role_names(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The name of each role in the rows: the two networks, then random weights.

    Args:
        rows: with "role" and "network".

    >>> role_names([{"role": "random", "network": "net-random"}, {"role": "first", "network": "a"}])
    {'first': 'a', 'random': 'net-random'}
    """
    names = {str(row["role"]): str(row["network"]) for row in rows if row.get("role") in ROLES}
    return {role: names[role] for role in ROLES if role in names}


def plain(axes: Axes) -> None:
    """Faint lines across, no frame at the top and on the right.

    Args:
        axes: of a figure.
    """
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def shortened(text: str, most: int = 34) -> str:
    """A long name with its middle left out.

    Args:
        text: any.
        most: characters.

    >>> shortened("resnet50-simclr-imagenet-radnet1m", 16)
    'resnet50…radnet1m'
    """
    half = most // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"
