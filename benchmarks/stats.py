"""How fast intervals are: the closed form and the bootstrap next to a loop of scikit-learn, on one core.

    python benchmarks/stats.py

The data are 25,000 images of 5,000 patients with 14 labels, about the test split of ChestX-ray14. The loop of scikit-learn computes
the macro AUROC of 2,000 draws of patients; a few draws are timed, and the time of 2,000 is computed from them. The last part is
all statistics of a table: 25 checkpoints, 12 tasks, 5 seeds.
"""

import platform
import time
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from medzoo.bench import stats
from medzoo.bench.statistics.closed_form import contributions
from medzoo.bench.statistics.comparison import compare_cells
from medzoo.bench.statistics.intervals import interval_of
from medzoo.bench.statistics.noise_floor import permuted_values
from medzoo.bench.statistics.ranking import ranking

IMAGES, PATIENTS, LABELS, DRAWS = 25_000, 5_000, 14, 2_000
CHECKPOINTS, TASKS, SEEDS = 25, 12, 5


def seconds(call: Callable[[], Any], calls: int = 1) -> float:
    """CPU seconds of a call: the best of three means."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        for _ in range(calls):
            call()
        best = min(best, (time.process_time() - start) / calls)
    return best


def main() -> None:
    """Print the ratios."""
    rng = np.random.default_rng(0)
    patients = rng.integers(0, PATIENTS, IMAGES)
    labels = (rng.random((IMAGES, LABELS)) < rng.uniform(0.02, 0.15, LABELS)).astype(float)
    scores = 1 / (1 + np.exp(-(labels + rng.normal(size=(IMAGES, LABELS)))))
    rows = [np.flatnonzero(patients == one) for one in range(PATIENTS)]

    def one_draw() -> None:
        drawn = np.concatenate([rows[one] for one in rng.integers(0, PATIENTS, PATIENTS)])
        roc_auc_score(labels[drawn], scores[drawn])

    print(f"{platform.processor() or platform.machine()}, {IMAGES:,} images, {PATIENTS:,} patients, {LABELS} labels")
    loop = seconds(one_draw, 3) * DRAWS
    print(f"scikit-learn, {DRAWS:,} draws   {loop:8.2f} s")
    ways: dict[str, Callable[[], stats.Interval]] = {
        "closed form": lambda: stats.interval(labels, scores[None], patients),
        "bootstrap": lambda: stats.bootstrap(labels, scores[None], patients, draws=DRAWS),
    }
    for name, way in ways.items():
        found, took = way(), seconds(way)
        print(f"{name:25s}   {took:8.3f} s   {loop / took:8.0f} x   {found.low:.4f} to {found.high:.4f}")

    print(f"\nA table of {CHECKPOINTS} x {TASKS} x {SEEDS} with all pairs, ranks and intervals")
    print(f"{'2,000 images':25s}   {seconds_of_table(rng, 2_000):8.2f} s (target 120)")
    column, floor = seconds_of_column(labels, scores, patients), seconds_of_floor(labels, scores, patients)
    print(
        f"{IMAGES:,} images, {LABELS} labels   {column * TASKS:8.2f} s, and {floor * TASKS:.2f} s for the noise floor"
    )


def seconds_of_table(rng: np.random.Generator, images: int) -> float:
    """CPU seconds of all statistics of a table of binary tasks."""
    start = time.process_time()
    for _ in range(TASKS):
        labels, patients = rng.integers(0, 2, images), rng.integers(0, images // 2, images)
        cells = [
            contributions(labels, labels + rng.normal(size=(SEEDS, images)), patients, "auroc")
            for _ in range(CHECKPOINTS)
        ]
        statistics_of(cells)
    return time.process_time() - start


def seconds_of_column(labels: np.ndarray, scores: np.ndarray, patients: np.ndarray) -> float:
    """CPU seconds of the statistics of a column of many images, from one of its cells."""
    runs = np.repeat(scores[None], SEEDS, axis=0)
    start = time.process_time()
    cell = contributions(labels, runs, patients, "auroc")
    reading = (time.process_time() - start) * CHECKPOINTS
    start = time.process_time()
    statistics_of([cell] * CHECKPOINTS)
    return reading + time.process_time() - start


def seconds_of_floor(labels: np.ndarray, scores: np.ndarray, patients: np.ndarray) -> float:
    """CPU seconds of the noise floor of a column."""
    start = time.process_time()
    permuted_values(labels, scores, patients, "auroc", draws=200)
    return time.process_time() - start


def statistics_of(cells: list[Any]) -> None:
    """Intervals, all pairs and ranks of a column."""
    for cell in cells:
        interval_of(cell, "auroc")
    p = {(i, j): compare_cells(cells[i], cells[j], "auroc").p for i, j in combinations(range(len(cells)), 2)}
    ranking(cells, p)


if __name__ == "__main__":
    main()
