"""The points of the gain against similarity: stored similarities of runs, joined with the scores of these runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medzoo.analysis.gains.regression import relative_gain
from medzoo.analysis.inputs.run_result import result_of_folder
from medzoo.analysis.inputs.setting import setting_of, uses_all_training_images
from medzoo.bench.analyses.record import StoredAnalysis
from medzoo.bench.metrics.facts import is_higher_better
from medzoo.bench.table.matching import match_checkpoints
from medzoo.errors import ResultError

Results = Mapping[str, Mapping[str, Any]]  # by run_id


@dataclass(frozen=True)
class GainPoint:
    """A run with its gain over random weights, and the similarity of its network before and after the training.

    Args:
        checkpoint: that the run began with.
        task: of the run.
        fold: of the run; None without one.
        seed: of the run.
        layer: whose activations were compared.
        similarity: before and after.
        baseline: the similarity of networks with random weights; None if it was not measured.
        score: of the run.
        random_score: mean of the runs from random weights.
        random_runs: their number.
        run_id: of the run.
        higher_is_better: of the metric.
    """

    checkpoint: str
    task: str
    fold: int | None
    seed: int
    layer: str
    similarity: float
    baseline: float | None
    score: float
    random_score: float
    random_runs: int
    run_id: str
    higher_is_better: bool = True

    @property
    def gain(self) -> float:
        """Relative to random weights; an improvement is positive."""
        return relative_gain(self.score, self.random_score, higher_is_better=self.higher_is_better)


def gain_points(
    analyses: Sequence[StoredAnalysis], results: Results, *, measure: str, metric: str
) -> tuple[list[GainPoint], list[str]]:
    """The points of all stored similarities between a checkpoint and a run that began with it.

    Args:
        analyses: of the representation.
        results: all results of the store, by run_id.
        measure: of the similarity, such as "mean_cca".
        metric: of the score, such as "auroc".

    Returns:
        The points, and a text for each analysis that gives none.
    """
    points: list[GainPoint] = []
    notes: list[str] = []
    for analysis in analyses:
        found = _run_of(analysis, results)
        if isinstance(found, str):
            notes.append(f"{' and '.join(analysis.subjects)}: {found}")
            continue
        made = list(_points_of(analysis, found, results, measure, metric))
        if made and isinstance(made[0], str):
            notes.append(f"{' and '.join(analysis.subjects)}: {made[0]}")
        points += [one for one in made if isinstance(one, GainPoint)]
    return list({(one.run_id, one.layer): one for one in points}.values()), notes


def _points_of(
    analysis: StoredAnalysis, run: Mapping[str, Any], results: Results, measure: str, metric: str
) -> Iterator[GainPoint | str]:
    """The points of one analysis, one for each layer; or why there is none."""
    identity, score = run["identity"], score_of(run, metric)
    if score is None:
        yield f"the run has no {metric}"
        return
    others = [
        value for one in results.values() if _is_reference(one, run) and (value := score_of(one, metric)) is not None
    ]
    random = sum(others) / len(others) if others else 0.0
    if not random:
        yield f"no run from random weights with the same task, fold, protocol and architecture has a {metric}"
        return
    rows = [row for row in analysis.rows if row.get("measure") == measure and row.get("value") is not None]
    if not rows:
        yield f"it has no value of {measure}"
    for row in rows:
        yield GainPoint(
            identity["checkpoint"]["id"], identity["task"]["id"], identity["fold"], identity["seed"], str(row["layer"]),
            float(row["value"]), row.get("baseline"), score, random, len(others), str(run["run_id"]),
            is_higher_better(metric),
        )  # fmt: skip


def score_of(result: Mapping[str, Any], metric: str) -> float | None:
    """The value of a metric of the whole task; None if a result has none.

    Args:
        result: as stored.
        metric: its name.
    """
    if result["status"] != "ok":
        return None
    row = next((row for row in result["metrics"] if row["name"] == metric and row["label"] is None), None)
    return None if row is None or row["value"] is None else float(row["value"])


def _is_reference(other: Mapping[str, Any], run: Mapping[str, Any]) -> bool:
    """Whether a result is of random weights and comparable with a run: same setting, fold and architecture."""
    theirs, own = other["identity"], run["identity"]
    return (
        theirs["checkpoint"]["init"] == "random"
        and uses_all_training_images(other)
        and theirs["checkpoint"]["arch"] == own["checkpoint"]["arch"]
        and theirs["task"] == own["task"]
        and theirs["fold"] == own["fold"]
        and setting_of(other) == setting_of(run)
    )


def _run_of(analysis: StoredAnalysis, results: Results) -> Mapping[str, Any] | str:
    """The result of the run that one subject is, if the other subject is the checkpoint that it began with; else why not."""
    ids = _run_ids(analysis)
    runs = [(place, results[one]) for place, one in enumerate(ids) if one is not None and one in results]
    if not any(ids):
        return "neither is a run folder, or its run is not known"
    if len(runs) != 1:
        return "both are runs" if runs else "the result of the run is not in the store"
    place, run = runs[0]
    if not uses_all_training_images(run):
        return "the run used a part of the training images"
    before = analysis.subjects[1 - place]
    if not match_checkpoints([run], [before]).places[0]:
        return f"the run began with {run['identity']['checkpoint']['id']}, which is another checkpoint"
    return run


def _run_ids(analysis: StoredAnalysis) -> list[str | None]:
    """The run_id of each subject that is a run folder: from the identity of the analysis, else from the folder if it exists."""
    stored = analysis.content["identity"].get("inputs", {}).get("run_ids")
    if isinstance(stored, list) and len(stored) == len(analysis.subjects):
        return [None if one is None else str(one) for one in stored]
    return [_run_id_of(subject) for subject in analysis.subjects]


def _run_id_of(subject: str) -> str | None:
    try:
        result = result_of_folder(subject)
    except ResultError:
        return None
    return None if result is None else str(result["run_id"])
