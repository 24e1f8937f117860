"""Rows of arrays in an .npz file, read in blocks and without pickle, so that large files do not fill the memory."""

from __future__ import annotations

import math
import threading
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import IO

import numpy as np

from medzoo.data.images.read import Pixels, from_array
from medzoo.errors import DataContractError, ImageError

BLOCK_BYTES = 128 * 2**20  # per block; the usual data sets fit into one
_BLOCKS = 3  # in memory: threads read rows on both sides of a block border


class NpzReader:
    """Images with keys `<file>#<member>/<row>`; reading in order is fast, going back in a large member is slow.

    Args:
        folder: folder of the file.
        name: the file's name.
    """

    ID = "medzoo.data.npz.NpzReader"  # in the keys of decoded images; never change it

    def __init__(self, folder: Path, name: str) -> None:
        self.path, self.name = folder / name, name
        self._lock = threading.Lock()
        self._blocks: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()
        self._streams: dict[str, IO[bytes]] = {}
        try:
            self._archive = zipfile.ZipFile(self.path)
            self._headers = {
                item.filename[:-4]: self._header(item)
                for item in self._archive.infolist()
                if item.filename.endswith(".npy")
            }
        except (OSError, zipfile.BadZipFile, ValueError, EOFError, zlib.error, NotImplementedError) as error:
            raise DataContractError(
                f"{self.path} is not a readable .npz file ({error}). Download it again.", code="npz-unreadable"
            ) from error

    def _header(self, item: zipfile.ZipInfo) -> tuple[tuple[int, ...], np.dtype, int]:
        with self._archive.open(item) as stream:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(stream)
            start = stream.tell()
        if dtype.hasobject or fortran:
            raise DataContractError(
                f"{self.path}: {item.filename} contains Python objects or is in Fortran order. medzoo does not read it.",
                code="npz-array-unsupported",
            )
        if start + math.prod(shape) * dtype.itemsize != item.file_size:
            raise DataContractError(
                f"{self.path}: {item.filename} does not have the size that its header gives.", code="npz-size-mismatch"
            )
        return shape, dtype, start

    def shape(self, member: str) -> tuple[int, ...]:
        """The shape of an array, from its header.

        Raises:
            DataContractError: if there is no array of that name.
        """
        if member not in self._headers:
            known = ", ".join(self._headers) or "nothing"
            raise DataContractError(f"{self.path} has no array {member!r}; it has {known}.", code="array-missing")
        return self._headers[member][0]

    def array(self, member: str) -> np.ndarray:
        """A whole small array, for example labels."""
        shape = self.shape(member)
        with self._lock:
            return self._rows(member, 0, shape[0]) if shape else np.zeros(())

    def read(self, key: str) -> Pixels:
        """The image of a key."""
        member, _, number = key.partition("#")[2].partition("/")
        shape, dtype, _ = self._headers[member]
        row = int(number)
        rows = max(1, BLOCK_BYTES // max(1, math.prod(shape[1:]) * dtype.itemsize))
        with self._lock:
            block = self._blocks.get((member, row // rows))
            if block is None:
                first = row // rows * rows
                block = self._rows(member, first, min(first + rows, shape[0]))
                self._blocks[member, row // rows] = block
                while len(self._blocks) > _BLOCKS:
                    self._blocks.popitem(last=False)
        return from_array(block[row % rows], f"{self.path}#{member}/{row}")

    def read_mask(self, key: str) -> np.ndarray:
        """Not supported: the 2D sets of MedMNIST have no masks."""
        raise DataContractError(f"{self.path} has no masks.", code="masks-unsupported")

    def _rows(self, member: str, first: int, last: int) -> np.ndarray:
        shape, dtype, start = self._headers[member]
        width = math.prod(shape[1:]) * dtype.itemsize
        try:
            stream = self._streams.get(member)
            if stream is None:
                stream = self._streams[member] = self._archive.open(f"{member}.npy")
            stream.seek(start + first * width)
            data = stream.read((last - first) * width)
        except (OSError, zipfile.BadZipFile, EOFError, zlib.error, ValueError) as error:
            raise ImageError(
                f"{self.path}#{member}: rows {first} to {last - 1} cannot be read ({error}).", code="row-unreadable"
            ) from error
        if len(data) != (last - first) * width:
            raise ImageError(
                f"{self.path}#{member}: ends before row {last - 1}. Download the file again.", code="npz-cut-off"
            )
        return np.frombuffer(data, dtype).reshape(last - first, *shape[1:])

    def __getstate__(self) -> dict[str, object]:
        return {"folder": self.path.parent, "name": self.name}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__init__(Path(str(state["folder"])), str(state["name"]))  # type: ignore[misc]
