"""The dense probe of a segmentation: a classifier of patch tokens, whose probabilities are enlarged to the size of the mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from medzoo.data.decode_cache.decoded import Decoded
from medzoo.errors import DataContractError, UsageError, listed
from medzoo.progress import Steps, warn
from medzoo.training.probes.dense import (
    DenseProbe,
    chosen_tokens,
    fit_dense_knn,
    fit_dense_logistic,
    patch_labels,
)
from medzoo.training.segmentation.counts import dice_of, pixel_counts
from medzoo.training.segmentation.losses import NOT_ANNOTATED
from medzoo.training.segmentation.masks import classes_of
from medzoo.training.segmentation.tune import Segmented, check_masks, masks_of
from medzoo.training.tokens.token_file import TokenRows

Split = tuple[TokenRows, Decoded]
_AT_ONCE = 16  # images that are segmented together


@dataclass(frozen=True)
class DenseSegmenter:
    """A fitted dense probe as a segmentation: what `evaluate_masks` takes instead of a fine-tuned network.

    Args:
        probe: of patch tokens.
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
        """The scores of a split, some images at a time: above 0 for the single class, or the probabilities of several.

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
    tokens: int,
    seed: int,
    read: Callable[[Decoded], TokenRows],
) -> DenseSegmenter:
    """Fit patch tokens to the majority label of their patch for every value; the best mean Dice on validation selects one.

    Args:
        train: patch tokens and decoded rows with masks.
        validation: patch tokens and decoded rows with masks that select the value.
        classes: names, without the background.
        method: "logistic" or "knn".
        values: of C, or numbers of neighbours; those above the number of tokens are left out.
        tokens: how many training tokens are used at most.
        seed: of their draw; the same for all checkpoints with the same grid.
        read: decoded rows → their patch tokens.

    Raises:
        UsageError: if no value can be used, or the patches are not a square grid.
        DataContractError: if a mask has a value outside the classes, or no patch has mostly one of the classes.
    """
    (rows, data), (others, held) = train, validation
    for split, part in (("train", data), ("validation", held)):
        check_masks(part, list(classes), split)
    grid = square_grid(rows.shape[1])
    labels = mask_patches(data, grid, len(classes) + 1).flatten()
    _check_patches(labels, classes, grid)
    chosen = chosen_tokens(labels, tokens, seed=seed)
    kept = gathered_tokens(rows, chosen.numpy())
    if method == "logistic":
        probes = fit_dense_logistic(kept, labels[chosen], len(classes) + 1, values)
    else:
        counts = [int(value) for value in values if value <= len(chosen)]
        if not counts:
            raise UsageError(
                f"There are {len(chosen)} training tokens; give smaller values of `neighbours`.",
                code="neighbours-not-usable",
            )
        values = counts
        probes = fit_dense_knn(kept, labels[chosen], len(classes) + 1, counts)
    scores = []
    with Steps("dense probe", len(probes), "value") as bar:
        for probe in probes:
            parts = _segmented(probe, others, held, grid)
            each = [(number,) for number in range(1, len(classes) + 1)]
            counted = [pixel_counts(classes_of(part.logits), part.masks, each) for part in parts]
            scores.append(float(dice_of(np.concatenate(counted)).mean()))
            bar.update()
    best = max(range(len(scores)), key=scores.__getitem__)  # of equals, the first
    key = "regularisation" if method == "logistic" else "neighbours"
    setting = {key: values[best]}
    return DenseSegmenter(probes[best], grid, read, scores[best], setting, probes[best].name, len(probes))


def _check_patches(labels: torch.Tensor, classes: Sequence[str], grid: tuple[int, int]) -> None:
    """Refuse, or name, classes that are too thin or small to fill half of any patch."""
    absent = [name for number, name in enumerate(classes, start=1) if not bool((labels == number).any())]
    if not absent:
        return
    text = f"No patch of the training images has mostly {listed(absent)}: the {grid[0]} x {grid[1]} patches are too coarse."
    way = "Raise --size, or take a network with smaller patches"
    if len(absent) == len(classes):
        raise DataContractError(
            f"{text} A dense probe would find nothing. {way}, or fine-tune with recipes/finetune.py.",
            code="patches-too-coarse",
        )
    warn(f"{text} The probe cannot find them. {way}.")


def square_grid(count: int) -> tuple[int, int]:
    """Rows and columns of the patches of a square image.

    >>> square_grid(196)
    (14, 14)
    """
    side = round(count**0.5)
    if side * side != count:
        raise UsageError(f"{count} patch tokens are not a square grid.", code="tokens-not-square")
    return side, side


def mask_patches(data: Decoded, grid: tuple[int, int], classes: int) -> torch.Tensor:
    """(N, patches) majority labels; -1 where most pixels are not annotated.

    Args:
        data: decoded rows with masks.
        grid: rows and columns of patches.
        classes: with the background.
    """
    masks, found = masks_of(data), []
    for first in range(0, len(data.ids), 256):
        block = torch.as_tensor(np.asarray(masks[first : first + 256]))
        # a side that is not a multiple of the grid is enlarged to the next multiple
        sides = [-(-side // count) * count for side, count in zip(block.shape[1:], grid, strict=True)]
        if list(block.shape[1:]) != sides:
            block = functional.interpolate(block[:, None].float(), sides, mode="nearest")[:, 0]
        found.append(patch_labels(block, grid, classes, ignored=NOT_ANNOTATED))
    return torch.cat(found)


def gathered_tokens(rows: TokenRows, chosen: np.ndarray) -> torch.Tensor:
    """(n, D) tokens by their numbers in the flattened order (image, token); only their images are read.

    Args:
        rows: of all images.
        chosen: (n,) ascending numbers.
    """
    images, places = np.divmod(chosen, rows.shape[1])
    out = torch.empty(len(chosen), rows.shape[2])
    for first in range(0, len(rows), _AT_ONCE):
        here = (images >= first) & (images < first + _AT_ONCE)
        if here.any():
            block = rows[slice(first, first + _AT_ONCE)]
            out[torch.from_numpy(here)] = block[images[here] - first, places[here]]
    return out


def _segmented(probe: DenseProbe, rows: TokenRows, data: Decoded, grid: tuple[int, int]) -> Iterator[Segmented]:
    masks = masks_of(data)
    for first in range(0, len(rows), _AT_ONCE):
        part = slice(first, min(first + _AT_ONCE, len(rows)))
        truth = torch.as_tensor(np.asarray(masks[part]))
        chances = probe.probabilities(rows[part]).transpose(1, 2).unflatten(2, grid)
        chances = functional.interpolate(chances, truth.shape[-2:], mode="bilinear", align_corners=False)
        # one class: above 0 where it is more probable than the background
        logits = chances[:, 1:] - 0.5 if probe.classes == 2 else chances
        yield Segmented(range(part.start, part.stop), logits.float(), truth)
