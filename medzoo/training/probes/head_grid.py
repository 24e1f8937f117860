"""Linear heads for a grid of learning rates and inputs, trained at once by SGD as one batch of parameters (DINOv2's evaluation)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from medzoo.data.rng import permutation
from medzoo.errors import DivergedError, UsageError
from medzoo.training.probes import arrays
from medzoo.training.probes.arrays import Array

# DINOv2's 13 learning rates, for a batch of 256
LEARNING_RATES = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1)


@dataclass(frozen=True)
class LinearHead:
    """One trained head.

    Args:
        variant: the number of its input.
        learning_rate: of the first step.
        weight: (classes, D).
        bias: (classes,).
        multilabel: whether every output has its sigmoid; otherwise they share a softmax.
    """

    variant: int
    learning_rate: float
    weight: torch.Tensor
    bias: torch.Tensor
    multilabel: bool

    def probabilities(self, features: Array) -> torch.Tensor:
        """(N, classes) probabilities.

        Args:
            features: (N, D) of this head's variant.
        """
        scores = arrays.as_features(features).float() @ self.weight.T + self.bias
        return scores.sigmoid() if self.multilabel else scores.softmax(1)


def batch_rows(seed: int, step: int, batch_size: int, rows: int) -> np.ndarray:
    """The rows of a step: a function of seed and step. An epoch is a permutation; its incomplete last batch is dropped.

    Args:
        seed: of the run.
        step: from 0.
        batch_size: rows of a batch; all rows if there are fewer.
        rows: of the training data.
    """
    size = min(batch_size, rows)
    epoch, place = divmod(step, rows // size)
    return _epoch_order(seed, epoch, rows)[place * size : (place + 1) * size]


@lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, rows: int) -> np.ndarray:
    """The permutation of an epoch; its steps share it."""
    return permutation("head grid", seed, epoch, rows)


def fit_head_grid(
    variants: Sequence[Array],
    labels: Array,
    *,
    kind: str,
    classes: int,
    steps: int,
    seed: int = 0,
    learning_rates: Sequence[float] = LEARNING_RATES,
    batch_size: int = 256,
    momentum: float = 0.9,
) -> list[LinearHead]:
    """Train a head for every variant and learning rate: SGD with momentum, cosine schedule, no weight decay.

    The weights start as DINOv2's: normal with deviation 0.01 from the seed, the bias from zero.

    Args:
        variants: features (N, D) by pooling; the widths may differ.
        labels: class numbers (N,), or (N, L) of 0, 1 and NaN for "multilabel".
        kind: "binary", "multiclass" or "multilabel".
        classes: number of classes or labels.
        steps: of the optimizer.
        seed: of the first weights and of the batches.
        learning_rates: of the first step.
        batch_size: rows of a batch.
        momentum: of SGD.

    Raises:
        DivergedError: if weights of all heads became infinite.
    """
    inputs = [arrays.as_features(part).float() for part in variants]
    if not inputs or not learning_rates or steps < 1 or batch_size < 1:
        raise UsageError(
            "A grid of heads needs an input, a learning rate, a step and a batch of at least 1.", code="head-grid-empty"
        )
    count = len(inputs[0])
    if any(len(part) != count for part in inputs):
        raise UsageError("All variants must have the same rows.", code="probe-features-shape")
    multilabel = kind == "multilabel"
    if multilabel:
        targets = arrays.as_label_columns(labels, count, classes).float()
    else:
        targets = torch.nn.functional.one_hot(arrays.as_classes(labels, count, classes), classes).float()
    device, rates = inputs[0].device, torch.tensor(learning_rates, device=inputs[0].device)
    targets = targets.to(device)
    weights = [
        first_weights(seed, number, classes, part.shape[1], len(rates)).to(device) for number, part in enumerate(inputs)
    ]
    biases = [torch.zeros(len(rates), classes, device=device) for _ in inputs]
    speeds = [(torch.zeros_like(w), torch.zeros_like(b)) for w, b in zip(weights, biases, strict=True)]
    for step in range(steps):
        chosen = torch.from_numpy(batch_rows(seed, step, batch_size, count)).to(device, non_blocking=True)
        pace = rates * (0.5 * (1 + math.cos(math.pi * step / steps)))
        aims = targets[chosen]
        for part, weight, bias, speed in zip(inputs, weights, biases, speeds, strict=True):
            batch = part[chosen]
            missed = _residual(batch, weight, bias, aims, multilabel)
            speed[0].flatten(0, 1).addmm_(missed.flatten(1).T, batch, beta=momentum)  # a view: changed in place
            speed[1].mul_(momentum).add_(missed.sum(0))
            weight.addcmul_(pace[:, None, None], speed[0], value=-1.0)
            bias.addcmul_(pace[:, None], speed[1], value=-1.0)
    heads = [
        LinearHead(number, float(rate), weight[i].clone(), bias[i].clone(), multilabel)
        for number, (weight, bias) in enumerate(zip(weights, biases, strict=True))
        for i, rate in enumerate(learning_rates)
    ]
    if not any(bool(torch.isfinite(head.weight).all()) for head in heads):
        raise DivergedError("All heads diverged: choose smaller learning rates.", code="head-grid-diverged")
    return heads


def first_weights(seed: int, variant: int, classes: int, width: int, heads: int) -> torch.Tensor:
    """(heads, classes, width) weights before the first step; all heads of a variant start alike.

    Args:
        seed: of the run.
        variant: number of the input.
        classes: outputs.
        width: of the features.
        heads: number of learning rates.
    """
    generator = torch.Generator().manual_seed(seed * 1000 + variant)
    return (0.01 * torch.randn(classes, width, generator=generator)).repeat(heads, 1, 1)


def _residual(
    batch: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, aims: torch.Tensor, multilabel: bool
) -> torch.Tensor:
    """(B, heads, classes) derivative of each head's mean loss by its scores."""
    scores = (batch @ weight.flatten(0, 1).T + bias.flatten()).view(len(batch), *bias.shape)
    if not multilabel:
        return (scores.softmax(2) - aims[:, None]) / len(batch)
    known = ~aims.isnan()
    missed = torch.where(known[:, None], scores.sigmoid() - aims.nan_to_num(0.0)[:, None], 0.0)
    return missed / known.sum().clamp_min(1)
