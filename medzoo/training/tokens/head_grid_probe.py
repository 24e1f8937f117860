"""DINOv2's linear evaluation of a task: heads for every learning rate and input at once; the best one is selected on validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medzoo.training.probe import Probe, Score, Split
from medzoo.training.probes.head_grid import fit_head_grid

LR_BATCH = 256  # the batch size to which DINOv2's learning rates belong; they are scaled in proportion


def fit_head_grid_probe(
    train: Split,
    validation: Split,
    *,
    inputs: Sequence[tuple[str, slice]],
    kind: str,
    classes: int,
    learning_rates: Sequence[float],
    steps: int,
    batch_size: int,
    seed: int,
    score: Score,
) -> Probe[np.ndarray]:
    """Train a head for every learning rate and input together; keep the best on validation.

    Args:
        train: readouts of the last layers (N, W) and labels.
        validation: readouts and labels that select the head.
        inputs: names and columns of the inputs, from `layer_inputs`.
        kind: "binary", "multiclass" or "multilabel".
        classes: number of classes or labels.
        learning_rates: of the first step, for a batch of 256.
        steps: of the optimizer.
        batch_size: images per step; all, if there are fewer.
        seed: of the first weights and of the order; the same for all checkpoints.
        score: (labels, probabilities) → the higher, the better.

    Raises:
        DivergedError: if the weights of all heads became infinite.
    """
    rates = [rate * min(batch_size, len(train[0])) / LR_BATCH for rate in learning_rates]
    heads = fit_head_grid(
        [train[0][:, columns] for _, columns in inputs], train[1], kind=kind, classes=classes, steps=steps, seed=seed,
        learning_rates=rates, batch_size=batch_size,
    )  # fmt: skip
    scores: dict[int, float] = {}
    for number, head in enumerate(heads):
        chances = head.probabilities(validation[0][:, inputs[head.variant][1]]).numpy()
        if np.isfinite(chances).all():
            scores[number] = score(validation[1], chances)
    best = max(scores, key=scores.__getitem__)  # of equals, the first
    name, columns = inputs[heads[best].variant]
    rate = learning_rates[best % len(rates)]
    return Probe(
        {"learning_rate": rate, "input": name},
        f"learning rate {rate:g}, {name}",
        scores[best],
        len(heads),
        True,
        lambda rows: heads[best].probabilities(rows[:, columns]).numpy(),
    )
