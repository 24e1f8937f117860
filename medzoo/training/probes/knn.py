"""Nearest neighbours by matrix products, in blocks of bounded memory; nothing is fitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from medzoo.errors import UsageError
from medzoo.training.probes import arrays
from medzoo.training.probes.arrays import Array

BLOCK = 64 * 2**20  # similarities that are in memory at one time


def neighbours(
    train: Array, queries: Array, count: int, *, cosine: bool = True, block: int = BLOCK
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Blocks of queries in order, as (similarities, row numbers of train), each (block, count), nearest first.

    Args:
        train: (N, D) features.
        queries: (M, D) features.
        count: neighbours per query.
        cosine: cosine similarity, otherwise the negative squared Euclidean distance.
        block: the most similarities in memory at one time.
    """
    known, asked = arrays.as_features(train), arrays.as_features(queries)
    if known.shape[1] != asked.shape[1]:
        raise UsageError(
            f"The training rows have {known.shape[1]} features, the queries {asked.shape[1]}.",
            code="probe-features-shape",
        )
    if not 1 <= count <= len(known):
        raise UsageError(f"k is {count}; there are {len(known)} training rows.", code="neighbours-outside")
    if cosine:
        known, asked = (torch.nn.functional.normalize(part, dim=1) for part in (known, asked))
    else:
        centre = known.double().mean(0)  # distances stay, and products of large numbers lose no digits
        known, asked = ((part.double() - centre).to(part.dtype) for part in (known, asked))
    squares = None if cosine else known.square().sum(1)
    for part in asked.split(max(1, block // len(known))):
        scores = part @ known.T
        if squares is not None:
            scores = 2 * scores - squares - part.square().sum(1, keepdim=True)
        best = scores.topk(count, dim=1)
        yield best.values, best.indices


def vote(
    train: Array,
    labels: Array,
    queries: Array,
    *,
    kind: str,
    classes: int,
    counts: Sequence[int],
    cosine: bool = True,
    temperature: float | None = 0.07,
    block: int = BLOCK,
) -> dict[int, torch.Tensor]:
    """Probabilities (M, classes) float64 by number of neighbours.

    Args:
        train: (N, D) features.
        labels: class numbers (N,), or (N, L) of 0, 1 and NaN for "multilabel": then the mean of neighbours with an annotation.
        queries: (M, D) features.
        kind: "binary", "multiclass" or "multilabel".
        classes: number of classes or labels.
        counts: numbers of neighbours.
        cosine: cosine similarity, otherwise Euclidean distance.
        temperature: a neighbour's weight is exp(similarity / temperature); None: all count alike. For cosine only.
        block: the most similarities in memory at one time.

    Source: DINO's `eval_knn.py` for the weights, https://doi.org/10.1109/ICCV48922.2021.00951
    """
    if temperature is not None and (temperature <= 0 or not cosine):
        raise UsageError("A temperature must be above 0 and needs cosine similarity.", code="neighbours-temperature")
    if not counts:
        raise UsageError("The list of numbers of neighbours is empty.", code="neighbours-outside")
    rows = len(arrays.as_features(train))
    if kind == "multilabel":
        values = arrays.as_label_columns(labels, rows, classes)
    else:
        values = torch.nn.functional.one_hot(arrays.as_classes(labels, rows, classes), classes).double()
    known = (~values.isnan()).double()
    values = values.nan_to_num(0.0)
    found: dict[int, list[torch.Tensor]] = {count: [] for count in counts}
    for similarities, indices in neighbours(train, queries, max(counts), cosine=cosine, block=block):
        near = similarities.double()
        # relative to the nearest, so that the exponential does not overflow
        weights = torch.ones_like(near) if temperature is None else ((near - near[:, :1]) / temperature).exp()
        table, mask = values.to(near.device)[indices], known.to(near.device)[indices]
        for count in counts:
            share = weights[:, :count, None] * mask[:, :count]
            total = share.sum(1)
            mean = (share * table[:, :count]).sum(1) / total.clamp_min(1e-300)
            found[count].append(torch.where(total > 0, mean, 0.5))  # no neighbour is annotated
    return {count: torch.cat(parts) for count, parts in found.items()}
