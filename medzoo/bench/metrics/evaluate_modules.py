"""Modules of Hugging Face `evaluate` around the metrics of medzoo; they need no network and run no code from the Hub."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medzoo.bench.metrics.compute import compute, headline
from medzoo.bench.metrics.facts import METRICS, metric
from medzoo.bench.metrics.inputs import KINDS, check_kind
from medzoo.bench.metrics.masks.accumulate import SegmentationMetrics
from medzoo.errors import MissingExtraError, ResultError

_SEGMENTATION = ("dice", "iou", "hd95", "nsd")  # the beginnings of the names
_REGRESSION = ("mae", "rmse", "r2", "pearson")


def load(
    name: str,
    kind: str | None = None,
    classes: Sequence[str] = (),
    *,
    thresholds: Mapping[str, float] | None = None,
    **options: Any,  # noqa: ANN401 - of SegmentationMetrics
) -> Any:  # noqa: ANN401 - evaluate.EvaluationModule, a lazy import
    """A module of `evaluate`: add predictions and references in batches, then compute.

    Args:
        name: of a metric of `METRICS`, such as "auroc" or "dice".
        kind: "binary", "multiclass", "multilabel", "regression" or "segmentation"; by default "regression" for "mae",
            "rmse", "r2" and "pearson", "segmentation" for Dice, IoU, HD95 and NSD, and else "binary".
        classes: names of the classes; by default numbers.
        thresholds: of `compute`, for metrics at a threshold.
        options: of `SegmentationMetrics`, such as `tolerance_mm`.

    Returns:
        An `evaluate.EvaluationModule`. Predictions are probabilities (a number for binary, a list for multiclass and
        multilabel), numbers for regression, and masks of 0 and 1, (H, W), for segmentation. `compute()` returns
        {name: value}, or None as value where the metric is undefined. For segmentation, `compute` takes `spacing` (mm
        for each axis, the same for all images) and `cases` (one name for each image).

    Raises:
        UnknownNameError: for an unknown metric.
        MissingExtraError: without `evaluate`.
        ResultError: for an unknown kind.

    >>> load("auroc").compute(predictions=[0.1, 0.4, 0.4, 0.8], references=[0, 0, 1, 1])
    {'auroc': 0.875}
    """
    title = metric(name).title
    task = kind or _kind_of(name)
    check_kind(task, (*KINDS, "segmentation"))
    evaluate, features = _libraries()
    number, integer = features.Value("float64"), features.Value("int64")
    forms = {
        "binary": (number, integer),
        "multiclass": (features.Sequence(number), integer),
        "multilabel": (features.Sequence(number), features.Sequence(number)),
        "regression": (number, number),
        "segmentation": (features.Sequence(features.Sequence(integer)),) * 2,
    }
    predictions, references = forms[task]
    info = evaluate.MetricInfo(
        description=f"{title} of a {task} task, computed by medzoo.",
        citation="",
        inputs_description="predictions and references, one for each case",
        features=features.Features({"predictions": predictions, "references": references}),
    )

    class MedzooModule(evaluate.Metric):  # type: ignore[name-defined]
        """A metric of medzoo."""

        def _info(self) -> Any:  # noqa: ANN401
            return info

        def _compute(
            self,
            predictions: Sequence[Any],
            references: Sequence[Any],
            spacing: Sequence[float] | None = None,
            cases: Sequence[str] | None = None,
        ) -> dict[str, float | None]:
            if task == "segmentation":
                return {name: _segmented(name, predictions, references, spacing, cases, options)}
            scores = np.asarray(predictions, dtype=np.float64)
            names = classes or [str(k) for k in range(2 if scores.ndim == 1 else scores.shape[1])]
            rows = compute(task, names, np.asarray(references), scores, thresholds=thresholds, names=(name,))
            return {name: headline(rows, name)["value"]}

    # kept in memory: the folder would only hold locks
    return MedzooModule(config_name=name, keep_in_memory=True, cache_dir=tempfile.gettempdir())


def names() -> list[str]:
    """The metrics that `load` knows.

    >>> "auroc" in names(), "nsd" in names()
    (True, True)
    """
    return list(METRICS)


def _kind_of(name: str) -> str:
    if name.startswith(_SEGMENTATION):
        return "segmentation"
    return "regression" if name in _REGRESSION else "binary"


def _segmented(
    name: str,
    predictions: Sequence[Any],
    references: Sequence[Any],
    spacing: Sequence[float] | None,
    cases: Sequence[str] | None,
    options: Mapping[str, Any],
) -> float | None:
    if cases is not None and len(cases) != len(predictions):
        text = f"There are {len(cases)} cases for {len(predictions)} images. Give one case for each image."
        raise ResultError(text, code="groups-length-mismatch")
    found = SegmentationMetrics(**{"distances": name in ("hd95", "hd95_pooled", "nsd"), **options})
    for i, (prediction, truth) in enumerate(zip(predictions, references, strict=True)):
        found.add(np.asarray(prediction), np.asarray(truth), cases[i] if cases is not None else None, spacing)
    value = headline(found.rows(), name)["value"]
    return None if value is None else float(value)


def _libraries() -> tuple[Any, Any]:
    try:
        import datasets
        import evaluate
    except ImportError:
        raise MissingExtraError("evaluate", "recipes", "A module of evaluate") from None
    return evaluate, datasets
