"""Items by the set of checkpoints that are right on them, against checkpoints whose errors are independent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod, sqrt

import numpy as np

from medzoo.analysis.agreement.crossed_readers import MeasuredValue, Readers, crossed_estimate, with_interval
from medzoo.analysis.agreement.decisions import ImageBlock
from medzoo.bench.statistics.influence import per_patient


@dataclass(frozen=True)
class Items:
    """Decisions of one kind: each annotated pair of an image and a label.

    Args:
        rights: for each checkpoint (S, M) of its S runs and M items, 1 for right.
        patients: (M,) of the items, as numbers from 0.
        images: number of images.
        names: (M,) the id of the image and the label of each item.
    """

    rights: tuple[np.ndarray, ...]
    patients: np.ndarray
    images: int
    names: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class SetShare:
    """How many items belong to some sets of checkpoints.

    Args:
        share: of all items, with an interval over patients and runs.
        expected: the share under independence.
        excess: share minus expected, with its interval.
        poisson: standard error of the share if items were independent counts, as in the study.
    """

    share: MeasuredValue
    expected: float
    excess: MeasuredValue
    poisson: float


def items_of(block: ImageBlock, rule: str) -> Items:
    """The items of a block of images.

    Args:
        block: with the decisions of each checkpoint.
        rule: "each" keeps all runs: an item counts for all combinations of one run of each checkpoint, in equal parts.
            "majority" makes one decision: more than half of a checkpoint's runs are right.
    """
    images, labels = block.of[0].right.shape[1:]
    known = ~np.isnan(block.of[0].right[0]).ravel()
    rights = [of.right.reshape(of.runs, images * labels)[:, known] for of in block.of]
    if rule == "majority":
        rights = [(right.mean(axis=0, keepdims=True) > 0.5).astype(np.float64) for right in rights]
    every = [(sample, label) for sample in block.samples for label in block.labels]
    names = tuple(name for name, used in zip(every, known, strict=True) if used)
    return Items(tuple(rights), np.repeat(block.patients, labels)[known], images, names)


def members_of_set(items: Items, members: Iterable[int], most: int) -> list[tuple[str, str, float]]:
    """The items that most often belong to a set of checkpoints, first those that always do.

    Args:
        items: of a block.
        members: positions of the checkpoints that are right; all others are wrong.
        most: number of items.

    Returns:
        The image, the label, and in which share of all combinations of runs exactly these checkpoints are right.
    """
    inside = set(members)
    shares = np.ones(len(items.patients))
    for k, right in enumerate(items.rights):
        mean = right.mean(axis=0)
        shares = shares * (mean if k in inside else 1 - mean)
    order = np.argsort(-shares, kind="stable")[:most]
    return [(*items.names[place], float(shares[place])) for place in order if shares[place] > 0]


def all_sets(checkpoints: int) -> list[tuple[int, ...]]:
    """All sets of checkpoints, as positions, from none to all.

    Args:
        checkpoints: their number.

    >>> all_sets(2)
    [(), (0,), (1,), (0, 1)]
    """
    every = [tuple(k for k in range(checkpoints) if number >> k & 1) for number in range(2**checkpoints)]
    return sorted(every, key=lambda one: (len(one), one))


def expected_share(accuracies: Sequence[float], members: Iterable[int]) -> float:
    """The share of items that exactly these checkpoints get right, if all errors are independent.

    Args:
        accuracies: of all checkpoints.
        members: positions of those that are right.

    Source: Jonske et al. 2025, "Who knew what" (https://arxiv.org/abs/2306.17555).

    >>> round(expected_share([0.9, 0.8], [0]), 2), round(expected_share([0.9, 0.8], []), 2)
    (0.18, 0.02)
    """
    inside = set(members)
    return prod(accuracy if k in inside else 1 - accuracy for k, accuracy in enumerate(accuracies))


def share_of_sets(items: Items, sets: Sequence[tuple[int, ...]]) -> SetShare:
    """The share of items whose right checkpoints are one of these sets, against independence.

    Share and expectation are linear in the decisions of each run, so that the mean over all combinations of one run of each
    checkpoint is exact. The interval is that of `crossed_estimate`: patients are cases, the runs of each checkpoint are readers.

    Args:
        items: of a block.
        sets: of positions of checkpoints.
    """
    shares: list[Readers] = []
    excesses: list[Readers] = []
    means = [right.mean(axis=0) for right in items.rights]
    count = int(items.patients.max()) + 1
    for k, right in enumerate(items.rights):
        values = np.empty((2, len(right)))
        vectors = np.empty((2, len(right), count))
        for run, of_run in enumerate(right):
            parts = [of_run if other == k else mean for other, mean in enumerate(means)]
            share, of_share, expected, of_expected = _of_parts(parts, sets)
            values[:, run] = share, share - expected
            vectors[0, run] = per_patient(of_share, items.patients, count)
            vectors[1, run] = per_patient(of_share - of_expected, items.patients, count)
        shares.append(Readers(values[0], vectors[0]))
        excesses.append(Readers(values[1], vectors[1]))
    found = crossed_estimate(shares)
    excess = crossed_estimate(excesses)
    note = "1 run of a checkpoint: without the variance of its seeds" if min(map(len, items.rights)) == 1 else ""
    return SetShare(
        with_interval(found, count, share=True, note=note),
        found.mean - excess.mean,
        with_interval(excess, count, share=False, note=note),
        sqrt(max(found.mean, 0.0) / len(items.patients)),
    )


def _of_parts(parts: list[np.ndarray], sets: Sequence[tuple[int, ...]]) -> tuple[float, np.ndarray, float, np.ndarray]:
    """Share and expected share of some sets, each with the influences of the items."""
    accuracies = [float(part.mean()) for part in parts]
    cases, of_expected, expected = np.zeros_like(parts[0]), np.zeros_like(parts[0]), 0.0
    for members in sets:
        inside = set(members)
        case = np.ones_like(parts[0])
        for k, part in enumerate(parts):
            case = case * (part if k in inside else 1 - part)
        cases += case
        expected += expected_share(accuracies, members)
        for k, part in enumerate(parts):  # the derivative by the accuracy of one checkpoint
            others = [accuracy for other, accuracy in enumerate(accuracies) if other != k]
            slope = expected_share(others, [member - (member > k) for member in inside if member != k])
            of_expected += (slope if k in inside else -slope) * (part - accuracies[k])
    share = float(cases.mean())
    return share, (cases - share) / len(cases), expected, of_expected / len(cases)
