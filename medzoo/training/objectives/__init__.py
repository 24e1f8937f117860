"""Pre-training objectives: one file per method, and the file name is the method's name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from medzoo.errors import UnknownNameError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from medzoo.data.transforms.apply import Augmentation

_FOLDER = Path(__file__).parent


class Objective(Protocol):
    """What a file in `medzoo/training/objectives` holds; `tests/typed_contracts.py` lets mypy check every one.

    Args:
        SUPERVISED: whether `forward` needs labels; then the backbone has one output for each class, else none.
        VIEWS: 1: a batch has "image", a tensor (N,C,H,W); 2 or more: "views", a list of such tensors.
    """

    SUPERVISED: bool
    VIEWS: int

    @property
    def Options(self) -> type[Any]:  # noqa: N802 - a class of the file
        """A frozen dataclass of `option(...)` fields with usable defaults; they become command-line options."""

    def views(self, options: Any) -> Augmentation:  # noqa: ANN401 - the Options of the file
        """The random changes of an image that make a view."""

    def Objective(self, backbone: nn.Module, options: Any, kind: str) -> nn.Module:  # noqa: N802, ANN401
        """The class of what is trained; its instances are Trainable.

        Args:
            backbone: a timm model.
            options: Options of the file.
            kind: of the task, as in `TaskInfo`.
        """


class Trainable(Protocol):
    """What the training loop calls: an `nn.Module` that holds the backbone and computes the loss.

    Args:
        backbone: the network that the checkpoint keeps; all else is dropped after training.
    """

    backbone: nn.Module

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """{"loss": a scalar with a gradient, and further scalars that are logged}.

        Args:
            batch: "image" or "views", and "label" where the objective is SUPERVISED.
            step: of the optimizer, from 0.
        """


def list_methods() -> list[str]:
    """The names of all pre-training methods.

    >>> "simclr" in list_methods()
    True
    """
    return sorted(path.stem for path in _FOLDER.glob("[!_]*.py"))


def method(name: str) -> Objective:
    """The module of a method: Options, Objective, views, SUPERVISED and VIEWS.

    Raises:
        UnknownNameError: with the nearest names.
    """
    if name not in list_methods():
        raise UnknownNameError("method", name, list_methods(), f"Methods are {', '.join(list_methods())}.")
    return cast(Objective, import_module(f"{__name__}.{name}"))
