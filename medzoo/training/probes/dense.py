"""Dense probes for segmentation: logistic regression on single pixels, or nearest neighbours of patch tokens.

Logistic regression: the map of tokens is enlarged bilinearly to the size of the mask, and each pixel has its own label. A linear
map and the enlargement can change places: enlarged logits of tokens are the logits of enlarged tokens, with much less memory.
Neighbours: the label of a token is the share of each class in its patch, and the shares that are found are enlarged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from medzoo.data.rng import permutation, uniform
from medzoo.training.probes import arrays
from medzoo.training.probes.arrays import Array
from medzoo.training.probes.attentive import as_tokens
from medzoo.training.probes.knn import neighbours
from medzoo.training.probes.logistic import LogisticModel, Problem, fit_logistic

_NEVER = -1e4  # the logit of a class that no training pixel has; finite, so that it can be interpolated


@dataclass(frozen=True)
class DenseProbe:
    """A fitted dense probe.

    Args:
        name: "k=3" or "C=1".
        rows: how many pixels or tokens it was fitted on.
        converged: of a logistic regression; True for neighbours.
        classes: number of classes, with the background.
        predict: (N, D) tokens → (N, classes): logits, or shares of the classes.
        votes: whether they are shares.
    """

    name: str
    rows: int
    converged: bool
    classes: int
    predict: Callable[[torch.Tensor], torch.Tensor]
    votes: bool

    def maps(self, tokens: Array, grid: tuple[int, int], shape: tuple[int, int]) -> torch.Tensor:
        """(B, outputs, H, W) float32 scores of pixels: above 0 for a single class, else the background first, highest wins.

        Args:
            tokens: (B, T, D).
            grid: rows and columns of patches.
            shape: height and width of the mask.
        """
        batch = as_tokens(tokens)
        scores = self.predict(batch.flatten(0, 1)).float()
        if self.classes == 2:  # log odds, or the share above one half
            scores = scores[:, 1:] - 0.5 if self.votes else scores[:, 1:] - scores[:, :1]
        planes = scores.view(*batch.shape[:2], -1).transpose(1, 2).unflatten(2, grid)
        return functional.interpolate(planes, shape, mode="bilinear", align_corners=False)

    def chances(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, classes, H, W) probabilities of what `maps` gave.

        Args:
            maps: scores of pixels.
        """
        if self.classes == 2:
            one = maps + 0.5 if self.votes else maps.sigmoid()
            return torch.cat([1 - one, one], 1)
        return maps if self.votes else maps.softmax(1)


def drawn_pixels(masks: Array, first: int, shares: np.ndarray, *, seed: int, ignored: int) -> Iterator[np.ndarray]:
    """Which pixels of each image to fit on: ascending positions in the flattened mask, spread evenly over the annotated pixels.

    The annotated pixels are cut into as many equal parts as pixels are drawn, and each part gives one. The draw depends on the
    mask, the number of the image and the seed, not on a network.

    Args:
        masks: (N, H, W) class numbers of some images.
        first: number of the first of them in the split.
        shares: how many pixels each image of the split gives; all, if it has fewer.
        seed: of the draw.
        ignored: the number of pixels that are not annotated.
    """
    for number, mask in enumerate(np.asarray(masks), start=first):
        known = np.flatnonzero(mask != ignored)
        count = min(int(shares[number]), len(known))
        edges = np.arange(count + 1) * len(known) // max(count, 1)
        chance = uniform("dense probe pixels", seed, 0, np.array([number]), count)[0]
        yield known[edges[:-1] + (chance * np.diff(edges)).astype(np.int64)]


def pixel_shares(images: int, pixels: int, *, seed: int) -> np.ndarray:
    """(images,) how many pixels each image gives: equal numbers; the seed decides which images give one more.

    Args:
        images: in the split.
        pixels: in all.
        seed: of the draw.

    >>> sorted(pixel_shares(3, 10, seed=0).tolist())
    [3, 3, 4]
    """
    each, rest = divmod(pixels, images)
    return each + (permutation("dense probe images", seed, 0, images) < rest).astype(np.int64)


def tokens_at(
    tokens: torch.Tensor, images: Array, pixels: Array, shape: tuple[int, int], grid: tuple[int, int]
) -> torch.Tensor:
    """(n, D) tokens at some pixels: the map of tokens enlarged bilinearly to the size of the mask, read at these pixels only.

    Args:
        tokens: (B, T, D) of some images.
        images: (n,) the image of each pixel.
        pixels: (n,) its position in the flattened mask.
        shape: height and width of the mask.
        grid: rows and columns of patches.
    """
    image, place = (torch.as_tensor(part).long() for part in (images, pixels))
    near = []
    for at, length, count in zip((place // shape[1], place % shape[1]), shape, grid, strict=True):
        # as `interpolate` without aligned corners: a token is in the middle of its patch, and the outermost ones continue
        middle = ((at.double() + 0.5) * count / length - 0.5).clamp(0, count - 1)
        low = middle.floor().long()
        near.append((low, (low + 1).clamp_max(count - 1), (middle - low).float()))
    rows, columns = near
    out = torch.zeros(len(place), tokens.shape[2])
    for row, down in ((rows[0], 1 - rows[2]), (rows[1], rows[2])):
        for column, right in ((columns[0], 1 - columns[2]), (columns[1], columns[2])):
            out += tokens[image, row * grid[1] + column].float().mul_((down * right)[:, None])
    return out


def patch_shares(
    masks: Array, grid: tuple[int, int], classes: int, *, ignored: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The share of every class in every patch, (N, rows * columns, classes), of its annotated pixels; and their share, (N, T).

    Args:
        masks: (N, H, W) class numbers.
        grid: rows and columns of patches.
        classes: number of classes, with the background.
        ignored: the number of pixels that are not annotated.

    >>> shares, known = patch_shares(np.array([[[0, 1, 1, 255]]]), (1, 2), 2, ignored=255)
    >>> shares.tolist(), known.tolist()
    ([[[0.5, 0.5], [0.0, 1.0]]], [[1.0, 0.5]])
    """
    pixels = torch.as_tensor(masks)
    planes = torch.stack([pixels == number for number in range(classes)] + [pixels != ignored], 1).float()
    pooled = functional.adaptive_avg_pool2d(planes, grid).flatten(2).transpose(1, 2)
    return pooled[..., :classes] / pooled[..., classes:].clamp_min(1e-12), pooled[..., classes]


def fit_dense_knn(tokens: Array, shares: Array, counts: Sequence[int] = (1, 3, 10, 30)) -> list[DenseProbe]:
    """For each k, the mean shares of the nearest tokens by cosine similarity.

    Args:
        tokens: (N, D) training tokens.
        shares: (N, classes) shares of the classes in the patch of each token.
        counts: values of k.
    """
    rows = functional.normalize(arrays.as_features(tokens), dim=1)
    known = torch.as_tensor(shares).float()

    def probe(count: int) -> DenseProbe:
        def predict(queries: torch.Tensor) -> torch.Tensor:
            return torch.cat([known[near].mean(1) for _, near in neighbours(rows, queries, count)])

        return DenseProbe(f"k={count}", len(rows), True, known.shape[1], predict, votes=True)

    return [probe(count) for count in counts]


def fit_dense_logistic(tokens: Array, labels: Array, classes: int, strengths: Sequence[float]) -> list[DenseProbe]:
    """A logistic regression for each C, solved together.

    Args:
        tokens: (N, D) interpolated at the training pixels.
        labels: (N,) class numbers of the pixels.
        classes: number of classes.
        strengths: values of C.
    """
    rows = arrays.as_features(tokens)
    numbers = arrays.as_classes(labels, len(rows), classes)
    problems = [Problem(strength) for strength in strengths]
    models = fit_logistic(rows, numbers, problems, kind="multiclass", classes=classes)
    return [
        DenseProbe(f"C={model.strength:g}", len(rows), model.converged, classes, _logits(model), votes=False)
        for model in models
    ]


def _logits(model: LogisticModel) -> Callable[[torch.Tensor], torch.Tensor]:
    """(N, D) tokens → (N, classes) logits; a linear map of the tokens, unlike probabilities."""

    def predict(tokens: torch.Tensor) -> torch.Tensor:
        rows = model.standardise(tokens)
        out = torch.full((len(rows), model.classes), _NEVER, dtype=rows.dtype)
        for column in [
            *([] if model.rest is None else [model.rest]),
            *(c for c, v in model.constants.items() if v > 0),
        ]:
            out[:, column] = 0.0  # of two classes, the log odds of the second decide
        if model.outputs:
            out[:, list(model.outputs)] = (rows @ model.weights.T.to(rows.dtype) + model.intercepts).to(rows.dtype)
        return out

    return predict
