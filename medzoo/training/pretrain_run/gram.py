"""Gram anchoring: continued pre-training that keeps the relations between the patches of an image.

Long self-supervised training improves what a network knows about images, and loses what it knows about their parts. The anchor is
the checkpoint that the training continues from.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from medzoo.errors import UsageError
from medzoo.training.tokens.network_tokens import patch_tokens
from medzoo.training.trainable import Trainable, in_full


def gram_loss(tokens: torch.Tensor, anchor: torch.Tensor) -> torch.Tensor:
    """The mean squared difference of the cosine similarities between the patches of each image.

    Args:
        tokens: (N, T, D) patch tokens of the trained network.
        anchor: (N, T, E) patch tokens of the anchor; D and E may differ.

    Source: Siméoni et al. 2025, DINOv3, https://arxiv.org/abs/2508.10104, section 4.2; there the sum of squares.

    >>> rows = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> float(gram_loss(rows, 3 * rows)), float(gram_loss(rows, rows[:, [0, 0]]))
    (0.0, 0.5)
    """
    ours, theirs = (F.normalize(in_full(part), dim=-1) for part in (tokens, anchor))
    difference: torch.Tensor = ours @ ours.mT - theirs @ theirs.mT
    return difference.square().mean()


class GramAnchored(Trainable):
    """An objective with a term that keeps the patch similarities of the first view near those of a frozen network.

    From its start on, a step costs one more forward and backward pass of one view, and a forward pass of the anchor.

    Args:
        objective: of the method.
        weight: of the term.
        start: share of the training after which the term begins.

    Raises:
        UsageError: if the network has no patch tokens and no feature map.
    """

    def __init__(self, objective: Trainable, weight: float, start: float = 0.0) -> None:
        nn.Module.__init__(self)  # `backbone` is a property here, so that saved states hold it once
        self.objective, self.weight, self.first_share = objective, weight, start
        self.first_step = 0
        anchor = copy.deepcopy(objective.backbone).eval().requires_grad_(False)
        self._anchor = (anchor,)  # in a tuple, since the anchor is never trained and no part of a saved state
        if not callable(getattr(anchor, "forward_features", None)):
            raise UsageError(
                f"--gram-weight needs patch tokens or a feature map, and a {type(anchor).__name__} gives neither.",
                code="network-without-tokens",
            )

    @property
    def backbone(self) -> nn.Module:  # type: ignore[override]
        """The network of the objective."""
        return self.objective.backbone

    def start(self, *, steps: int, epoch_steps: int, seed: int) -> None:
        """See Trainable."""
        self.objective.start(steps=steps, epoch_steps=epoch_steps, seed=seed)
        self.first_step = round(self.first_share * steps)

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The values of the objective, with "gram" added to the loss."""
        values: dict[str, torch.Tensor] = self.objective(batch, step)
        if step < self.first_step:
            return values
        images = batch["image"] if "image" in batch else batch["views"][0]
        backbone: Any = self.backbone
        with torch.no_grad():
            anchor: Any = self._anchor[0].to(images.device)
            fixed = patch_tokens(anchor, anchor.forward_features(images))
        if fixed.shape[1] < 2:
            raise UsageError(
                f"--gram-weight compares the patches of an image, and at {images.shape[-1]} px the last map of this "
                f"{type(anchor).__name__} has one position. Choose a larger --size, or a transformer.",
                code="gram-one-position",
            )
        gram = gram_loss(patch_tokens(backbone, backbone.forward_features(images)), fixed)
        return {**values, "loss": values["loss"] + self.weight * gram, "gram": gram.detach()}

    def before_update(self, step: int) -> None:
        """See Trainable."""
        self.objective.before_update(step)

    def after_update(self, step: int) -> None:
        """See Trainable."""
        self.objective.after_update(step)

    def finish(self) -> None:
        """See Trainable."""
        self.objective.finish()

    def pictures(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """See Trainable."""
        return self.objective.pictures(batch, step)
