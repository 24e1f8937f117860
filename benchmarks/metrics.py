"""How fast the metrics of classification are next to scikit-learn's, which give the same numbers.

    python benchmarks/metrics.py

A table computes them some thousand times, mostly on a few hundred images, where scikit-learn's checks of its arguments take most
of the time. The last lines give the time of HD95 and NSD next to MONAI, if it is installed.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn import metrics as theirs

from medzoo.bench import metrics

SIZES = (200, 2_000, 100_000)  # images
CLASSES = 4


def seconds(call: Callable[[], Any], calls: int) -> float:
    """CPU seconds of a call: the best of five means."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        for _ in range(calls):
            call()
        best = min(best, (time.process_time() - start) / calls)
    return best


def pairs(size: int) -> dict[str, tuple[Callable[[], float], Callable[[], float]]]:
    """Metric → ours and scikit-learn's, on the same images."""
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, size), np.round(rng.random(size), 3)
    grades, said = rng.integers(0, CLASSES, size), rng.integers(0, CLASSES, size)
    shares, sure = rng.dirichlet(np.ones(CLASSES), size), scores >= 0.5

    def at_specificity() -> float:
        false_positive, true_positive, _ = theirs.roc_curve(labels, scores, drop_intermediate=False)
        return float(true_positive[1 - false_positive >= 0.9 - 1e-9].max())

    kappa = partial(theirs.cohen_kappa_score, grades, said, labels=range(CLASSES))
    brier = partial(theirs.brier_score_loss, grades, shares, labels=range(CLASSES), scale_by_half=False)
    return {
        "AUROC": (partial(metrics.auroc, labels, scores), partial(theirs.roc_auc_score, labels, scores)),
        "AUPRC": (partial(metrics.auprc, labels, scores), partial(theirs.average_precision_score, labels, scores)),
        "sensitivity at 0.9": (partial(metrics.sensitivity_at_specificity, labels, scores), at_specificity),
        "accuracy": (
            partial(metrics.accuracy, grades, said, CLASSES),
            partial(theirs.accuracy_score, grades, said),
        ),
        "balanced accuracy": (
            partial(metrics.balanced_accuracy, grades, said, CLASSES),
            partial(theirs.balanced_accuracy_score, grades, said),
        ),
        "F1": (partial(metrics.f1, labels, sure), partial(theirs.f1_score, labels, sure)),
        "macro F1": (
            partial(metrics.macro_f1, grades, said, CLASSES),
            partial(theirs.f1_score, grades, said, average="macro"),
        ),
        "kappa": (partial(metrics.kappa, grades, said, CLASSES), kappa),
        "quadratic kappa": (
            partial(metrics.kappa, grades, said, CLASSES, weights="quadratic"),
            partial(kappa, weights="quadratic"),
        ),
        "Brier": (partial(metrics.brier, labels, scores), partial(theirs.brier_score_loss, labels, scores)),
        f"Brier of {CLASSES}": (partial(metrics.brier, grades, shares), brier),
        "MAE": (partial(metrics.mae, scores, said), partial(theirs.mean_absolute_error, scores, said)),
        "RMSE": (partial(metrics.rmse, scores, said), partial(theirs.root_mean_squared_error, scores, said)),
        "R²": (partial(metrics.r2, scores, said), partial(theirs.r2_score, scores, said)),
    }


def masks() -> None:
    """HD95 and NSD of two balls in a volume, next to MONAI."""
    try:
        import torch
        from monai import metrics as monai
    except ImportError:
        print("MONAI is not installed: HD95 and NSD were not timed.")
        return
    place = np.stack(np.mgrid[:96, :128, :128])
    one, two = (np.linalg.norm(place - np.array([48, 64, x])[:, None, None, None], axis=0) < 20 for x in (60, 64))
    pair = [torch.from_numpy(mask)[None, None] for mask in (one, two)]
    spacing = (2.0, 0.8, 0.8)
    calls = {
        "HD95": (
            partial(metrics.hd95, one, two, spacing),
            partial(
                monai.compute_hausdorff_distance, *pair, percentile=95, include_background=True, spacing=list(spacing)
            ),
        ),
        "NSD": (
            partial(metrics.nsd, one, two, spacing, 2.0),
            partial(monai.compute_surface_dice, *pair, [2.0], include_background=True, spacing=list(spacing)),
        ),
    }
    for name, (ours, other) in calls.items():
        mine, reference = seconds(ours, 3), seconds(other, 3)
        difference = abs(ours() - float(other()))
        print(
            f"{name}, {one.shape} voxels: {mine * 1e3:.0f} ms, MONAI {reference * 1e3:.0f} ms, difference {difference:.0e}"
        )


def main() -> None:
    """Print the ratio for each metric and size."""
    for size in SIZES:
        for name, (ours, other) in pairs(size).items():
            calls = max(3, 20_000 // size)
            ratio = seconds(ours, calls) / seconds(other, calls)
            difference = abs(ours() - other())
            print(f"{name}, {size:>7,} images: {ratio:.2f} of scikit-learn's time, difference {difference:.0e}")
    masks()


if __name__ == "__main__":
    main()
