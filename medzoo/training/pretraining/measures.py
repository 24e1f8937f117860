"""Numbers that are logged to watch a pre-training; none of them has a gradient."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from medzoo.training.trainable import in_full


def feature_std(rows: torch.Tensor) -> torch.Tensor:
    """The spread of normalised features over a batch: 1 for directions without a structure, 0 if all images have the same one.

    Source: Chen and He 2020, https://arxiv.org/abs/2011.10566 (Figure 2), times the root of the number of features.

    Args:
        rows: (N, D) features.

    >>> float(feature_std(torch.ones(4, 2)))
    0.0
    """
    unit = F.normalize(in_full(rows.detach()), dim=1)
    return unit.std(dim=0, correction=0).mean() * unit.shape[1] ** 0.5
