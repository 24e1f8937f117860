"""The dense probe of a segmentation: a classifier of patch tokens, fitted on pixels, whose scores are enlarged to the mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from medzoo.data.decode_cache.decoded import Decoded
from medzoo.errors import DataContractError, UsageError, listed
from medzoo.progress import Steps, say_part, warn
from medzoo.training.probes.dense import (
    DenseProbe,
    drawn_pixels,
    fit_dense_knn,
    fit_dense_logistic,
    patch_shares,
    pixel_shares,
    tokens_at,
)
from medzoo.training.segmentation.counts import dice_of, pixel_counts
from medzoo.training.segmentation.losses import NOT_ANNOTATED
from medzoo.training.segmentation.masks import classes_of
from medzoo.training.segmentation.tune import Segmented, check_masks, masks_of
from medzoo.training.tokens.token_file import TokenRows

Split = tuple[TokenRows, Decoded]
_AT_ONCE = 16  # images that are read together
_NUMBERS = 2**25  # of tokens, or of scores, that are in memory at one time; fixed, so that no option changes a result


@dataclass(frozen=True)
class DenseSegmenter:
    """A fitted dense probe as a segmentation: what `evaluate_masks` takes instead of a fine-tuned network.

    Args:
        probe: of tokens.
        grid: rows and columns of patches.
        tokens: decoded rows → their patch tokens.
        score: the mean Dice per image on validation.
        setting: the selected value by name, as in a result.
        chosen: the same in words.
        candidates: how many values were tried.
    """

    probe: DenseProbe
    grid: tuple[int, int]
    tokens: Callable[[Decoded], TokenRows]
    score: float
    setting: dict[str, Any]
    chosen: str
    candidates: int

    @property
    def converged(self) -> bool:
        """Whether the solver reached its accuracy; always for neighbours."""
        return self.probe.converged

    def segment(self, data: Decoded) -> Iterator[Segmented]:
        """The scores of a split, some images at a time: above 0 for the single class; of several, the highest wins.

        Args:
            data: decoded rows with masks.
        """
        yield from _segmented(self.probe, self.tokens(data), data, self.grid)


def fit_dense_probe(
    train: Split,
    validation: Split,
    *,
    classes: Sequence[str],
    method: str,
    values: Sequence[float],
    samples: int,
    seed: int,
    read: Callable[[Decoded], TokenRows],
) -> DenseSegmenter:
    """Fit a probe for every value; the best mean Dice on validation selects one.

    "logistic" fits tokens, interpolated at drawn pixels, to the labels of these pixels. "knn" finds the nearest of drawn tokens,
    whose labels are the shares of the classes in their patches.

    Of equal values of Dice, the smallest squared error of the probabilities decides: structures that are much thinner than a
    patch may have no pixel above one half.

    Args:
        train: patch tokens and decoded rows with masks.
        validation: patch tokens and decoded rows with masks that select the value.
        classes: names, without the background.
        method: "logistic" or "knn".
        values: of C, or numbers of neighbours; those above the number of tokens are left out.
        samples: how many training pixels ("logistic") or tokens ("knn") are drawn at most, an equal number from each image.
        seed: of the draw. Pixels are the same for all checkpoints with the same input size, tokens with the same patches.
        read: decoded rows → their patch tokens.

    Raises:
        UsageError: if no value can be used, or the patches are not a square grid.
        DataContractError: if a mask has a value outside the classes, or none of the drawn samples has one of the classes.
    """
    (rows, data), (others, held) = train, validation
    for split, part in (("train", data), ("validation", held)):
        check_masks(part, list(classes), split)
    grid = square_grid(rows.shape[1])
    if method == "logistic":
        kept, labels = training_pixels(rows, data, grid, samples, seed)
        _check_classes(functional.one_hot(labels, len(classes) + 1), "pixels", data, classes, grid)
        probes = fit_dense_logistic(kept, labels, len(classes) + 1, values)
    else:
        kept, shares = training_tokens(rows, data, grid, len(classes) + 1, samples, seed)
        _check_classes(shares, "tokens", data, classes, grid)
        counts = [int(value) for value in values if value <= len(kept)]
        if not counts:
            raise UsageError(
                f"There are {len(kept)} training tokens; give smaller values of `neighbours`.",
                code="neighbours-not-usable",
            )
        values = counts
        probes = fit_dense_knn(kept, shares, counts)
    scores = []
    with Steps("dense probe", len(probes), "value") as bar:
        for probe in probes:
            scores.append(_score(probe, others, held, grid))
            bar.update()
    best = max(range(len(scores)), key=scores.__getitem__)  # of equals, the first
    key = "regularisation" if method == "logistic" else "neighbours"
    setting = {key: values[best]}
    return DenseSegmenter(probes[best], grid, read, scores[best][0], setting, probes[best].name, len(probes))


def _score(probe: DenseProbe, rows: TokenRows, data: Decoded, grid: tuple[int, int]) -> tuple[float, float]:
    """Mean Dice per image, and the negative squared error of the probabilities of annotated pixels."""
    counted, error, known = [], 0.0, 0
    for part in _segmented(probe, rows, data, grid):
        each = [(number,) for number in range(1, probe.classes)]
        counted.append(pixel_counts(classes_of(part.logits), part.masks, each))
        inside = part.masks != NOT_ANNOTATED
        chances = probe.chances(part.logits)
        for number in range(probe.classes):
            wrong = (chances[:, number] - (part.masks == number).float()).square_()
            error += float(wrong[inside].double().sum())
        known += int(inside.sum())
    return float(dice_of(np.concatenate(counted)).mean()), -error / max(known, 1)


def _check_classes(
    shares: torch.Tensor, what: str, data: Decoded, classes: Sequence[str], grid: tuple[int, int]
) -> None:
    """Refuse samples without any of the classes; name classes without samples, and those that fill half of no patch."""
    absent = [name for number, name in enumerate(classes, start=1) if not bool((shares[:, number] > 0).any())]
    if absent:
        text = f"None of the {len(shares):,} training {what} shows {listed(absent)}."
        more = f"--set samples={10 * max(len(shares), 1)} draws more {what}."
        if len(absent) == len(classes):
            raise DataContractError(f"{text} Check the masks; {more}", code="samples-without-classes")
        warn(f"{text} The probe cannot find them. {more}")
    thin = [name for name in thin_classes(data, classes, grid) if name not in absent]
    if thin:
        warn(
            f"No patch of the training images is at least half {listed(thin)}: the {grid[0]} x {grid[1]} patches are coarse for "
            "them. The probe blurs such structures: its Dice is low, also for a good encoder. Raise --size, or take a network "
            "with smaller patches."
        )


def thin_classes(data: Decoded, classes: Sequence[str], grid: tuple[int, int]) -> list[str]:
    """The classes that fill at least half of no patch.

    Args:
        data: decoded rows with masks.
        classes: names, without the background.
        grid: rows and columns of patches.
    """
    most = torch.zeros(len(classes) + 1)
    for block in _blocks(data):
        shares, known = patch_shares(block, grid, len(classes) + 1, ignored=NOT_ANNOTATED)
        most = torch.maximum(most, (shares * known[..., None]).flatten(0, 1).amax(0))
    return [name for name, share in zip(classes, most[1:].tolist(), strict=True) if share < 0.5]


def _blocks(data: Decoded) -> Iterator[np.ndarray]:
    """The masks, some images at a time."""
    masks = masks_of(data)
    for first in range(0, len(data.ids), _AT_ONCE):
        yield np.asarray(masks[first : first + _AT_ONCE])


def square_grid(count: int) -> tuple[int, int]:
    """Rows and columns of the patches of a square image.

    >>> square_grid(196)
    (14, 14)
    """
    side = round(count**0.5)
    if side * side != count:
        raise UsageError(f"{count} patch tokens are not a square grid.", code="tokens-not-square")
    return side, side


def training_pixels(
    rows: TokenRows, data: Decoded, grid: tuple[int, int], samples: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, D) interpolated tokens and (n,) labels of drawn pixels; only some images are in memory at one time.

    Args:
        rows: patch tokens of all images.
        data: decoded rows with masks.
        grid: rows and columns of patches.
        samples: how many are drawn at most.
        seed: of the draw.
    """
    shares, kept, labels = pixel_shares(len(rows), samples, seed=seed), [], []
    for number, block in enumerate(_blocks(data)):
        first = number * _AT_ONCE
        drawn = list(drawn_pixels(block, first, shares, seed=seed, ignored=NOT_ANNOTATED))
        images, pixels = np.repeat(np.arange(len(drawn)), [len(part) for part in drawn]), np.concatenate(drawn)
        if len(pixels):
            tokens = rows[slice(first, first + len(drawn))]
            kept.append(tokens_at(tokens, images, pixels, block.shape[1:], grid))
            labels.append(torch.from_numpy(block.reshape(len(block), -1)[images, pixels].astype(np.int64)))
    return _joined(kept, rows.shape[2], "pixels"), torch.cat([*labels, torch.empty(0, dtype=torch.int64)])


def training_tokens(
    rows: TokenRows, data: Decoded, grid: tuple[int, int], classes: int, samples: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, D) drawn tokens and (n, classes) shares of the classes in their patches, most of which is annotated.

    Args:
        rows: patch tokens of all images.
        data: decoded rows with masks.
        grid: rows and columns of patches.
        classes: with the background.
        samples: how many are drawn at most.
        seed: of the draw.
    """
    counts, kept, labels = pixel_shares(len(rows), samples, seed=seed), [], []
    for number, block in enumerate(_blocks(data)):
        first = number * _AT_ONCE
        shares, known = patch_shares(block, grid, classes, ignored=NOT_ANNOTATED)
        usable = (known > 0.5).numpy().astype(np.uint8)[:, None]
        drawn = list(drawn_pixels(usable, first, counts, seed=seed, ignored=0))
        images, places = np.repeat(np.arange(len(drawn)), [len(part) for part in drawn]), np.concatenate(drawn)
        if len(places):
            kept.append(rows[slice(first, first + len(drawn))][images, places])
            labels.append(shares[images, places])
    return _joined(kept, rows.shape[2], "tokens"), torch.cat([*labels, torch.empty(0, classes)])


def _joined(parts: list[torch.Tensor], width: int, what: str) -> torch.Tensor:
    rows = torch.cat([*parts, torch.empty(0, width)])
    say_part(f"dense probe: {len(rows):,} {what} x {width:,}, {rows.numel() * 4 / 1e9:.3g} GB of memory")
    return rows


def _segmented(probe: DenseProbe, rows: TokenRows, data: Decoded, grid: tuple[int, int]) -> Iterator[Segmented]:
    masks = masks_of(data)
    height, width = np.asarray(masks[:1]).shape[1:]
    _, tokens, features = rows.shape
    count = max(1, min(_AT_ONCE, _NUMBERS // max(height * width * probe.classes, tokens * features)))
    for first in range(0, len(rows), count):
        part = slice(first, min(first + count, len(rows)))
        truth = torch.as_tensor(np.asarray(masks[part]))
        yield Segmented(range(part.start, part.stop), probe.maps(rows[part], grid, (height, width)), truth)
