"""The parts of a training that torch.compile compiles."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


def compile_modules(modules: Iterable[nn.Module]) -> None:
    """Compile modules in place, at their first call; names and values of their weights stay.

    Each size of a batch is compiled by itself: code for any size is slower, and a training has few of them.

    Args:
        modules: of a training.
    """
    # the compiler would draw the noise of dropout in its own way, and so train another network
    given: dict[str, Any] = {"options": {"fallback_random": True}, "dynamic": False}
    # torch keeps at most eight compiled forms of a function; without this, all modules would share them (older versions lack it)
    if "isolate_recompiles" in inspect.signature(torch.compile).parameters:
        given["isolate_recompiles"] = True
    for module in modules:
        module.compile(**given)


def undo_compilation(modules: Iterable[nn.Module]) -> None:
    """Let compiled modules compute as they are again: what follows a training may be on another device, or of another size.

    Args:
        modules: of a training; those that were not compiled stay as they are.
    """
    for module in modules:
        module._compiled_call_impl = None
