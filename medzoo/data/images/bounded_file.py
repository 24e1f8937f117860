"""A file wrapper that limits reads to the size of the file."""

from __future__ import annotations

import io
from typing import BinaryIO


class Bounded(io.RawIOBase):
    """A file that never allocates memory for more bytes than it has, even if a damaged header gives a larger length.

    Args:
        file: seekable.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, io.SEEK_END)
        file.seek(0)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to that many bytes."""
        rest = max(self.size - self.file.tell(), 0)
        return self.file.read(rest if size is None or size < 0 else min(size, rest))

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the position."""
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        """The position."""
        return self.file.tell()

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True
