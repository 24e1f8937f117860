"""Images in Parquet files; the bytes are read from the file when they are needed."""

from __future__ import annotations

import bisect
import threading
from collections import OrderedDict
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.data.images.read import Pixels, WindowChoice, decode_bytes, read_image
from medzoo.errors import DataContractError, ImageError, MissingExtraError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_GROUPS_KEPT = 3  # row groups in memory: threads read rows on both sides of a group border


class ParquetReader:
    """Images with keys `<file>#<row>`.

    Args:
        root: folder of the files.
        column: name of the image column: bytes, a path, or the struct of both that `datasets` writes.
        window: (low, high) or the name of a CT window; images are clipped to it.
    """

    ID = "medzoo.data.parquet_reader.ParquetReader"  # in the keys of decoded images; never change it

    def __init__(self, root: Path, column: str, window: WindowChoice | None = None) -> None:
        self.root, self.column, self.window = root, column, window
        self._lock = threading.Lock()
        self._files: dict[str, tuple[pq.ParquetFile, list[int]]] = {}
        self._groups: OrderedDict[tuple[str, int], tuple[pa.Array, ...]] = OrderedDict()
        self._paths: dict[str, str] = {}

    def with_window(self, window: WindowChoice) -> ParquetReader:
        """The same images in another window."""
        return ParquetReader(self.root, self.column, window)

    def read(self, key: str) -> Pixels:
        """The image of a key."""
        cell, where = self._content(key)
        if isinstance(cell, str):
            return read_image(self.root / cell, window=self.window)
        return decode_bytes(cell, where, window=self.window)

    def raw(self, key: str) -> bytes | None:
        """The encoded bytes of the cell; None if the cell names a file that does not exist."""
        cell, _ = self._content(key)
        if isinstance(cell, bytes):
            return cell
        try:
            return (self.root / cell).read_bytes()
        except OSError:
            return None

    def _content(self, key: str) -> tuple[bytes | str, str]:
        """The bytes or the path of a key, and their position for messages."""
        name, _, number = key.rpartition("#")
        path = self._paths.get(name)
        if path is None:
            path = self._paths[name] = str(self.root / name)
        where = f"{path} row {number}"
        cell = self._cell(name, int(number), where)
        if not isinstance(cell, bytes | str):
            raise ImageError(f"{where}: contains neither image bytes nor a path.", code="parquet-cell-without-image")
        return cell, where

    def read_mask(self, key: str) -> np.ndarray:
        """Not supported: medzoo does not read masks in Parquet tables."""
        raise DataContractError(f"{key}: medzoo does not read masks in Parquet.", code="masks-unsupported")

    def _cell(self, name: str, row: int, where: str) -> Any:  # noqa: ANN401
        """The content of a cell; for a struct its bytes, or else its path."""
        import pyarrow as pa

        with self._lock:
            try:
                if name not in self._files:
                    file = open_parquet(self.root / name)
                    sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
                    self._files[name] = file, list(accumulate(sizes, initial=0))
                file, starts = self._files[name]
                group = bisect.bisect_right(starts, row) - 1
                values = self._groups.get((name, group))
                if values is None:
                    values = _parts(file.read_row_group(group, columns=[self.column])[self.column])
                    self._groups[name, group] = values
                    while len(self._groups) > _GROUPS_KEPT:
                        self._groups.popitem(last=False)
                for part in values:
                    cell = part[row - starts[group]].as_py()
                    if cell is not None:
                        return cell
                return None
            except (pa.ArrowException, OSError, IndexError) as error:
                raise ImageError(f"{where}: cannot be read from the table ({error}).", code="row-unreadable") from error

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "column": self.column, "window": self.window}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["root"], state["column"], state["window"])  # type: ignore[misc]


def _parts(values: pa.ChunkedArray) -> tuple[pa.Array, ...]:
    """The columns of the content: for a struct its bytes and its path, so that cells do not become dictionaries."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_struct(values.type):
        return (values,) if values.num_chunks != 1 else (values.chunk(0),)
    names = {field.name for field in values.type}
    fields = [pc.struct_field(values, name) for name in ("bytes", "path") if name in names]
    return tuple(field if field.num_chunks != 1 else field.chunk(0) for field in fields)


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file and read its footer.

    Args:
        path: the file.

    Raises:
        DataContractError: if it is not a complete Parquet file.
        MissingExtraError: if pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError("pyarrow", "recipes", "Reading Parquet") from None
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataContractError(
            f"{path} is not a complete Parquet file ({error}). Download or write it again.", code="parquet-unreadable"
        ) from error
