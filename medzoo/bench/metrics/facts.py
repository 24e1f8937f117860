"""Facts of the metrics: names, directions, digits; and the form of a result row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from medzoo.errors import UnknownNameError

Row = dict[str, Any]


@dataclass(frozen=True)
class Metric:
    """Facts of a metric: its printed name, its direction, and its number of digits in a table."""

    title: str
    higher_is_better: bool = True
    digits: int = 3


BINS = 15  # of the expected calibration error
SPECIFICITY = 0.9  # at which the sensitivity is reported

METRICS: dict[str, Metric] = {
    # classification: ranks
    "auroc": Metric("AUROC"),
    "auprc": Metric("AUPRC"),
    "sensitivity_at_specificity_90": Metric(f"sensitivity at specificity {SPECIFICITY:.2f}"),
    # classification: decisions
    "accuracy": Metric("accuracy"),
    "balanced_accuracy": Metric("balanced accuracy"),
    "f1": Metric("F1"),
    "kappa": Metric("Cohen's kappa"),
    "quadratic_kappa": Metric("quadratic-weighted kappa"),
    "sensitivity_at_threshold": Metric("sensitivity at the validation threshold"),
    "specificity_at_threshold": Metric("specificity at the validation threshold"),
    "f1_at_threshold": Metric("F1 at the validation threshold"),
    "accuracy_at_threshold": Metric("accuracy at the validation threshold"),
    # classification: probabilities
    "brier": Metric("Brier score", higher_is_better=False),
    "ece": Metric(f"ECE ({BINS} equal-mass bins)", higher_is_better=False),
    "brier_calibrated": Metric("Brier score, calibrated", higher_is_better=False),
    "ece_calibrated": Metric(f"ECE ({BINS} equal-mass bins), calibrated", higher_is_better=False),
    # segmentation
    "dice": Metric("Dice"),
    "dice_per_case": Metric("Dice per case"),
    "dice_pooled": Metric("pooled Dice"),
    "iou": Metric("IoU"),
    "iou_per_case": Metric("IoU per case"),
    "iou_pooled": Metric("pooled IoU"),
    "dice_original": Metric("Dice at the masks' size"),
    "hd95": Metric("HD95 (mm)", higher_is_better=False, digits=2),
    "hd95_pooled": Metric("pooled HD95 (mm)", higher_is_better=False, digits=2),
    "nsd": Metric("NSD at 2 mm"),
    "hd95_pixels": Metric("HD95 (pixels)", higher_is_better=False, digits=2),
    "hd95_pooled_pixels": Metric("pooled HD95 (pixels)", higher_is_better=False, digits=2),
    "nsd_pixels": Metric("NSD at 2 pixels"),
    "pixel_auroc": Metric("AUROC of pixels"),
    # regression
    "mae": Metric("MAE", higher_is_better=False),
    "rmse": Metric("RMSE", higher_is_better=False),
    "r2": Metric("R²"),
    "pearson": Metric("Pearson's r"),
}

# Rows that are not a metric and cannot be the metric of a task: the prevalence is the average precision of random scores.
CONTEXT = frozenset({"prevalence"})

# The metrics of classification in medzoo 0.1.0: its results have no other rows.
NAMES_0_1_0: dict[str, tuple[str, ...]] = {
    "binary": ("auroc", "auprc", "accuracy", "balanced_accuracy", "brier"),
    "multiclass": ("auroc", "auprc", "accuracy", "balanced_accuracy"),
    "multilabel": ("auroc", "auprc", "accuracy"),
}


def metric(name: str) -> Metric:
    """Look a metric up.

    Raises:
        UnknownNameError: with the nearest names.

    >>> metric("auroc").title, metric("brier").higher_is_better
    ('AUROC', False)
    """
    if name not in METRICS:
        raise UnknownNameError("metric", name, METRICS, f"Known: {', '.join(METRICS)}.")
    return METRICS[name]


def is_higher_better(name: str) -> bool:
    """Whether a higher value of a metric is better; also of a metric that medzoo does not know.

    Args:
        name: of the metric.

    >>> is_higher_better("auroc"), is_higher_better("mae")
    (True, False)
    """
    return name not in METRICS or METRICS[name].higher_is_better


def row(
    name: str,
    label: str | None,
    value: float | None,
    *,
    n: int,
    n_patients: int,
    n_pos: int | None = None,
    n_labels: int | None = None,
    undefined: str | None = None,
    definition: str | None = None,
) -> Row:
    """A result row, in the form of `medzoo.bench.results.schema`.

    Args:
        name: of the metric.
        label: of the class or structure; None for the whole task.
        value: of the metric; None where undefined.
        n: number of cases.
        n_patients: number of patients.
        n_pos: number of positive cases.
        n_labels: number of labels in a mean.
        undefined: why there is no value; ignored if there is one.
        definition: of a metric that tools define differently; None for the others, whose rows have no such key.

    >>> row("auroc", None, None, n=3, n_patients=2, undefined="no positive case")["undefined"]
    'no positive case'
    """
    return {
        "name": name,
        "label": label,
        "value": value,
        "undefined": undefined if value is None else None,
        "n": n,
        "n_pos": n_pos,
        "n_patients": n_patients,
        "n_labels": n_labels,
        **({} if definition is None else {"definition": definition}),
    }
