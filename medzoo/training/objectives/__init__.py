"""Pre-training objectives: one file per method, and the file name is the method's name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from medzoo.errors import UnknownNameError


def list_methods() -> list[str]:
    """The names of all pre-training methods.

    >>> "simclr" in list_methods()
    True
    """
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def method(name: str) -> ModuleType:
    """The module of a method: Options, Objective, views, SUPERVISED and VIEWS.

    Raises:
        UnknownNameError: with the nearest names.
    """
    if name not in list_methods():
        raise UnknownNameError("method", name, list_methods(), f"Methods are {', '.join(list_methods())}.")
    return import_module(f"{__name__}.{name}")
