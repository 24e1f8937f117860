"""The decoded rows of a data set at one size, as a folder of parts that grows: what is there is found, what comes is kept.

Nothing in it is ever changed. A row counts from the moment its part has its name, which is after all of it is on the disk: a
kill or a full disk loses what was not yet a part, and never leaves half a row. Several writers do not harm each other, for each
writes parts of its own.
"""

from __future__ import annotations

import re
import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from medzoo.data.decode_cache.part_file import PREFIX, SUFFIX, Part, PartWriter, open_part
from medzoo.data.decode_cache.rows import DecodedRow, Rows
from medzoo.errors import DataContractError, DiskFullError, IntegrityError, is_disk_full
from medzoo.store import fingerprint

PART_BYTES = 4 << 30  # a process keeps each part that it reads open, and may often open 1,024 files
PART_SECONDS, PART_SHARE = 60.0, 0.02  # a kill loses this much of the work, or this share of it


@dataclass(frozen=True)
class FoundRows:
    """Where the rows of some keys lie.

    Args:
        parts: that hold at least one of them.
        part: (N,) which of them, -1 where a row is missing.
        row: (N,) where in it.
    """

    parts: list[Part]
    part: np.ndarray
    row: np.ndarray

    @property
    def missing(self) -> np.ndarray:
        """Positions of the keys without a row."""
        return np.flatnonzero(self.part < 0)

    def images(self) -> Rows:
        """(N, H, W) or (N, H, W, 3)."""
        return Rows([part.images() for part in self.parts], self.part, self.row)

    def masks(self) -> Rows:
        """(N, H, W) uint8."""
        return Rows([part.masks() for part in self.parts], self.part, self.row)


class RowStore:
    """A store of decoded rows.

    Args:
        root: folder of all stores.
        name: of the data, for people; stores of one key are one store whatever their names.
        key: sha256 of all that decides the rows.
        size: side of the rows, pixels.
        masks: whether each row has a mask.
        facts: how the rows were made, for the headers.
    """

    def __init__(self, root: Path, name: str, key: str, size: int, masks: bool, facts: dict[str, str]) -> None:
        self.root, self.key, self.size, self.masks = root, key, size, masks
        self.facts = {**facts, "key": key}
        ending = f"{size}px-{key[:16]}"
        self.folders = sorted(root.glob(f"*-{ending}"))
        if not self.folders:
            stem = re.sub(r"[^A-Za-z0-9_.=-]+", "_", name).strip("_.-")[-60:] or "data"
            self.folders = [root / f"{stem}-{ending}"]
        self.folder = self.folders[0]
        self._known: dict[Path, tuple[dict[str, int], Part | None]] = {}

    def find(self, keys: Sequence[str]) -> FoundRows:
        """Where the rows of keys lie; damaged parts are put aside, so that their rows are missing.

        Args:
            keys: may name a row more than once.
        """
        while True:
            found = self._look(keys)
            damaged = [part for part in found.parts if not self._is_whole(part)]
            if not damaged:
                return found

    def _look(self, keys: Sequence[str]) -> FoundRows:
        places: dict[str, int] = {}
        which = np.array([places.setdefault(key, len(places)) for key in keys], np.int64)
        part, row = np.full(len(places), -1, np.int32), np.zeros(len(places), np.int64)
        left = len(places)
        used: list[Part] = []
        for candidate in self._parts():
            if not left:
                break
            new = []
            for number, key in enumerate(candidate.row_keys()):
                place = places.get(key)
                if place is not None and part[place] < 0:
                    part[place], row[place] = len(used), number
                    new.append(place)
            if new:
                used.append(candidate)
                left -= len(new)
        return FoundRows(used, part[which], row[which])

    def _parts(self) -> list[Part]:
        """The parts that are there now; each file is opened once."""
        found = []
        for path in (path for folder in self.folders for path in sorted(folder.glob(f"{PREFIX}*{SUFFIX}"))):
            with suppress(FileNotFoundError):
                state = fingerprint(path)
                if self._known.get(path, ({}, None))[0] != state:
                    self._known[path] = state, open_part(path, self.key, self.size, self.masks)
                part = self._known[path][1]
                if part is not None:
                    found.append(part)
        return found

    def _is_whole(self, part: Part) -> bool:
        with suppress(OSError, IntegrityError):
            if part.is_whole():
                return True
        warnings.warn(f"{part.path} is damaged: its {part.shape[0]} images are decoded again.", stacklevel=2)
        self._known[part.path] = self._known[part.path][0], None
        with suppress(OSError):  # a store that is only read stays as it is
            part.path.unlink()
        return False


class Writer:
    """Adds rows to a store; as a context, it makes parts of what was added also if the block ends by an error.

    Args:
        store: where to.
    """

    def __init__(self, store: RowStore) -> None:
        self.store = store
        self._open: dict[tuple[int, str], PartWriter] = {}
        self._began = self._cut = time.monotonic()

    def add(self, key: str, row: DecodedRow) -> None:
        """Append a row; every minute, or when two parts in a hundred of the work would be lost, a part is closed.

        Args:
            key: of the image.
            row: decoded.

        Raises:
            DiskFullError: if there is no room; rows that are not yet a part are lost.
        """
        kind = row.image.ndim, row.image.dtype.str
        try:  # not `writing`: a context costs as much as the rest of this
            part = self._open.get(kind)
            if part is None:
                part = self._open[kind] = PartWriter(self.store.folder, self.store.facts, row)
            part.add(key, row)
        except DiskFullError:
            raise
        except OSError as error:
            raise _told(self.store.folder, error) from error
        now = time.monotonic()
        due = now - self._cut > max(PART_SECONDS, PART_SHARE * (now - self._began))
        if due or part.size > PART_BYTES:
            self._cut = now
            self.close()

    def close(self) -> None:
        """Make parts of what was added."""
        with writing(self.store.folder):
            for kind in list(self._open):
                self._open[kind].close()
                del self._open[kind]

    def __enter__(self) -> Writer:
        with writing(self.store.folder):
            self.store.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not isinstance(error, StoreError | DiskFullError):  # after which nothing more can be written
                self.close()
        finally:
            while self._open:
                self._open.popitem()[1].abandon()
            with suppress(OSError):  # nothing was kept, so that nothing is left
                self.store.folder.rmdir()


class StoreError(DataContractError):
    """The store of decoded images cannot be written."""


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Say what cannot be written, and how to go on.

    Args:
        folder: of the store.

    Raises:
        DiskFullError: if there is no room.
        StoreError: for other reasons.
    """
    try:
        yield
    except DiskFullError:
        raise
    except OSError as error:
        raise _told(folder, error) from error


def _told(folder: Path, error: OSError) -> StoreError | DiskFullError:
    """What an error of the system means for the store."""
    if not is_disk_full(error):
        return StoreError(
            f"{folder} cannot be written ({error.strerror or error}). Choose another place with MEDZOO_HOME."
        )
    free = 0
    with suppress(OSError):
        free = shutil.disk_usage(folder.parent).free
    return DiskFullError(folder, free)
