"""The precision of losses, and a measure of collapse."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def no_autocast(values: torch.Tensor) -> torch.autocast:
    """A block without autocast: inside it, matrix products of float32 values have float32's precision.

    Args:
        values: a tensor on the device that computes.

    >>> with torch.autocast("cpu", torch.bfloat16), no_autocast(torch.ones(1)):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.float32
    """
    return torch.autocast(values.device.type, enabled=False)


@torch.no_grad()
def feature_std(features: torch.Tensor) -> torch.Tensor:
    """The spread of features over a batch: 0 if all images have equal features, about 1 if they point in all directions.

    Args:
        features: (N, D), N >= 2.

    Source: https://arxiv.org/abs/2011.10566, its figure 2 (times the root of D)

    >>> float(feature_std(torch.ones(3, 4)))
    0.0
    """
    rows = F.normalize(features.detach().float(), dim=1)
    return rows.std(dim=0).mean() * rows.shape[1] ** 0.5
