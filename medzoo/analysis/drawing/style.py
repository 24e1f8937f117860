"""Colours, marks and axes of the figures of analyses.

Source: the colours of Okabe and Ito (https://jfly.uni-koeln.de/color/), for readers with any colour vision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, FAINT = "#1b1f24", "#e6eaee"
# of the two networks and of random weights, the same in every figure
ROLES = {"first": "#0072B2", "second": "#D55E00", "random": "#8A949E"}
MARKS = {"first": "o", "second": "s", "random": "D"}
# of classes and domains
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7A6A00", "#8A949E")


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
