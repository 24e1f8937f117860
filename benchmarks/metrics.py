"""How fast AUROC and AUPRC are next to scikit-learn's, which give the same numbers.

    python benchmarks/metrics.py

A table computes them some thousand times, mostly on a few hundred images, where scikit-learn's checks of its arguments take most
of the time.
"""

import time
from collections.abc import Callable

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from medzoo.bench.metrics import auprc, auroc

SIZES = (200, 2_000, 100_000)  # images


def seconds(score: Callable[[np.ndarray, np.ndarray], float], labels: np.ndarray, scores: np.ndarray) -> float:
    """CPU seconds of a call: the best of five means."""
    calls = max(3, 20_000 // len(labels))
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        for _ in range(calls):
            score(labels, scores)
        best = min(best, (time.process_time() - start) / calls)
    return best


def main() -> None:
    """Print the ratio for each metric and size."""
    rng = np.random.default_rng(0)
    for size in SIZES:
        labels, scores = rng.integers(0, 2, size), np.round(rng.random(size), 3)
        for ours, theirs in ((auroc, roc_auc_score), (auprc, average_precision_score)):
            ratio = seconds(ours, labels, scores) / seconds(theirs, labels, scores)
            difference = abs(ours(labels, scores) - theirs(labels, scores))
            print(
                f"{ours.__name__}, {size:>7,} images: {ratio:.2f} of scikit-learn's time, difference {difference:.0e}"
            )


if __name__ == "__main__":
    main()
