"""Rows of arrays in HDF5 files, read one by one, so that large files do not fill the memory."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.data.images.read import Pixels, from_array
from medzoo.errors import DataContractError, ImageError, MissingExtraError

if TYPE_CHECKING:
    import h5py


def open_hdf5(path: Path) -> h5py.File:
    """Open a file for reading.

    Raises:
        MissingExtraError: if h5py is not installed.
        DataContractError: if it cannot be opened.
    """
    try:
        import h5py
    except ImportError:
        raise MissingExtraError("h5py", "convert", f"Reading {path.name}") from None
    try:
        return h5py.File(path, "r")
    except OSError as error:
        hint = " Unpack it first (gzip -d)." if path.name.endswith(".gz") else " Download it again."
        raise DataContractError(
            f"{path} is not a readable HDF5 file ({error}).{hint}", code="hdf5-unreadable"
        ) from error


def shape_in(file: h5py.File, member: str) -> tuple[int, ...]:
    """The shape of an array in an open file.

    Raises:
        DataContractError: if there is no array of that name.
    """
    import h5py

    array = file.get(member)
    if not isinstance(array, h5py.Dataset):
        raise DataContractError(
            f"{file.filename} has no array {member!r}; it has {', '.join(file) or 'nothing'}.", code="array-missing"
        )
    return tuple(array.shape)


class Hdf5Reader:
    """Images with keys `<file>#<array>/<row>`; each process opens a file when it first reads it.

    Args:
        root: folder that the paths of the files are relative to.
    """

    ID = "medzoo.data.hdf5.Hdf5Reader"  # in the keys of decoded images; never change it

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._open: dict[tuple[int, str], Any] = {}

    def read(self, key: str) -> Pixels:
        """The image of a key.

        Raises:
            ImageError: if there is no such row, or it cannot be read.
        """
        name, _, position = key.partition("#")
        member, _, number = position.partition("/")
        with self._lock:
            file = self._open.get((os.getpid(), name))
            if file is None:
                file = self._open[os.getpid(), name] = open_hdf5(self.root / name)
            try:
                row = np.asarray(file[member][int(number)])
            except (KeyError, IndexError, ValueError, OSError) as error:
                raise ImageError(f"{self.root / key}: cannot be read ({error}).", code="row-unreadable") from error
        return from_array(row, str(self.root / key))

    def read_mask(self, key: str) -> np.ndarray:
        """Not supported: these files have no masks."""
        raise DataContractError(f"{self.root / key.partition('#')[0]} has no masks.", code="masks-unsupported")

    def __getstate__(self) -> dict[str, object]:
        return {"root": self.root}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__init__(Path(str(state["root"])))  # type: ignore[misc]
