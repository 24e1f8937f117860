"""The limits that window rules found in whole volumes, kept while a data set reads them slice by slice."""

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
_known: OrderedDict[Hashable, FittedWindow] = OrderedDict()


class KnownBytes(io.BytesIO):
    """The content of a file in memory, which is still known as that file.

    Args:
        data: its bytes.
        identity: path, size, time of change and inode.
    """

    def __init__(self, data: bytes, identity: Hashable) -> None:
        super().__init__(data)
        self.identity = identity


def cached_window(file: Any, question: Hashable, find: Callable[[], FittedWindow]) -> FittedWindow:  # noqa: ANN401
    """The limits of a volume, found once while its file does not change.

    Args:
        file: what it is read from; bytes of no known file are looked at each time.
        question: the rule, and which volume of the file.
        find: looks at the values.
    """
    identity = _identity(file)
    if identity is None:
        return find()
    key = identity, question
    with _lock:
        if key in _known:
            _known.move_to_end(key)
            return _known[key]
    found = find()
    with _lock:
        _known[key] = found
        while len(_known) > _KEPT:
            _known.popitem(last=False)
    return found


def _identity(file: Any) -> Hashable:  # noqa: ANN401
    file = getattr(file, "file", file)  # of a wrapper
    known = getattr(file, "identity", None)
    if known is not None:
        return known
    try:
        status = os.fstat(file.fileno())
    except (OSError, AttributeError, ValueError):  # in memory
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
