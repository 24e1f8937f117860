"""Options of how a training is carried out and watched; a probe has none of these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from medzoo.training.options.fields import option
from medzoo.training.options.shared import DEVICE, OUTPUT


@dataclass(kw_only=True)
class TrainerOptions:
    """How a training is carried out and watched."""

    compile: bool = option(
        "torch.compile: about a minute of compilation, then faster steps; for long trainings on a GPU",
        False,
        section=DEVICE,
    )
    tracker: Literal["none", "tensorboard", "trackio", "wandb"] = option(
        "also send the run's log to a tracker (offline): tensorboard, trackio or wandb", "none", section=OUTPUT
    )

    def compiled(self) -> dict[str, bool]:
        """The part of a run folder's identity: a compiled network differs in the last bits, so a run stays with its choice.

        >>> TrainerOptions().compiled(), TrainerOptions(compile=True).compiled()
        ({}, {'compiled': True})
        """
        return {"compiled": True} if self.compile else {}
