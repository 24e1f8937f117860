"""The classifier of a network: its initial weights, and dropout before it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.hooks import RemovableHandle


def classifier_of(model: nn.Module) -> nn.Linear:
    """The last linear layer of a timm network.

    Args:
        model: with a head (`num_classes` above 0).
    """
    found: Any = model.get_classifier()  # type: ignore[operator]
    assert isinstance(found, nn.Linear), type(found)
    return found


@torch.no_grad()
def start_head(model: nn.Module, std: float) -> None:
    """Draw the weights of the classifier from a normal distribution and set its bias to zero.

    Args:
        model: with a fresh head; torch's generator is seeded.
        std: of the distribution; 0 keeps the weights of the architecture's own initialisation.
    """
    if std:
        head = classifier_of(model)
        head.weight.normal_(0.0, std)
        if head.bias is not None:
            head.bias.zero_()


def add_dropout(model: nn.Module, rate: float) -> RemovableHandle | None:
    """Dropout on the pooled features in training mode; it adds no parameter and no module.

    Args:
        model: with a head.
        rate: share of the features that is set to zero; 0 adds nothing.

    Returns:
        Its handle, to remove it after training.
    """
    if not rate:
        return None

    def drop(head: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (F.dropout(inputs[0], rate, training=model.training), *inputs[1:])

    return classifier_of(model).register_forward_pre_hook(drop)


@torch.no_grad()
def rescale_output(model: nn.Module, mean: float, std: float) -> None:
    """Change the classifier so that its output is multiplied by `std` and shifted by `mean`.

    Regression is trained on standardised targets; afterwards the network gives the original unit.

    Args:
        model: with a head of one output and a bias.
        mean: of the training targets.
        std: of the training targets.
    """
    head = classifier_of(model)
    head.weight.mul_(std)
    head.bias.mul_(std).add_(mean)
