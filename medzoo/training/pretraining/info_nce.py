"""The contrastive loss of MoCo v3, which SiT shares."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from medzoo.training.pretraining.loss_precision import no_autocast
from medzoo.training.trainable import in_full


def info_nce(queries: torch.Tensor, keys: torch.Tensor, temperature: float) -> torch.Tensor:
    """Cross-entropy of finding each query's own key among all keys, times 2 * temperature.

    Args:
        queries: (N, D).
        keys: (N, D), of another view of the same images.
        temperature: divides the cosine similarities.

    >>> round(float(info_nce(torch.eye(2), torch.eye(2), 1.0)), 4)
    0.6265
    """
    with no_autocast(queries):  # which would round the similarities
        similarity = F.normalize(in_full(queries), dim=1) @ F.normalize(in_full(keys), dim=1).T / temperature
    return 2 * temperature * F.cross_entropy(similarity, torch.arange(len(queries), device=queries.device))
