"""Metrics as functions on numpy arrays, and as result rows: `compute` for a split, `SegmentationMetrics` for masks."""

from medzoo.bench.metrics.classification_rows import THRESHOLD
from medzoo.bench.metrics.compute import CALIBRATED_NAMES, calibrated_rows, compute, headline, validation_score
from medzoo.bench.metrics.decisions import (
    ONE_CLASS,
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    f1,
    kappa,
    macro_f1,
    sensitivity,
    specificity,
)
from medzoo.bench.metrics.facts import CONTEXT, METRICS, NAMES_0_1_0, Metric, Row, metric
from medzoo.bench.metrics.masks.accumulate import SegmentationMetrics
from medzoo.bench.metrics.masks.overlap import dice, iou
from medzoo.bench.metrics.masks.surface_distance import boundary, hd95, nsd, surface_distances
from medzoo.bench.metrics.probabilities import auprc, auroc, brier, ece, prevalence, reliability
from medzoo.bench.metrics.regression import mae, pearson, r2, rmse
from medzoo.bench.metrics.temperature import Calibration, apply_temperature, calibrate, fit_temperature
from medzoo.bench.metrics.thresholds import (
    choose_thresholds,
    operating_points,
    sensitivity_at_specificity,
    threshold_at_specificity,
)

__all__ = [
    "CALIBRATED_NAMES",
    "CONTEXT",
    "METRICS",
    "NAMES_0_1_0",
    "ONE_CLASS",
    "THRESHOLD",
    "Calibration",
    "Metric",
    "Row",
    "SegmentationMetrics",
    "accuracy",
    "apply_temperature",
    "auprc",
    "auroc",
    "balanced_accuracy",
    "boundary",
    "brier",
    "calibrate",
    "calibrated_rows",
    "choose_thresholds",
    "compute",
    "confusion_matrix",
    "dice",
    "ece",
    "f1",
    "fit_temperature",
    "hd95",
    "headline",
    "iou",
    "kappa",
    "macro_f1",
    "mae",
    "metric",
    "nsd",
    "operating_points",
    "pearson",
    "prevalence",
    "r2",
    "reliability",
    "rmse",
    "sensitivity",
    "sensitivity_at_specificity",
    "specificity",
    "surface_distances",
    "threshold_at_specificity",
    "validation_score",
]
