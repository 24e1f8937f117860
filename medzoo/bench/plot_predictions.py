"""A picture of a run's predictions on the test split: confusion matrix, ROC curves and reliability; for numbers, a scatter plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medzoo import store
from medzoo.bench.metrics import auroc

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 10  # of equal numbers of images
MOST = 15  # curves and rows of a matrix that stay readable
FILE = "test.png"


def draw_predictions(
    folder: Path, kind: str, classes: Sequence[str], labels: np.ndarray, predicted: np.ndarray, title: str = ""
) -> Path:
    """Write test.png into a run folder; returns its path.

    Args:
        folder: of the run.
        kind: "binary", "multiclass", "multilabel" or "regression".
        classes: names of the classes.
        labels: (N,) class numbers, (N, K) of 0, 1 and NaN, or (N,) numbers.
        predicted: probabilities (N, K), or numbers (N, 1).
        title: above the picture.
    """
    figure = prediction_figure(kind, classes, labels, predicted, title)
    with store.atomic_path(folder / FILE) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
    return folder / FILE


def prediction_figure(
    kind: str, classes: Sequence[str], labels: np.ndarray, predicted: np.ndarray, title: str = ""
) -> Figure:
    """The figure; arguments as for `draw_predictions`.

    >>> figure = prediction_figure("binary", ["no", "yes"], np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]))
    >>> [axis.get_title() for axis in figure.axes]
    ['confusion matrix', 'ROC', 'reliability']
    """
    from matplotlib.figure import Figure  # not pyplot, which has global state and needs a display

    if kind == "regression":
        figure = Figure(figsize=(4.5, 4), layout="constrained")
        _scatter(figure.subplots(), labels, predicted[:, 0])
    else:
        panels = 2 if kind == "multilabel" else 3
        figure = Figure(figsize=(4.2 * panels, 3.9), layout="constrained")
        axes = list(figure.subplots(1, panels))
        if kind != "multilabel":
            _confusion(axes.pop(0), classes, labels, predicted)
        columns = _columns(kind, classes, labels, predicted)
        _roc(axes[0], columns)
        _reliability(axes[1], columns)
    figure.suptitle(title.replace("$", r"\$"), fontsize=10)
    return figure


Column = tuple[str, np.ndarray, np.ndarray]  # name, labels of 0 and 1, probabilities


def _columns(kind: str, classes: Sequence[str], labels: np.ndarray, predicted: np.ndarray) -> list[Column]:
    """One yes-or-no question for each curve; a binary task has one."""
    rows: list[Column] = []
    for number, name in enumerate(classes):
        if kind == "multilabel":
            known = ~np.isnan(labels[:, number])
            rows.append((name, labels[known, number].astype(int), predicted[known, number]))
        elif kind == "multiclass" or number == 1:
            rows.append((name, (labels == number).astype(int), predicted[:, number]))
    return [row for row in rows if 0 < row[1].sum() < len(row[1])][:MOST]


def _confusion(axis: Axes, classes: Sequence[str], labels: np.ndarray, predicted: np.ndarray) -> None:
    """Shares of the rows as colours, counts as text; the most probable class is the decision."""
    count = len(classes)
    matrix = np.zeros((count, count), dtype=int)
    np.add.at(matrix, (labels.astype(int), predicted.argmax(1)), 1)
    axis.imshow(matrix / np.maximum(matrix.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    if count <= MOST:
        for row, column in np.ndindex(count, count):
            dark = matrix[row, column] > 0.5 * matrix[row].sum()
            axis.text(
                column,
                row,
                str(matrix[row, column]),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else "black",
            )
        axis.set_xticks(range(count), [_short(name) for name in classes], rotation=45, ha="right", fontsize=8)
        axis.set_yticks(range(count), [_short(name) for name in classes], fontsize=8)
    axis.set(title="confusion matrix", xlabel="predicted", ylabel="label")


def _roc(axis: Axes, columns: Sequence[Column]) -> None:
    for name, labels, scores in columns:
        order = np.argsort(-scores, kind="stable")
        positive = labels[order]
        last = np.append(
            np.flatnonzero(np.diff(scores[order])), len(order) - 1
        )  # the end of each group of equal scores
        hits, false = np.cumsum(positive)[last] / positive.sum(), np.cumsum(1 - positive)[last] / (1 - positive).sum()
        curve = np.concatenate([[0.0], false]), np.concatenate([[0.0], hits])
        axis.plot(*curve, linewidth=1.2, label=f"{_short(name)} {auroc(labels, scores):.3f}")
    axis.plot([0, 1], [0, 1], color="grey", linewidth=0.6, linestyle=":")
    axis.set(title="ROC", xlabel="1 - specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1.01))
    if columns:
        axis.legend(fontsize=7, loc="lower right", title="AUROC", title_fontsize=7)


def _reliability(axis: Axes, columns: Sequence[Column]) -> None:
    """Mean probability and frequency of positives, in bins with equal numbers of images."""
    for _, labels, scores in columns:
        order = np.argsort(scores, kind="stable")
        bins = [part for part in np.array_split(order, BINS) if len(part)]
        points = [(scores[part].mean(), labels[part].mean()) for part in bins]
        axis.plot(*zip(*points, strict=True), linewidth=1, marker="o", markersize=3)
    axis.plot([0, 1], [0, 1], color="grey", linewidth=0.6, linestyle=":")
    axis.set(title="reliability", xlabel="probability", ylabel="share of positives", xlim=(0, 1), ylim=(0, 1.01))


def _scatter(axis: Axes, labels: np.ndarray, predicted: np.ndarray) -> None:
    axis.scatter(labels, predicted, s=8, alpha=0.6)
    both = [*labels, *predicted]
    axis.plot([min(both), max(both)], [min(both), max(both)], color="grey", linewidth=0.6, linestyle=":")
    axis.set(title="test", xlabel="label", ylabel="predicted")


def _short(name: str) -> str:
    text = name if len(name) <= 18 else name[:17] + "…"
    return text.replace("$", r"\$")
