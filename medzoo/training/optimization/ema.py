"""An exponential moving average of a network's weights, which is evaluated and saved instead of the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Ema:
    """The moving average of all parameters and buffers of a network, in float32: a = decay * a + (1 - decay) * w.

    Counters (integer buffers) are copied. The average starts as a copy of the weights.

    Args:
        model: the network.
        decay: close to 1; a larger value averages over more steps.

    >>> layer = torch.nn.Linear(1, 1, bias=False)
    >>> ema = Ema(layer.requires_grad_(False), decay=0.5)
    >>> _ = layer.weight.add_(1.0)
    >>> ema.update()
    >>> bool(ema.tensors["weight"] == layer.weight - 0.5)
    True
    """

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.model, self.decay = model, decay
        self.tensors = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take one step towards the current weights; call it after every step of the optimizer."""
        averages, values = [], []
        for name, value in self.model.state_dict().items():
            average = self.tensors[name]
            if average.is_floating_point():
                averages.append(average)
                values.append(value)
            else:
                average.copy_(value)
        if averages:  # all in a few kernels; a kernel for each weight takes longer to start than to run
            torch._foreach_mul_(averages, self.decay)
            torch._foreach_add_(averages, values, alpha=1 - self.decay)

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Continue from saved averages.

        Args:
            tensors: from `tensors` of the run that continues.
        """
        for name, average in self.tensors.items():
            average.copy_(tensors[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network with the averages as its weights, inside a block."""
        weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.tensors)
        try:
            yield
        finally:
            self.model.load_state_dict(weights)
