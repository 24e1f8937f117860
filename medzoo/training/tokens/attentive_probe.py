"""The attentive probe of a task: a grid of heads on stored tokens in one pass; the best one is selected on validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from medzoo.errors import DivergedError
from medzoo.progress import Steps
from medzoo.training.probe import Probe, Score
from medzoo.training.probes.attentive import AttentiveHeads, AttentiveWeights, fit_attentive
from medzoo.training.probes.head_grid import batch_rows
from medzoo.training.tokens.token_file import TokenRows

Split = tuple[TokenRows, np.ndarray]
_AT_ONCE = 64  # images whose tokens are in memory together in an evaluation


def fit_attentive_probe(
    train: Split,
    validation: Split,
    *,
    kind: str,
    classes: int,
    learning_rates: Sequence[float],
    weight_decays: Sequence[float],
    steps: int,
    batch_size: int,
    queries: int,
    seed: int,
    score: Score,
    device: torch.device | str = "cpu",
) -> Probe[TokenRows]:
    """Train one head for every pair of learning rate and weight decay together; keep the best on validation.

    Args:
        train: tokens and labels.
        validation: tokens and labels that select the head.
        kind: "binary", "multiclass" or "multilabel".
        classes: number of classes or labels.
        learning_rates: of the first step.
        weight_decays: of AdamW.
        steps: of the optimizer.
        batch_size: images per step; all, if there are fewer.
        queries: learned queries.
        seed: of the first weights and of the order; the same for all checkpoints.
        score: (labels, probabilities) → the higher, the better.
        device: where to compute.

    Raises:
        DivergedError: if the numbers of all heads became NaN or infinite.
    """
    rows, labels = train
    with Steps("attentive probe", steps, "step") as bar:

        def batches() -> Iterator[tuple[torch.Tensor, np.ndarray]]:
            for step in range(steps):
                chosen = np.sort(batch_rows(seed, step, batch_size, len(rows)))  # read in the order of the disk
                yield rows[chosen].to(device), labels[chosen]
                bar.update()

        heads = fit_attentive(
            batches(), kind=kind, classes=classes, steps=steps, learning_rates=learning_rates,
            weight_decays=weight_decays, seed=seed, queries=queries,
        )  # fmt: skip
    chances = _probabilities(heads, validation[0], device)
    usable = [head for head, values in enumerate(chances) if np.isfinite(values).all()]
    if not usable:
        raise DivergedError(
            "The numbers of all heads of the attentive probe became NaN or infinite: choose smaller learning_rates.",
            code="attentive-probe-diverged",
        )
    scores = {head: score(validation[1], chances[head]) for head in usable}
    best = max(usable, key=scores.__getitem__)  # of equals, the first
    one = slice(best, best + 1)
    chosen = AttentiveHeads(
        AttentiveWeights(*(part[one].clone() for part in heads.weights.parts())),
        heads.learning_rates[one], heads.weight_decays[one], heads.multilabel, heads.losses[:, one],
    )  # fmt: skip
    rate, decay = heads.learning_rates[best], heads.weight_decays[best]
    return Probe(
        {"learning_rate": rate, "weight_decay": decay},
        f"learning rate {rate:g}, weight decay {decay:g}",
        scores[best],
        len(heads.learning_rates),
        True,
        _predictor(chosen, device),
    )


def _predictor(heads: AttentiveHeads, device: torch.device | str) -> Callable[[TokenRows], np.ndarray]:
    return lambda rows: _probabilities(heads, rows, device)[0]


def _probabilities(heads: AttentiveHeads, rows: TokenRows, device: torch.device | str) -> np.ndarray:
    """(heads, N, classes)."""
    parts = [
        heads.probabilities(rows[slice(first, first + _AT_ONCE)].to(device)).cpu()
        for first in range(0, len(rows), _AT_ONCE)
    ]
    return torch.cat(parts, 1).numpy()
