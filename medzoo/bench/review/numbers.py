"""Check the numbers of a result against its predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo import store
from medzoo.bench import metrics
from medzoo.bench.metrics.masks.rows import MaskRows, mask_scores
from medzoo.bench.results.known_task import known_task
from medzoo.bench.results.untrusted import read_predictions, unpacked
from medzoo.bench.sharing.pseudonymize import has_labels, is_salted
from medzoo.errors import ResultError, listed

if TYPE_CHECKING:
    import pyarrow as pa

TOLERANCE, SUM_TOLERANCE = 1e-6, 1e-3
PIXELS = 2**40  # of one image
COUNTS = ("n", "n_pos", "n_patients", "n_labels")


def check_numbers(result: Mapping[str, Any], predictions: Path | None) -> Iterator[tuple[str, str]]:
    """The problems of a run's numbers, as pairs of check and message.

    Args:
        result: a valid result.
        predictions: the file of its predictions; None if there is none.
    """
    expected = result["predictions"]["sha256"]
    if result["provenance"]["origin"] == "reported":
        source = result["provenance"].get("source_url") or ""
        if not source.startswith("https://"):
            yield "reported", "A number from a publication needs provenance.source_url with an https address."
        if expected is not None or predictions is not None:
            yield "reported", "A number from a publication has no predictions. For your own run, use the origin 'run'."
    elif result["status"] != "ok":
        if result["metrics"] or expected is not None or predictions is not None:
            yield "status", f"A run with status {result['status']} must have no numbers and no predictions."
    elif expected is None or predictions is None:
        yield "predictions", "The predictions are missing, so the numbers cannot be verified."
    elif store.sha256_file(predictions) != expected:
        yield "predictions", f"The predictions do not match the sha256 in the result ({expected[:16]}…)."
    else:
        try:
            table = read_predictions(predictions)
        except ResultError as error:
            yield "columns", f"The predictions: {error}"
            return
        yield from _table(result, table)


def _table(result: Mapping[str, Any], table: pa.Table) -> Iterator[tuple[str, str]]:
    if not is_salted(table):
        yield (
            "salt",
            "The ids have the public salt of all stores; `medzoo results push` replaces it with your secret salt.",
        )
    if table.num_rows != result["predictions"]["rows"]:
        yield (
            "counts",
            f"The predictions have {table.num_rows:,} rows, but the result says {result['predictions']['rows']:,}.",
        )
    if len(table["sample"].unique()) != table.num_rows:
        yield "counts", "A case occurs twice in the predictions."
    if not has_labels(table):
        yield "labels", "The predictions have no labels, so the numbers cannot be verified without the data."
        return

    if "pixels" in table.column_names:
        yield from _masks(result, table)
        return

    # labels and probabilities must fit the task
    try:
        kind, classes, labels, scores, patients = unpacked(table)
    except ResultError as error:
        yield "columns", str(error)
        return
    facts = known_task(result)
    if facts is not None:
        separate = ("multilabel", "regression")  # kinds that the columns show
        other_kind = any((facts.kind == one) != (kind == one) for one in (*separate, "segmentation"))
        if other_kind or (kind != "regression" and classes != (facts.classes or classes)):
            yield (
                "columns",
                f"The classes of a {facts.kind} task should be {listed(facts.classes)}, not {listed(classes)}.",
            )
            return
        kind = facts.kind
    problems = list(_range(kind, scores))
    yield from problems
    if problems:
        return

    # compute the metrics again and compare
    try:
        given = kind, classes, labels, scores, patients, facts.scored if facts else ()
        computed = metrics.compute(*given)
        chosen = result["selection"]
        named = any(row["name"] in metrics.CALIBRATED_NAMES for row in result["metrics"])  # earlier results have none
        if named and kind != "regression" and "temperature" in chosen:
            thresholds = {label: row["value"] for label, row in chosen.get("thresholds", {}).items()}
            computed += metrics.calibrated_rows(*given, chosen["temperature"], thresholds)
    except ResultError as error:
        yield "metrics", f"The metrics cannot be computed from the predictions: {error}"
        return
    yield from _compared(kind, result["metrics"], computed)


def _masks(result: Mapping[str, Any], table: pa.Table) -> Iterator[tuple[str, str]]:
    """The problems of the numbers of a segmentation."""
    if any(table[name].null_count for name in table.column_names if name != "pixel_auroc") or not table.num_rows:
        yield "range", "The predictions have no rows, or a row without a count."
        return
    sizes = table["pixels"].cast("float64", safe=False).to_numpy()
    if not (sizes.min() >= 1 and sizes.max() <= PIXELS):
        yield "range", f"A case has fewer than 1 or more than {PIXELS:,} pixels."
        return
    if (
        max(abs(table[name].cast("float64", safe=False).to_numpy()).max() for name in table.column_names if ":" in name)
        > PIXELS
    ):
        yield "range", "A case has a count of pixels above those of any image."  # their sum could exceed 64 bits
        return
    rows = MaskRows.from_table(table)
    facts = known_task(result)
    scored = None if facts is None else tuple(facts.structures)
    if facts is not None and (facts.kind != "segmentation" or rows.structures != scored):
        yield (
            "columns",
            f"A {facts.kind} task should have {listed(scored or facts.classes)}, not {listed(rows.structures)}.",
        )
        return
    sizes = [(rows.counts, rows.pixels), *([] if rows.original is None else [rows.original])]
    if any(counts.min() < 0 or (counts.sum(axis=2) > pixels[:, None]).any() for counts, pixels in sizes):
        yield "range", "A case has a count of pixels below 0 or above the pixels of its image."
        return
    if any(value is not None and not 0 <= value <= 1 for value in rows.areas or ()):
        yield "range", "A pixel_auroc is outside 0 to 1."
        return
    if rows.distances is not None and not _is_distance(rows.distances.values):
        yield "range", "An HD95 is below 0 or not finite, or an NSD is outside 0 to 1."
        return
    yield from _compared("segmentation", result["metrics"], mask_scores(rows))


def _is_distance(values: np.ndarray | None) -> bool:
    """Whether (..., 3) has two distances and a share."""
    return values is None or bool(np.isfinite(values).all() and values.min() >= 0 and values[..., 2].max() <= 1)


def _range(kind: str, scores: np.ndarray) -> Iterator[tuple[str, str]]:
    if not len(scores):
        yield "range", "The predictions have no rows."
    elif not np.isfinite(scores).all():
        what = "prediction" if kind == "regression" else "probability"
        yield "range", f"{int((~np.isfinite(scores)).any(axis=1).sum())} cases have a {what} that is NaN or infinite."
    elif kind == "regression":
        return
    elif scores.min() < -TOLERANCE or scores.max() > 1 + TOLERANCE:
        yield "range", f"Probabilities range from {scores.min():.3g} to {scores.max():.3g}; expected 0 to 1."
    elif kind != "multilabel" and (off := float(np.abs(scores.sum(axis=1) - 1).max())) > SUM_TOLERANCE:
        yield "range", f"The sum of the probabilities of a case differs from 1 by {off:.3g}."


def _compared(
    kind: str, rows: Sequence[Mapping[str, Any]], computed: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    expected = {(row["name"], row["label"]): row for row in computed}
    names = Counter((row["name"], row["label"]) for row in rows)
    first = metrics.NAMES_0_1_0.get(kind, ())
    earlier = all(row["name"] in first for row in rows)  # medzoo 0.1.0 computed fewer metrics
    for key in expected:
        if key not in names and not (earlier and key[0] not in first):
            yield "metrics", f"{_named(*key)} is missing."
    for row in rows:
        key = (row["name"], row["label"])
        if key not in expected or names[key] > 1:
            problem = "occurs twice" if key in expected else "cannot be computed from predictions"
            yield "metrics", f"{_named(*key)} {problem}."
            continue
        value, again = row["value"], expected[key]["value"]
        same = value is again if value is None or again is None else abs(value - again) <= TOLERANCE
        if not same:
            yield "metrics", f"{_named(*key)} is {value}, but the predictions give {again}."
        wrong = [name for name in COUNTS if row.get(name) != expected[key][name]]
        if wrong:
            counts = ", ".join(f"{name} {row.get(name)} instead of {expected[key][name]}" for name in wrong)
            yield "counts", f"{_named(*key)} has {counts}."


def _named(name: str, label: str | None) -> str:
    return name if label is None else f"{name} of {label!r}"
