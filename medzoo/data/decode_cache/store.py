"""The decoded rows of a data set at one size: a folder of parts, to which new parts are added.

Parts are never changed. A part gets its final name after all of it is on the disk; only then its rows count. A kill or a full
disk loses rows without a finished part, but never leaves an incomplete row. Several writers are safe: each writes its own parts.
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

PART_BYTES = 4 << 30  # large, because a process keeps all its parts open and often has a limit of 1,024 files
PART_SECONDS, PART_SHARE = 60.0, 0.02  # a kill loses at most this time of work, or this share of it


@dataclass(frozen=True)
class FoundRows:
    """The positions of the rows of some keys.

    Args:
        parts: those with at least one of the rows.
        part: (N,) index of the part of each row, -1 where a row is missing.
        row: (N,) index of the row in its part.
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
        name: of the data, for readers of the folder; stores with the same key are one store, also under different names.
        key: sha256 of everything that decides the rows.
        size: side of the rows, pixels.
        masks: whether each row has a mask.
        facts: how the rows were decoded, for the headers.
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
        """Find the rows of keys; damaged parts are removed, so that their rows are missing, as are rows that cannot be read.

        Args:
            keys: of the rows; a key can occur more than once.
        """
        while True:
            found = self._find_once(keys)
            damaged = [part for part in found.parts if not self._is_whole(part)]
            if not damaged:
                return found

    def _find_once(self, keys: Sequence[str]) -> FoundRows:
        positions: dict[str, int] = {}  # of the different keys
        which = np.array([positions.setdefault(key, len(positions)) for key in keys], np.int64)
        part, row = np.full(len(positions), -1, np.int32), np.zeros(len(positions), np.int64)
        missing = len(positions)
        used: list[Part] = []
        for candidate in self._parts():
            if not missing:
                break
            new = 0
            for number, key in enumerate(candidate.row_keys()):
                position = positions.get(key)
                if position is not None and part[position] < 0:
                    part[position], row[position] = len(used), number
                    new += 1
            if new:
                used.append(candidate)
                missing -= new
        return FoundRows(used, part[which], row[which])

    def _parts(self) -> list[Part]:
        """The parts that exist now; each file is opened once."""
        parts = []
        for path in (path for folder in self.folders for path in sorted(folder.glob(f"{PREFIX}*{SUFFIX}"))):
            with suppress(FileNotFoundError):
                state = fingerprint(path)
                if self._known.get(path, ({}, None))[0] != state:
                    self._known[path] = state, open_part(path, self.key, self.size, self.masks)
                part = self._known[path][1]
                if part is not None:
                    parts.append(part)
        return parts

    def _is_whole(self, part: Part) -> bool:
        """Whether a part has the right content. A damaged part is removed; one that cannot be read now is only not used."""
        reason = "is damaged"
        try:
            if part.is_whole():
                return True
        except (OSError, IntegrityError) as error:  # an error of the disk or network may pass, so the file stays
            reason = f"cannot be read ({getattr(error, 'strerror', None) or error})"
        else:
            with suppress(OSError):  # a read-only store
                part.path.unlink()
        warnings.warn(f"{part.path} {reason}: its {part.shape[0]} images are decoded again.", stacklevel=2)
        self._known[part.path] = self._known[part.path][0], None
        return False


class Writer:
    """Adds rows to a store; as a context manager, it saves the added rows also if the block raises an error.

    Args:
        store: the target.
    """

    def __init__(self, store: RowStore) -> None:
        self.store = store
        self._open: dict[tuple[int, str], PartWriter] = {}
        self._started = self._saved = time.monotonic()

    def add(self, key: str, row: DecodedRow) -> None:
        """Append a row. A part is finished every minute, or after 2 % of the work if that takes longer.

        Args:
            key: of the image.
            row: decoded.

        Raises:
            DiskFullError: if the disk is full; rows without a finished part are lost.
            StoreError: if the store cannot be written.
        """
        kind = row.image.ndim, row.image.dtype.str
        try:  # not `writing`: a context manager costs as much time as the rest of this function
            part = self._open.get(kind)
            if part is None:
                part = self._open[kind] = PartWriter(self.store.folder, self.store.facts, row)
            part.add(key, row)
        except DiskFullError:
            raise
        except OSError as error:
            raise _write_error(self.store.folder, error) from error
        now = time.monotonic()
        due = now - self._saved > max(PART_SECONDS, PART_SHARE * (now - self._started))
        if due or part.size > PART_BYTES:
            self._saved = now
            self.close()

    def close(self) -> None:
        """Save the added rows as parts."""
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
            if not isinstance(error, StoreError | DiskFullError):  # after them nothing can be written
                self.close()
        finally:
            while self._open:
                self._open.popitem()[1].abandon()
            with suppress(OSError):  # removes the folder if it is empty
                self.store.folder.rmdir()


class StoreError(DataContractError):
    """The store of decoded images cannot be written."""


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn errors of the system into errors that say what cannot be written, and what to do.

    Args:
        folder: of the store.

    Raises:
        DiskFullError: if the disk is full.
        StoreError: for other reasons.
    """
    try:
        yield
    except DiskFullError:
        raise
    except OSError as error:
        raise _write_error(folder, error) from error


def _write_error(folder: Path, error: OSError) -> StoreError | DiskFullError:
    """The error of the store for an error of the system."""
    if not is_disk_full(error):
        return StoreError(
            f"{folder} cannot be written ({error.strerror or error}). Choose another folder with MEDZOO_HOME.",
            code="decoded-store-not-writable",
        )

    free = 0
    with suppress(OSError):
        free = shutil.disk_usage(folder.parent).free
    return DiskFullError(folder, free)
