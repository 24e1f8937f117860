"""Start fine-tuning from the solved logistic regression on frozen features (LP-FT), so that the first steps keep the features."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from medzoo.errors import UsageError
from medzoo.training.layers.head import classifier_of
from medzoo.training.probe import fit_probe
from medzoo.training.probes.logistic import LogisticModel

GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2)  # values of C, where the protocol lists none
FURTHEST = 10.0  # log odds of a class that does not vary in training, or that has no images
Split = tuple[np.ndarray, np.ndarray]


class PooledFeatures(nn.Module):
    """The inputs of a network's classifier: pooled features (N, D).

    Args:
        model: a timm network with a head.
    """

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - a timm network
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features of normalised images (N, C, H, W)."""
        features: torch.Tensor = self.model.forward_head(self.model.forward_features(images), pre_logits=True)
        return features


def solve_head(
    model: nn.Module,
    train: Split,
    validation: Split,
    *,
    kind: str,
    regularisation: Sequence[float],
    score: Callable[[np.ndarray, np.ndarray], float],
) -> float:
    """Set the classifier to the logistic regression whose penalty is the best on validation; returns its C.

    Args:
        model: with a fresh head.
        train: pooled features (N, D) and labels.
        validation: features and labels that select the penalty.
        kind: "binary", "multiclass" or "multilabel".
        regularisation: values of C; empty takes GRID.
        score: (labels, probabilities) → the higher, the better.

    Raises:
        UsageError: for a regression, or a head without a bias.

    Source: https://arxiv.org/abs/2202.10054 (linear probing, then fine-tuning)
    """
    head = classifier_of(model)
    if kind == "regression" or head.bias is None:
        raise UsageError(
            'head_start = "solved" needs a task with classes and a head with a bias. Use head_start = "random".',
            code="head-cannot-be-solved",
        )
    probe = fit_probe(
        train, validation, kind=kind, classes=head.out_features, regularisation=regularisation or GRID, score=score
    )
    assert probe.model is not None
    weights, bias = linear_layer(probe.model, head.out_features)
    with torch.no_grad():
        head.weight.copy_(weights)
        head.bias.copy_(bias)
    return probe.setting["regularisation"]


def linear_layer(model: LogisticModel, outputs: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A logistic regression on standardised features as weights (outputs, D) and bias of a layer on plain features.

    Args:
        model: solved.
        outputs: of the layer. With two classes, the first has zeros, since only the difference counts.
    """
    weights = torch.zeros(outputs, model.weights.shape[1], dtype=torch.float64)
    bias = torch.zeros(outputs, dtype=torch.float64)
    rows = list(model.outputs)
    absent = set(range(outputs)) - {*rows, *model.constants, model.rest}
    bias[sorted(absent)] = -FURTHEST  # a class without training images
    weights[rows] = model.weights / model.standardise.scale
    bias[rows] = model.intercepts - weights[rows] @ model.standardise.mean
    for column, share in model.constants.items():
        odds = math.log(share / (1 - share)) if 0 < share < 1 else math.copysign(FURTHEST, share - 0.5)
        bias[column] = min(max(odds, -FURTHEST), FURTHEST)
    return weights, bias
