"""Small views: not every network takes images of several sizes."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from medzoo.errors import UsageError


def needs_size(method: str, backbone: nn.Module, side: int) -> None:
    """Refuse a network that cannot compute the features of a small view. One image is tried.

    Args:
        method: name of the objective.
        backbone: a timm model.
        side: of the view, pixels.

    Raises:
        UsageError: with the advice to have no small views.

    >>> needs_size("swav", nn.Sequential(nn.Conv2d(3, 1, 2), nn.AdaptiveAvgPool2d(1)), 8)
    """
    config: Any = getattr(backbone, "pretrained_cfg", {})
    image = torch.zeros(1, config.get("input_size", (3,))[0], side, side)
    was_training = backbone.training
    try:
        with torch.no_grad():
            backbone.eval()(image)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"Method {method} makes small views of {side} pixels, which {type(backbone).__name__} cannot process. Choose "
            "--small-views 0, a larger --small-share, or a convolutional network.",
            code="architecture-not-for-method",
        ) from error
    finally:
        backbone.train(was_training)
