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
    deterministic: bool = option(
        "deterministic algorithms on a GPU: a resumed run has the same bits as one without a stop; off is faster",
        True,
        section=DEVICE,
    )
    tracker: Literal["none", "tensorboard", "trackio", "wandb"] = option(
        "also send the run's log to a tracker (offline): tensorboard, trackio or wandb", "none", section=OUTPUT
    )

    def compiled(self) -> dict[str, bool]:
        """The part of a result that says that the network was compiled.

        >>> TrainerOptions().compiled(), TrainerOptions(compile=True).compiled()
        ({}, {'compiled': True})
        """
        return {"compiled": True} if self.compile else {}

    def last_bits(self) -> dict[str, bool]:
        """The part of a run folder's identity that changes the last bits only: a run stays with these choices.

        >>> TrainerOptions().last_bits(), TrainerOptions(compile=True, deterministic=False).last_bits()
        ({}, {'compiled': True, 'deterministic': False})
        """
        return self.compiled() | ({} if self.deterministic else {"deterministic": False})
