"""Images whose keys are paths below a folder."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Self

import numpy as np

from medzoo.data.images.ct_windows import ANY
from medzoo.data.images.read import Pixels, WindowChoice
from medzoo.data.images.volume_cache import read_cached


class FileReader:
    """Images whose keys are paths below a folder.

    Args:
        root: the folder.
        window: (low, high) or the name of a CT window; images are clipped to it, masks are not.
    """

    ID = "medzoo.data.disk.FileReader"  # in the keys of decoded images; never change it

    apart = True  # keys are separate files, so several processes can read at the same time

    def __init__(self, root: Path, window: WindowChoice | None = None) -> None:
        self.root, self.window = root, window

    def with_window(self, window: WindowChoice) -> Self:
        """The same images in another window."""
        other = copy.copy(self)
        other.window = window
        return other

    def read(self, key: str) -> Pixels:
        """The image of a key."""
        return read_cached(self.root / key, window=self.window)

    def raw(self, key: str) -> bytes | None:
        """The encoded bytes of the file; None if the key is not a separate file."""
        try:
            return (self.root / key).read_bytes()
        except OSError:
            return None

    def read_mask(self, key: str) -> np.ndarray:
        """(H, W) uint8: 1 where the mask image is not black."""
        array = read_cached(self.root / key, window=ANY).array
        return (array.max(axis=2) if array.ndim == 3 else array).astype(bool).astype(np.uint8)
