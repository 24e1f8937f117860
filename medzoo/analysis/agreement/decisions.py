"""The decisions of stored runs on the images that they have in common, and which of them are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medzoo.analysis.inputs.stored import KnownRun, StoredRuns
from medzoo.bench.statistics.stored import StoredRun
from medzoo.errors import NotApplicableError, ResultError, listed

HALF, STORED = "0.5", "stored"  # the two rules for the threshold of a label
MOST_PROBABLE = "most probable class"


@dataclass(frozen=True)
class Decisions:
    """The decisions of the runs of a checkpoint on the same images.

    Args:
        right: (S, N, C) of S runs, N images and C labels: 1 for a right decision, 0 for a wrong one, NaN if not annotated.
        chosen: (S, N, C) the class that the run decides for; 0 or 1 for a label.
    """

    right: np.ndarray
    chosen: np.ndarray

    @property
    def runs(self) -> int:
        """Number of runs."""
        return len(self.right)


@dataclass(frozen=True)
class ImageBlock:
    """Images that all runs of several checkpoints have decided: the test split, or that of a fold.

    Args:
        fold: of a cross-validation; None without one.
        samples: (N,) the ids of the images in the stored predictions.
        patients: (N,) the patients as numbers from 0.
        labels: names of the C labels; one empty name for a task with one decision for each image.
        of: the decisions of each checkpoint.
        rule: how a probability becomes a decision.
        without_threshold: labels that are left out, because a run has no stored threshold for them.
    """

    fold: int | None
    samples: tuple[str, ...]
    patients: np.ndarray
    labels: tuple[str, ...]
    of: tuple[Decisions, ...]
    rule: str
    without_threshold: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.patients)


def image_blocks(groups: Sequence[StoredRuns], threshold: str = HALF) -> list[ImageBlock]:
    """The decisions of several checkpoints, one block for each fold that all of them have.

    Images that a run lacks are left out for all runs.

    Args:
        groups: the runs of each checkpoint, of one task.
        threshold: "0.5", or "stored" for the thresholds in the results, which were chosen on validation.

    Raises:
        NotApplicableError: if the task has no classes, no image is common, or thresholds are missing.
        ResultError: if the labels of an image differ between runs.
    """
    folds = [{run.fold for run in group.runs} for group in groups]
    common = set.intersection(*folds)
    if not common:
        each = "; ".join(
            f"{group.label}: {listed(sorted(map(str, some)))}" for group, some in zip(groups, folds, strict=True)
        )
        raise NotApplicableError(
            f"The runs have no test image in common, because their folds differ ({each}). Compare runs of the same fold.",
            code="no-common-images",
        )
    return [_block(groups, fold, threshold) for fold in sorted(common, key=lambda fold: -1 if fold is None else fold)]


def left_out(groups: Sequence[StoredRuns], blocks: Sequence[ImageBlock]) -> list[str]:
    """Which stored runs and images are not compared, and why; a text for each reason.

    Args:
        groups: the runs of each checkpoint.
        blocks: of `image_blocks`.
    """
    notes = [f"{group.short}: {note}" for group in groups for note in group.left_out]
    folds = {block.fold for block in blocks}
    notes += [
        f"{group.short}: runs of folds that another checkpoint lacks ({listed(others)})"
        for group in groups
        if (others := sorted(str(run.fold) for run in group.runs if run.fold not in folds))
    ]
    for block in blocks:
        if block.without_threshold:
            notes.append(f"labels for which a run has no stored threshold: {listed(block.without_threshold)}")
        runs = [run for group in groups for run in group.runs if run.fold == block.fold]
        missing = len(set().union(*(run.predictions.samples for run in runs))) - block.images
        if missing:
            notes.append(
                f"{missing} images that not all runs have{'' if block.fold is None else f' in fold {block.fold}'}"
            )
    return notes


def decide(run: StoredRun, thresholds: Sequence[float] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The decisions of a run, and which are right.

    At 0.5 itself a binary task decides for the first class and a label is positive, as in `medzoo.bench.metrics`.

    Args:
        run: its predictions.
        thresholds: of each label; a probability of at least the threshold is positive. None takes 0.5. Ignored for several
            exclusive classes, of which the most probable is chosen.

    Returns:
        (N, C) of 1, 0 and NaN, and (N, C) of classes.

    >>> scores = np.array([0.2, 0.7, 0.4])
    >>> run = StoredRun(("a", "b", "c"), ("p", "p", "q"), np.array([0, 1, 1]), scores, kind="binary", classes=("no", "yes"))
    >>> right, chosen = decide(run)
    >>> right.ravel(), chosen.ravel()
    (array([1., 1., 0.]), array([0, 1, 0]))
    """
    if run.kind == "multiclass":
        chosen = run.scores.argmax(axis=1)[:, None]
        return (chosen == run.labels[:, None]).astype(np.float64), chosen
    if run.kind not in ("binary", "multilabel"):
        raise NotApplicableError(
            f"The task has no classes (it is a {run.kind}), so that no decision is right or wrong.",
            code="task-without-classes",
        )
    scores, labels = run.scores.reshape(len(run.samples), -1), run.labels.reshape(len(run.samples), -1)
    lowest = 0.5 if thresholds is None else np.asarray(thresholds)
    chosen = scores > 0.5 if thresholds is None and run.kind == "binary" else scores >= lowest
    right = np.where(np.isnan(labels.astype(np.float64)), np.nan, chosen == (labels == 1))
    return right, chosen.astype(np.int64)


def _block(groups: Sequence[StoredRuns], fold: int | None, threshold: str) -> ImageBlock:
    """The decisions of one fold on the images that all runs have."""
    members = [[run for run in group.runs if run.fold == fold] for group in groups]
    every = [run for runs in members for run in runs]
    samples = sorted(set.intersection(*(set(run.predictions.samples) for run in every)))
    if not samples:
        raise NotApplicableError(
            "The runs have no test image in common. Compare runs on the same test split.", code="no-common-images"
        )
    first = every[0].predictions
    places = [_places(run.predictions, samples) for run in every]
    _check_same(every, places)

    # the decisions of each run, in the order of the samples; labels without a threshold in one run are left out
    names = _labels_of(first)
    kept = _with_threshold(every, names, threshold)
    decided = [decide(run.predictions, _thresholds(run, names, threshold)) for run in every]
    right = [one[rows][:, kept] for (one, _), rows in zip(decided, places, strict=True)]
    chosen = [one[rows][:, kept] for (_, one), rows in zip(decided, places, strict=True)]
    ends = np.cumsum([len(runs) for runs in members])
    of = tuple(
        Decisions(np.stack(right[end - len(runs) : end]), np.stack(chosen[end - len(runs) : end]))
        for runs, end in zip(members, ends, strict=True)
    )
    patients = np.unique(np.asarray(first.patients)[places[0]], return_inverse=True)[1]
    labels = tuple(names[column] for column in kept) if first.kind == "multilabel" else ("",)
    others = tuple(name for column, name in enumerate(names) if column not in kept)
    rule = MOST_PROBABLE if first.kind == "multiclass" else f"threshold {threshold}"
    return ImageBlock(fold, tuple(samples), patients, labels, of, rule, others)


def _places(run: StoredRun, samples: Sequence[str]) -> np.ndarray:
    """Where the samples are in a run."""
    place = {name: number for number, name in enumerate(run.samples)}
    return np.array([place[name] for name in samples])


def _check_same(runs: Sequence[KnownRun], places: Sequence[np.ndarray]) -> None:
    """Refuse runs that disagree about classes, labels or patients of their common images."""
    first, rows = runs[0].predictions, places[0]
    for run, its in zip(runs[1:], places[1:], strict=True):
        other = run.predictions
        same = (other.kind, other.classes) == (first.kind, first.classes)
        if same and first.kind != "segmentation":
            labels = first.labels[rows], other.labels[its]
            same = np.array_equal(*labels, equal_nan=labels[0].dtype.kind == "f")
            same = same and bool((np.asarray(first.patients)[rows] == np.asarray(other.patients)[its]).all())
        if not same:
            raise ResultError(
                f"{runs[0].path} and {run.path} have different classes, labels or patients for the same images.",
                code="labels-differ",
            )


def _labels_of(run: StoredRun) -> tuple[str, ...]:
    """The labels that have a threshold; one empty name for the most probable of several classes."""
    if run.kind == "multilabel":
        return run.classes
    return run.classes[-1:] if run.kind == "binary" else ("",)


def _with_threshold(runs: Sequence[KnownRun], names: Sequence[str], rule: str) -> list[int]:
    """The positions of the labels for which all runs have a threshold."""
    if rule == HALF or names == ("",):
        return list(range(len(names)))
    stored = [run.result["selection"].get("thresholds", {}) for run in runs]
    kept = [column for column, name in enumerate(names) if all(name in one for one in stored)]
    if not kept:
        run = next(run for run, one in zip(runs, stored, strict=True) if not set(names) <= set(one))
        raise NotApplicableError(
            f"{run.path} has no threshold for {listed(names, 5)}. Choose the threshold 0.5.",
            code="no-stored-thresholds",
        )
    return kept


def _thresholds(run: KnownRun, names: Sequence[str], rule: str) -> list[float] | None:
    """The thresholds of a run's labels that are stored with its result (0.5 for labels that are left out); None for 0.5."""
    if rule == HALF or names == ("",):
        return None
    stored = run.result["selection"].get("thresholds", {})
    return [float(stored[name]["value"]) if name in stored else 0.5 for name in names]
