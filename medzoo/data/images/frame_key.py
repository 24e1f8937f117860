"""Keys of slices: `scan.nii.gz#12` is slice 12 of a file, `scan.nii.gz#3,12` is slice 12 of its volume 3."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

Frame = int | tuple[int, int | Literal["all"]] | Literal["all"]

_CHOICE = re.compile(r"^(.+)#(\d{1,9})(?:,(\d{1,9}))?$", re.DOTALL)


def split_key(key: str) -> tuple[str, int | tuple[int, int] | None]:
    """Split a key into the file's path and the frame.

    Args:
        key: a path, with or without `#frame` or `#volume,slice` after it.

    >>> split_key("p1/ct.nii.gz#12"), split_key("p1/ct.dcm")
    (('p1/ct.nii.gz', 12), ('p1/ct.dcm', None))
    """
    match = _CHOICE.match(key)
    if match is None:
        return key, None
    path, first, second = match.groups()
    return path, int(first) if second is None else (int(first), int(second))


def plain_frame(frame: Any) -> Any:  # noqa: ANN401 - any input of a user
    """A frame with Python integers instead of NumPy integers.

    Args:
        frame: a number, a pair, or "all".

    >>> import numpy as np
    >>> plain_frame(np.int64(3)), plain_frame([np.uint8(1), "all"])
    (3, (1, 'all'))
    """
    if isinstance(frame, tuple | list):
        return tuple(plain_frame(part) for part in frame)
    return int(frame) if hasattr(frame, "__index__") and not isinstance(frame, bool) else frame


def file_and_frame(path: Path) -> tuple[Path, int | tuple[int, int] | None]:
    """As `split_key`, but the path of an existing file is not split.

    Args:
        path: of a file, or of a frame in it.
    """
    name, frame = split_key(str(path))
    return (path, None) if frame is None or path.exists() else (Path(name), frame)


def file_of(root: Path, key: str) -> str:
    """The path, below the root, of the file that a key refers to.

    Args:
        root: the data's folder.
        key: a path below it, with or without `#frame`.
    """
    name, frame = split_key(key)
    return key if frame is None or (root / key).exists() else name
