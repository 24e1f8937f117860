"""What the training loop trains: a module that holds a network and computes its loss."""

from __future__ import annotations

from math import cos, pi
from typing import Any

import torch
from torch import nn

from medzoo.data.rng import uniform


class Trainable(nn.Module):
    """The base of everything that the training loop trains. Subclasses define `forward`; the other methods do nothing by default.

    Args:
        backbone: the network that the checkpoint keeps; all else is dropped after training.

    >>> class Mean(Trainable):
    ...     def forward(self, batch, step):
    ...         return {"loss": self.backbone(batch["image"]).mean()}
    >>> float(Mean(nn.Identity())({"image": torch.ones(2, 3)}, 0)["loss"])
    1.0
    """

    masks_images = False  # whether the network sees masked or corrupted images in `forward`

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.steps, self.epoch_steps, self.seed = 1, 1, 0

    def start(self, *, steps: int, epoch_steps: int, seed: int) -> None:
        """Learn the length of the training, before its first step and before a saved state is restored.

        Args:
            steps: of the whole training; schedules end there.
            epoch_steps: steps of an epoch.
            seed: of the run.
        """
        self.steps, self.epoch_steps, self.seed = steps, epoch_steps, seed

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """{"loss": a scalar with a gradient, and further scalars that are logged}.

        Args:
            batch: "image" (N,C,H,W) or "views", a list of such tensors; "label" (N, ...); "index" (N,), the
                positions of the images.
            step: of the optimizer, from 0.
        """
        raise NotImplementedError

    def before_pieces(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Do what needs a whole batch, before it is computed in pieces; all tensors of the answer are cut by their first axis.

        Args:
            batch: as for `forward`.
        """
        return batch

    def before_update(self, step: int) -> None:
        """Change gradients, between the backward pass and the optimizer.

        Args:
            step: of the optimizer, from 0.
        """

    def after_update(self, step: int) -> None:
        """Follow the weights that the optimizer has just changed, as the average of a teacher does.

        Args:
            step: of the optimizer, from 0.
        """

    @property
    def kept_network(self) -> nn.Module:
        """The network whose weights the checkpoint gets: measurements during the training are of this one."""
        return self.backbone

    def finish(self) -> None:
        """Put the weights that the checkpoint keeps into the backbone, once, after the last step; by default it has them."""

    def compiled_modules(self) -> list[nn.Module]:
        """The modules that a step calls and that do most of its work: --compile compiles them."""
        return [called_part(self.backbone, whole=not self.masks_images)]

    def pictures(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """Images that show what the network is trained on, each (N,C,H,W) and normalised as the input: by default, the views.

        Args:
            batch: of a few images.
            step: of the optimizer, from 0.
        """
        views = [batch["image"]] if "image" in batch else batch["views"]
        return {f"view {number}": images for number, images in enumerate(views)}

    def random_numbers(self, batch: dict[str, Any], step: int, stream: str, count: int) -> torch.Tensor:
        """Random numbers in [0, 1) of every image, which do not depend on the batch, the process or a resumed run.

        Args:
            batch: with "index".
            step: of the optimizer, from 0.
            stream: what the numbers are for.
            count: numbers per image.

        Returns:
            (N, count) float32 on the CPU.
        """
        numbers = uniform(stream, self.seed, step // self.epoch_steps, batch["index"], count)
        return torch.from_numpy(numbers).float()


def called_part(network: nn.Module, *, whole: bool) -> nn.Module:
    """The module that an objective calls when it uses a network.

    Args:
        network: a timm model.
        whole: whether it is called as a whole. Objectives with masks compute tokens, so they call its stack of layers.

    >>> import timm
    >>> type(called_part(timm.create_model("test_vit"), whole=False)).__name__
    'Sequential'
    """
    stacks = [] if whole else [getattr(network, name, None) for name in ("blocks", "layers")]
    return next((stack for stack in stacks if isinstance(stack, nn.Sequential)), network)


def in_full(values: torch.Tensor) -> torch.Tensor:
    """Values of autocast's short types as float32; float32 and float64 stay as they are.

    Losses are computed in this precision.

    Args:
        values: of any floating type.

    >>> in_full(torch.ones(1, dtype=torch.bfloat16)).dtype, in_full(torch.ones(1, dtype=torch.float64)).dtype
    (torch.float32, torch.float64)
    """
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def half_cosine(start: float, end: float, step: int, steps: int) -> float:
    """A value that goes from `start` at step 0 to `end` at the last step along half a cosine.

    Args:
        start: at step 0.
        end: at step `steps` - 1.
        step: from 0.
        steps: of the whole training.

    >>> [round(half_cosine(0.0, 1.0, step, 3), 3) for step in range(3)]
    [0.0, 0.5, 1.0]
    """
    share = min(1.0, step / max(1, steps - 1))
    return end - (end - start) * (cos(pi * share) + 1) / 2
