"""Pre-training objectives: one file per method, and the file name is the method's name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from medzoo.errors import UnknownNameError

if TYPE_CHECKING:
    from torch import nn

    from medzoo.training.inputs.views import View
    from medzoo.training.trainable import Trainable

_FOLDER = Path(__file__).parent


class Objective(Protocol):
    """What a file in `medzoo/training/objectives` holds; `tests/typed_contracts.py` lets mypy check every one.

    Args:
        SUPERVISED: whether `forward` needs labels; then the backbone has one output for each class, else none.
    """

    SUPERVISED: bool

    @property
    def Options(self) -> type[Any]:  # noqa: N802 - a class of the file
        """A frozen dataclass of `option(...)` fields with usable defaults; they become command-line options."""

    def views(self, options: Any) -> list[View]:  # noqa: ANN401 - the Options of the file
        """How the views of an image are made: with one, a batch has "image", with more, "views" in this order."""

    def check(self, backbone: nn.Module, options: Any, size: int, batch_size: int) -> None:  # noqa: ANN401
        """Refuse a training that this objective cannot do, before images are decoded.

        Args:
            backbone: a timm model.
            options: Options of the file.
            size: side of a view, pixels.
            batch_size: images per step over all processes.

        Raises:
            UsageError: with the reason.
        """

    def Objective(self, backbone: nn.Module, options: Any, kind: str) -> Trainable:  # noqa: N802, ANN401
        """The class of what is trained.

        Args:
            backbone: a timm model.
            options: Options of the file.
            kind: of the task, as in `TaskInfo`.
        """


def list_methods() -> list[str]:
    """The names of all pre-training methods.

    >>> "simclr" in list_methods()
    True
    """
    return sorted(path.stem for path in _FOLDER.glob("[!_]*.py"))


def method(name: str) -> Objective:
    """The module of a method: Options, Objective, views, check and SUPERVISED.

    Raises:
        UnknownNameError: with the nearest names.
    """
    if name not in list_methods():
        raise UnknownNameError("method", name, list_methods(), f"Methods are {', '.join(list_methods())}.")
    return cast(Objective, import_module(f"{__name__}.{name}"))
