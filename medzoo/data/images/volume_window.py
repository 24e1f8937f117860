"""A cache of window limits of whole volumes, used while a data set reads volumes slice by slice."""

from __future__ import annotations

import io
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from medzoo.data.images.window_rules import FittedWindow

_KEPT = 4096  # volumes

_lock = threading.Lock()
_windows: OrderedDict[Hashable, FittedWindow] = OrderedDict()


class KnownBytes(io.BytesIO):
    """The content of a file in memory, with the identity of the file.

    Args:
        data: its bytes.
        identity: path, size, modification time and inode.
    """

    def __init__(self, data: bytes, identity: Hashable) -> None:
        super().__init__(data)
        self.identity = identity


def cached_window(file: Any, request: Hashable, fit: Callable[[], FittedWindow]) -> FittedWindow:  # noqa: ANN401
    """The limits of a volume, computed once while its file does not change.

    Args:
        file: the file of the volume; for bytes without a file, the limits are computed each time.
        request: the rule, and which volume of the file.
        fit: computes the limits.
    """
    identity = _identity(file)
    if identity is None:
        return fit()
    key = identity, request
    with _lock:
        if key in _windows:
            _windows.move_to_end(key)
            return _windows[key]
    window = fit()
    with _lock:
        _windows[key] = window
        while len(_windows) > _KEPT:
            _windows.popitem(last=False)
    return window


def _identity(file: Any) -> Hashable:  # noqa: ANN401
    file = getattr(file, "file", file)  # inside a wrapper
    identity = getattr(file, "identity", None)
    if identity is not None:
        return identity
    try:
        status = os.fstat(file.fileno())
    except (OSError, AttributeError, ValueError):  # in memory
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
