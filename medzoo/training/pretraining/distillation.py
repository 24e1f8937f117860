"""Self-distillation: schedules of the teacher, the entropies that show a collapse, and the centre of patch tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import distributed, nn

from medzoo.training.distributed import mean_over_processes, processes


def linear_warmup(start: float, end: float, step: int, steps: int) -> float:
    """A value that goes from `start` at step 0 to `end` at step `steps` on a line, and stays there.

    Args:
        start: at step 0.
        end: from step `steps` on.
        step: from 0.
        steps: of the warm-up; 0 has none.

    >>> [round(linear_warmup(0.04, 0.07, step, 3), 2) for step in range(5)]
    [0.04, 0.05, 0.06, 0.07, 0.07]
    """
    return end if step >= steps else start + (end - start) * step / steps


@torch.no_grad()
def entropies(logits: torch.Tensor) -> dict[str, torch.Tensor]:
    """The mean entropy of the teacher's probabilities, and the entropy of their mean over the batch of all processes.

    If the second falls to 0, all images get one prototype; if the first rises to the logarithm of the number of prototypes,
    the teacher says nothing.

    Args:
        logits: (N, K), centred and divided by the temperature.

    >>> {key: round(float(value), 3) for key, value in entropies(100 * torch.eye(4)).items()}
    {'teacher_entropy': 0.0, 'prototype_entropy': 1.386}
    """
    log = F.log_softmax(logits.float(), dim=-1)
    chances = log.exp()
    mean = mean_over_processes(chances.mean(0))
    return {"teacher_entropy": -(chances * log).sum(-1).mean(), "prototype_entropy": -torch.xlogy(mean, mean).sum()}


def scalars(like: torch.Tensor, **values: float) -> dict[str, torch.Tensor]:
    """Numbers as tensors on the device of another tensor; the device does not wait.

    Args:
        like: on the device.
        values: by name.
    """
    return {name: torch.full((), value, device=like.device) for name, value in values.items()}


class TokenCentre(nn.Module):
    """A moving average of the teacher's outputs of tokens, of which each process may have a different number, or none.

    Args:
        width: of an output.
        momentum: share of the old average.

    >>> centre = TokenCentre(2, momentum=0.5)
    >>> centre.update(torch.tensor([[1.0, 2.0], [3.0, 2.0]]))
    >>> centre.update(torch.zeros(0, 2))
    >>> centre.value
    tensor([[1., 1.]])
    """

    value: torch.Tensor

    def __init__(self, width: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("value", torch.zeros(1, width))

    @torch.no_grad()
    def update(self, rows: torch.Tensor) -> None:
        """Move towards the mean of the rows of all processes; without any row, nothing changes.

        Args:
            rows: (N, width), N >= 0.
        """
        # the sum and the number of rows in one tensor, so that one message carries both
        total = torch.cat([rows.sum(0), rows.new_full((1,), len(rows))])
        if processes() > 1:
            distributed.all_reduce(total)
        count = total[-1:]
        moved = self.momentum * self.value + (1 - self.momentum) * total[None, :-1] / count.clamp(min=1)
        self.value.copy_(torch.where(count > 0, moved, self.value))
