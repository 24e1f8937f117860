"""Dense probes for segmentation: nearest neighbours and logistic regression on patch tokens, with the majority label of a patch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from medzoo.data.rng import permutation
from medzoo.errors import DataContractError, UsageError
from medzoo.training.probes import arrays
from medzoo.training.probes.arrays import Array
from medzoo.training.probes.attentive import as_tokens
from medzoo.training.probes.knn import vote
from medzoo.training.probes.logistic import Problem, fit_logistic

IGNORED = -1  # label of a patch whose majority is not annotated


@dataclass(frozen=True)
class DenseProbe:
    """A fitted dense probe.

    Args:
        name: "k=3" or "C=1".
        rows: how many tokens it was fitted on.
        converged: of a logistic regression; True for neighbours.
        classes: number of classes.
        predict: (N, D) tokens → (N, classes).
    """

    name: str
    rows: int
    converged: bool
    classes: int
    predict: Callable[[torch.Tensor], torch.Tensor]

    def probabilities(self, tokens: Array) -> torch.Tensor:
        """(B, T, classes) probabilities for tokens (B, T, D)."""
        batch = as_tokens(tokens)
        return self.predict(batch.flatten(0, 1)).view(*batch.shape[:2], self.classes)


def patch_labels(masks: Array, grid: tuple[int, int], classes: int, *, ignored: int = 255) -> torch.Tensor:
    """The majority label of every patch, (N, rows * columns) int64; of equal counts the smallest label.

    Args:
        masks: (N, H, W) class numbers.
        grid: rows and columns of patches; H and W must be multiples.
        classes: number of classes.
        ignored: the number of pixels that are not annotated; where they are the majority, the patch has the label IGNORED.
    """
    pixels = torch.as_tensor(masks).long()
    if pixels.ndim != 3 or min(grid) < 1 or pixels.shape[1] % grid[0] or pixels.shape[2] % grid[1]:
        raise UsageError(
            f"Masks of the shape {tuple(pixels.shape)} do not divide into {grid[0]} x {grid[1]} patches.",
            code="masks-grid",
        )
    if bool(((pixels != ignored) & ((pixels < 0) | (pixels >= classes))).any()):
        raise DataContractError(f"Masks must hold 0 to {classes - 1}, or {ignored}.", code="probe-labels-outside")
    pixels = torch.where(pixels == ignored, classes, pixels)
    patches = pixels.unflatten(1, (grid[0], -1)).unflatten(3, (grid[1], -1)).transpose(2, 3).flatten(3).flatten(1, 2)
    counts = torch.stack([(patches == number).sum(2) for number in range(classes + 1)], 2)
    best = counts.argmax(2)
    return torch.where(best == classes, IGNORED, best)


def chosen_tokens(labels: Array, count: int, *, seed: int, balanced: bool = False) -> torch.Tensor:
    """Which tokens to fit on: positions in ascending order, the same for every network with the same labels.

    Args:
        labels: (N,) of all tokens; those with IGNORED are left out.
        count: how many; all, if there are fewer.
        seed: of the draw.
        balanced: as many of each class as possible; classes with few tokens give all of theirs.
    """
    numbers = torch.as_tensor(labels).long().flatten().cpu().numpy()
    if count < 1:
        raise UsageError(f"The number of tokens is {count}; it must be at least 1.", code="tokens-below-one")
    shuffled = permutation("dense probe tokens", seed, 0, len(numbers))
    shuffled = shuffled[numbers[shuffled] != IGNORED]
    if balanced and len(shuffled) > count:
        groups = [shuffled[numbers[shuffled] == label] for label in np.unique(numbers[shuffled])]
        # the n-th token of every class comes before the (n + 1)-th of any
        place = np.concatenate([np.arange(len(group)) for group in groups])
        shuffled = np.concatenate(groups)[np.argsort(place, kind="stable")]
    return torch.from_numpy(np.sort(shuffled[:count]))


def fit_dense_knn(
    tokens: Array, labels: Array, classes: int, counts: Sequence[int] = (1, 3, 10, 30), *, cosine: bool = True
) -> list[DenseProbe]:
    """A plain vote of neighbours for each k.

    Args:
        tokens: (N, D) training tokens.
        labels: (N,) class numbers.
        classes: number of classes.
        counts: values of k.
        cosine: cosine similarity, otherwise Euclidean distance.
    """
    rows, numbers = _checked(tokens, labels, classes)
    rows = torch.nn.functional.normalize(rows, dim=1) if cosine else rows

    def probe(count: int) -> DenseProbe:
        def predict(queries: torch.Tensor) -> torch.Tensor:
            return vote(
                rows, numbers, queries, kind="multiclass", classes=classes, counts=[count], cosine=cosine,
                temperature=None,
            )[count]  # fmt: skip

        return DenseProbe(f"k={count}", len(rows), True, classes, predict)

    return [probe(count) for count in counts]


def fit_dense_logistic(tokens: Array, labels: Array, classes: int, strengths: Sequence[float]) -> list[DenseProbe]:
    """A logistic regression for each C, solved together.

    Args:
        tokens: (N, D) training tokens.
        labels: (N,) class numbers.
        classes: number of classes.
        strengths: values of C.
    """
    rows, numbers = _checked(tokens, labels, classes)
    problems = [Problem(strength) for strength in strengths]
    models = fit_logistic(rows, numbers, problems, kind="multiclass", classes=classes)
    return [
        DenseProbe(f"C={model.strength:g}", len(rows), model.converged, classes, model.probabilities)
        for model in models
    ]


def _checked(tokens: Array, labels: Array, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    rows = arrays.as_features(tokens)
    return rows, arrays.as_classes(labels, len(rows), classes)
