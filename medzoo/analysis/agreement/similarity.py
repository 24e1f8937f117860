"""The similarity of two runs' decisions: both right or both wrong, what independent errors would give, and kappa."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medzoo.analysis.agreement.crossed_readers import (
    MeasuredValue,
    Readers,
    crossed_estimate,
    pseudo_readers,
    with_interval,
)
from medzoo.analysis.agreement.decisions import Decisions
from medzoo.bench.statistics.crossed import Estimate, estimate
from medzoo.bench.statistics.influence import per_patient

MEASURES = ("similarity", "expected", "excess", "error_kappa", "class_agreement")
_SHARES = frozenset({"similarity", "expected", "class_agreement"})
ONE_PAIR = "one pair of runs: without the variance of seeds"


def expected_agreement(acc_a: float, acc_b: float) -> float:
    """The prediction similarity of two networks whose errors are independent.

    The published code of Juodelyte et al. squares the accuracy of the first network, acc_A² + (1 - acc_A)², although the second
    network has another accuracy. That value is too high or too low by (2 acc_A - 1)(acc_A - acc_B).

    Args:
        acc_a: accuracy of the first network, from 0 to 1.
        acc_b: accuracy of the second one.

    Source: Juodelyte et al. 2023, section 4.3 (https://arxiv.org/abs/2302.08272); src/prediction_similarity.py in
        https://github.com/DovileDo/revisiting-transfer.

    >>> round(expected_agreement(0.9, 0.6), 2), round(expected_agreement(0.9, 0.9), 2)
    (0.58, 0.82)
    """
    return acc_a * acc_b + (1 - acc_a) * (1 - acc_b)


def prediction_similarity(errors_a: np.ndarray, errors_b: np.ndarray) -> float:
    """The share of images on which two networks are both right or both wrong.

    For two classes it equals the share of images with the same decision.

    Args:
        errors_a: (N,) whether the first network is wrong.
        errors_b: (N,) of the second one.

    Source: Juodelyte et al. 2023 (https://arxiv.org/abs/2302.08272).

    >>> prediction_similarity(np.array([True, False, False, False]), np.array([True, True, False, False]))
    0.75
    """
    return float(np.mean(np.asarray(errors_a, dtype=bool) == np.asarray(errors_b, dtype=bool)))


@dataclass(frozen=True)
class PairSums:
    """The measures of all pairs of runs of one label or a mean over labels.

    Args:
        values: (M, S, T) of M measures and the pairs of S and T runs; NaN where undefined.
        vectors: (M, S, T, P) influences of the patients.
    """

    values: np.ndarray
    vectors: np.ndarray


def pair_measures(first: Decisions, second: Decisions, label: int, patients: np.ndarray) -> PairSums:
    """The measures of all pairs of a run of one checkpoint and a run of another one.

    The influence of a patient is its first-order effect on the measure (the delta method); for the shares it is exact. Kappa is
    undefined where both runs are always right or always wrong, and where all runs decide for one class on all images: such
    errors are those of the labels, not of the networks.

    Args:
        first: decisions of S runs.
        second: decisions of T runs on the same images.
        label: position of the label.
        patients: (N,) as numbers from 0.

    Source: Cohen 1960 (doi:10.1177/001316446002000104): kappa of the errors is the excess over independence, divided by
        what is possible above it.
    """
    known = ~np.isnan(first.right[0, :, label])
    codes, count = patients[known], int(patients.max()) + 1
    a, b = first.right[:, known, label], second.right[:, known, label]
    same_class = first.chosen[:, None, known, label] == second.chosen[None, :, known, label]
    values = np.full((len(MEASURES), len(a), len(b)), np.nan)
    vectors = np.zeros((len(MEASURES), len(a), len(b), count))
    if not known.any():
        return PairSums(values, vectors)
    one_class = constant_decisions(first, second, label)
    for i, j in np.ndindex(len(a), len(b)):
        agrees, acc_a, acc_b = (a[i] == b[j]).astype(np.float64), float(a[i].mean()), float(b[j].mean())
        share, expected = float(agrees.mean()), expected_agreement(acc_a, acc_b)
        of_share = (agrees - share) / len(agrees)
        of_expected = ((2 * acc_b - 1) * (a[i] - acc_a) + (2 * acc_a - 1) * (b[j] - acc_b)) / len(agrees)
        same = same_class[i, j].astype(np.float64)
        cases = [
            of_share,
            of_expected,
            of_share - of_expected,
            np.zeros_like(of_share),
            (same - same.mean()) / len(same),
        ]
        kappa = np.nan
        if expected < 1 and not one_class:
            kappa = (share - expected) / (1 - expected)
            cases[3] = (of_share - (1 - kappa) * of_expected) / (1 - expected)
        values[:, i, j] = share, expected, share - expected, kappa, same.mean()
        vectors[:, i, j] = [per_patient(one, codes, count) for one in cases]
    return PairSums(values, vectors)


def constant_decisions(first: Decisions, second: Decisions, label: int) -> bool:
    """Whether all runs of both checkpoints decide for the same class on all images.

    Args:
        first: decisions of a checkpoint.
        second: of the other one.
        label: position of the label.
    """
    classes = np.concatenate([one.chosen[..., label].ravel() for one in (first, second)])
    return bool((classes == classes[0]).all())


def mean_over_labels(of_labels: list[PairSums]) -> PairSums:
    """The mean of each measure over labels; for each measure, labels where a pair has no value are left out.

    Args:
        of_labels: of each label.
    """
    values, vectors = np.stack([one.values for one in of_labels]), np.stack([one.vectors for one in of_labels])
    defined = ~np.isnan(values).any(axis=(2, 3))  # (labels, measures)
    counts = np.maximum(defined.sum(axis=0), 1)
    weights = defined / counts
    means = np.einsum("lm,lmst->mst", weights, np.nan_to_num(values))
    means[~defined.any(axis=0)] = np.nan
    return PairSums(means, np.einsum("lm,lmstp->mstp", weights, vectors))


def between_checkpoints(pairs: PairSums) -> Iterator[tuple[str, MeasuredValue]]:
    """Each measure of two checkpoints, as the mean over all pairs of their runs, with a 95 % interval.

    Runs are readers and patients are cases: see `crossed_estimate`.

    Args:
        pairs: of all pairs of a run of the first and a run of the second checkpoint.
    """
    for place, measure in enumerate(MEASURES):
        values, vectors = pairs.values[place], pairs.vectors[place]
        if np.isnan(values).any():
            yield measure, _undefined(measure, values)
            continue
        readers = [Readers(values.mean(axis=axis), vectors.mean(axis=axis)) for axis in (1, 0)]
        note = "1 run of a checkpoint: without the variance of its seeds" if min(values.shape) == 1 else ""
        found = crossed_estimate(readers)
        yield measure, with_interval(found, vectors.shape[-1], share=measure in _SHARES, note=note)


def within_checkpoint(pairs: PairSums) -> Iterator[tuple[str, MeasuredValue]]:
    """Each measure of a checkpoint with itself: the mean over all pairs of its different runs, with a 95 % interval.

    Args:
        pairs: of its runs with themselves, (M, S, S); S is at least 2.
    """
    for place, measure in enumerate(MEASURES):
        values, vectors = pairs.values[place], pairs.vectors[place]
        off = ~np.eye(len(values), dtype=bool)
        if np.isnan(values[off]).any():
            yield measure, _undefined(measure, values[off])
            continue
        found: Estimate
        if len(values) == 2:
            found, note = estimate(values[:1, 1], vectors[:1, 1], vectors.shape[-1] - 1.0), ONE_PAIR
        else:
            made, note = pseudo_readers(np.nan_to_num(values), vectors), ""
            found = estimate(made.values, made.vectors, vectors.shape[-1] - 1.0)
        yield measure, with_interval(found, vectors.shape[-1], share=measure in _SHARES, note=note)


def _undefined(measure: str, values: np.ndarray) -> MeasuredValue:
    missing = int(np.isnan(values).sum())
    if measure == "error_kappa":
        why = f"in {missing} of {values.size} pairs both runs are right on all images, or wrong on all, or all have one class"
    else:
        why = "no annotated image"
    return MeasuredValue(None, reason=f"undefined: {why}")


def below_ceiling(first: PairSums, second: PairSums, between: PairSums) -> Iterator[tuple[str, MeasuredValue]]:
    """How much less two checkpoints agree than two runs of one checkpoint do, with a 95 % interval.

    The value is the mean of both checkpoints' agreement with themselves, minus the agreement between them.

    Args:
        first: of the first checkpoint's runs with themselves; at least 3 runs.
        second: of the second checkpoint's.
        between: of all pairs of a run of the first and a run of the second.
    """
    for place, measure in enumerate(MEASURES):
        if measure not in ("similarity", "error_kappa", "class_agreement"):
            continue
        parts = [pairs.values[place] for pairs in (first, second, between)]
        off = [np.where(np.eye(len(part), dtype=bool), 0, part) for part in parts[:2]]
        if any(np.isnan(part).any() for part in (*off, parts[2])):
            yield measure, MeasuredValue(None, reason="undefined for a pair of runs")
            continue
        alone = [pseudo_readers(part, pairs.vectors[place]) for part, pairs in zip(off, (first, second), strict=True)]
        vectors = between.vectors[place]
        readers = []
        for axis, (one, other) in enumerate((alone, alone[::-1])):
            across = parts[2].mean(axis=1 - axis), vectors.mean(axis=1 - axis)
            readers.append(
                Readers(
                    (one.values + other.values.mean()) / 2 - across[0],
                    (one.vectors + other.vectors.mean(axis=0)) / 2 - across[1],
                )
            )
        yield measure, with_interval(crossed_estimate(readers), vectors.shape[-1], share=False)
