"""Whether the numbers of a result are those of its predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo import store
from medzoo.bench import metrics
from medzoo.bench.sharing.identity_check import known_task
from medzoo.bench.sharing.pseudonymize import has_labels, is_salted
from medzoo.bench.sharing.untrusted import read_predictions, unpacked
from medzoo.errors import ResultError, listed

if TYPE_CHECKING:
    import pyarrow as pa

TOLERANCE, SUM_TOLERANCE = 1e-6, 1e-3
COUNTS = ("n", "n_pos", "n_patients", "n_labels")


def check_numbers(result: Mapping[str, Any], predictions: Path | None) -> Iterator[tuple[str, str]]:
    """What is wrong with the numbers of a run, as pairs of check and message.

    Args:
        result: of the schema.
        predictions: where its predictions lie; None if there are none.
    """
    wanted = result["predictions"]["sha256"]
    if result["provenance"]["origin"] == "reported":
        source = result["provenance"].get("source_url") or ""
        if not source.startswith("https://"):
            yield "reported", "A number from a publication needs provenance.source_url, an https address."
        if wanted is not None or predictions is not None:
            yield "reported", "A number from a publication has no predictions; a run of one's own has the origin 'run'."
    elif result["status"] != "ok":
        if result["metrics"] or wanted is not None or predictions is not None:
            yield "status", f"A run that is {result['status']} has no numbers and no predictions."
    elif wanted is None or predictions is None:
        yield "predictions", "It comes without predictions, so nobody can compute its numbers again."
    elif store.sha256_file(predictions) != wanted:
        yield "predictions", f"The predictions are not the file that the result names (sha256 {wanted[:16]}…)."
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
            "The ids carry the salt that all stores share; `medzoo results push` salts them with a secret of yours.",
        )
    if table.num_rows != result["predictions"]["rows"]:
        yield (
            "counts",
            f"The predictions have {table.num_rows:,} rows; the result says {result['predictions']['rows']:,}.",
        )
    if len(table["sample"].unique()) != table.num_rows:
        yield "counts", "A case stands twice in the predictions."
    if not has_labels(table):
        yield (
            "labels",
            "It comes without the labels of its cases, so nobody can compute its numbers again without the data.",
        )
        return
    try:
        kind, classes, labels, scores, patients = unpacked(table)
    except ResultError as error:
        yield "columns", str(error)
        return
    facts = known_task(result)
    if facts is not None:
        if (facts.kind == "multilabel") != (kind == "multilabel") or classes != (facts.classes or classes):
            yield (
                "columns",
                f"The classes of a {facts.kind} task should be {listed(facts.classes)}; they are {listed(classes)}.",
            )
            return
        kind = facts.kind
    problems = list(_range(kind, scores))
    yield from problems
    if problems:
        return
    try:
        computed = metrics.compute(kind, classes, labels, scores, patients, facts.scored if facts else ())
    except ResultError as error:
        yield "metrics", f"The metrics cannot be computed from the predictions: {error}"
        return
    yield from _compared(result["metrics"], computed)


def _range(kind: str, scores: np.ndarray) -> Iterator[tuple[str, str]]:
    if not len(scores):
        yield "range", "The predictions hold no case."
    elif not np.isfinite(scores).all():
        yield (
            "range",
            f"{int((~np.isfinite(scores)).any(axis=1).sum())} cases have a probability that is NaN or infinite.",
        )
    elif scores.min() < -TOLERANCE or scores.max() > 1 + TOLERANCE:
        yield "range", f"Probabilities go from {scores.min():.3g} to {scores.max():.3g}; they lie between 0 and 1."
    elif kind != "multilabel" and (off := float(np.abs(scores.sum(axis=1) - 1).max())) > SUM_TOLERANCE:
        yield "range", f"The probabilities of a case miss the sum of 1 by {off:.3g}."


def _compared(stated: Sequence[Mapping[str, Any]], computed: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    right = {(row["name"], row["label"]): row for row in computed}
    names = Counter((row["name"], row["label"]) for row in stated)
    for key in right:
        if key not in names:
            yield "metrics", f"{_named(*key)} is missing."
    for row in stated:
        key = (row["name"], row["label"])
        if key not in right or names[key] > 1:
            yield (
                "metrics",
                f"{_named(*key)} {'stands twice' if key in right else 'cannot be computed from predictions'}.",
            )
            continue
        value, again = row["value"], right[key]["value"]
        same = value is again if value is None or again is None else abs(value - again) <= TOLERANCE
        if not same:
            yield "metrics", f"{_named(*key)} is {value}; the predictions give {again}."
        wrong = [name for name in COUNTS if row.get(name) != right[key][name]]
        if wrong:
            told = ", ".join(f"{name} {row.get(name)} instead of {right[key][name]}" for name in wrong)
            yield "counts", f"{_named(*key)} counts {told}."


def _named(name: str, label: str | None) -> str:
    return name if label is None else f"{name} of {label!r}"
