"""What the arguments of a prediction name, as a stream of images: files, folders, tables of paths, images in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medzoo.data.custom.column_roles import ALIASES, find_column, named_column
from medzoo.data.custom.csv_table import with_slashes
from medzoo.data.custom.find_images import is_image
from medzoo.data.files.csv_columns import iter_columns
from medzoo.data.files.find import walk_files
from medzoo.data.images.frame_key import Frame, file_and_frame
from medzoo.data.images.read import Pixels
from medzoo.data.patient_ids import same_form
from medzoo.data.readers.parquet import open_parquet
from medzoo.data.vocabulary import is_empty
from medzoo.errors import DataContractError, UsageError, listed, printable

TEXT_TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
TABLES = (*TEXT_TABLES, ".parquet")
_ROWS_AT_ONCE = 256  # of a Parquet table, which may contain the images


@dataclass(frozen=True)
class ImageItem:
    """One image, or one file with one or more images.

    Args:
        path: the file as the user named it; "image 3" for the third image in memory.
        source: the file, the encoded bytes, or the image in memory; None for an empty cell of a table.
        frame: of the file.
        key: `file#frame`; None for the only image of a file.
        patient_id: from a table; None if unknown.
        found: whether medzoo found the file in a folder; otherwise the user named it.
    """

    path: str
    source: Any
    frame: Frame | None = None
    key: str | None = None
    patient_id: str | None = None
    found: bool = False


class Inputs:
    """The images of one prediction, in the order of the arguments; files of a folder are in the order of their paths.

    Args:
        images: a path, an image in memory, or an iterable of them.
        image_column: of tables: the paths; by default the column is found by its usual names.
        patient_column: of tables: the patients; "none" uses no column.

    Raises:
        UsageError: if `images` is neither of these.

    >>> import numpy as np
    >>> inputs = Inputs([np.zeros((4, 4), np.uint8), "scan.dcm#3"])
    >>> inputs.count(), [item.path for item in inputs]
    (2, ['image 1', 'scan.dcm'])
    """

    def __init__(self, images: Any, image_column: str | None = None, patient_column: str | None = None) -> None:  # noqa: ANN401
        self.image_column, self.patient_column = image_column, patient_column
        if hasattr(images, "columns"):
            raise UsageError(
                "images is a table. Give its column of paths, such as table['path'].", code="images-invalid"
            )
        single = isinstance(images, str | bytes | bytearray | os.PathLike | Pixels) or hasattr(images, "dtype")
        if single or not isinstance(images, Iterable) or isinstance(images, Mapping):
            # pandas' Series and arrays of text have a dtype too, but they list paths
            lists = type(images).__name__ == "Series" or str(getattr(images, "dtype", "")).startswith(("<U", "object"))
            images = list(images) if lists else [images]
        self.sources: Iterable[Any] = images

    def folders(self) -> list[Path]:
        """The folders among the arguments; empty for an iterator, which can be read only once."""
        if not isinstance(self.sources, Sized):
            return []
        paths = (_path(one) for one in self.sources if isinstance(one, str | os.PathLike))
        return [path for path in paths if _is_dir(path)]

    def count(self) -> int | None:
        """The number of files or images before files with several images are opened; None for an iterator.

        Raises:
            DataContractError: for a table that cannot be read, or a folder without an image.
        """
        if not isinstance(self.sources, Sized):
            return None
        total = 0
        for one in self.sources:
            path = _path(one) if isinstance(one, str | os.PathLike) else None
            if path is not None and _is_dir(path):
                inside = sum(is_image(path, name) for name in walk_files(path))
                if not inside:
                    raise DataContractError(f"{path} has no image.", code="images-missing")
                total += inside
            elif path is not None and _is_table(path):
                total += self._table_rows(path)
            else:
                total += 1
        return total

    def __iter__(self) -> Iterator[ImageItem]:
        for number, one in enumerate(self.sources, 1):
            if not isinstance(one, str | os.PathLike):
                yield ImageItem(f"image {number}", one)
                continue
            path, shown = _path(one), printable(os.fsdecode(one))
            if _is_dir(path):
                yield from _folder(path, shown)
            elif _is_table(path):
                yield from self._table(path, shown)
            else:
                yield _file(path, shown)

    def _table_rows(self, path: Path) -> int:
        if path.name.lower().endswith(".parquet"):
            return int(open_parquet(path).metadata.num_rows)
        image, _ = self._columns(path, _header(path))
        return sum(len(chunk[image]) for chunk in iter_columns(path, [image]))

    def _columns(self, path: Path, header: list[str]) -> tuple[str, str | None]:
        """The columns of the images and of the patients."""
        chosen, patient = self.image_column, self.patient_column
        image = find_column("image", header, path) if chosen is None else named_column(chosen, header, "image", path)
        if image is None:
            raise DataContractError(
                f"{path}: no column has the paths of the images. Name one image (or {', '.join(ALIASES['image'][1:5])}), or give "
                f"its name (--image-column). The table has {listed(header, 30)}.",
                code="image-column-missing",
            )
        if patient is None:
            return image, find_column("group", header, path, [image])
        return image, None if patient == "none" else named_column(patient, header, "patient", path)

    def _table(self, path: Path, shown: str) -> Iterator[ImageItem]:
        parquet = path.name.lower().endswith(".parquet")
        header = open_parquet(path).schema_arrow.names if parquet else _header(path)
        image, patient = self._columns(path, header)
        names = [image, *([patient] if patient else [])]
        chunks: Iterable[Mapping[str, list[Any]]] = iter_columns(path, names)
        if parquet:
            batches = open_parquet(path).iter_batches(columns=names, batch_size=_ROWS_AT_ONCE)
            chunks = (batch.to_pydict() for batch in batches)
        row = 0
        for chunk in chunks:
            patients = chunk[patient] if patient else [None] * len(chunk[image])
            for cell, name in zip(chunk[image], patients, strict=True):
                person = None if name is None or is_empty(name) else same_form(str(name))
                yield _cell(cell, path, f"{shown}#{row}", shown, person)
                row += 1


def _path(one: str | os.PathLike[str]) -> Path:
    return Path(os.fsdecode(one)).expanduser()


def _is_dir(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - False, not an error, for a name that no file could have


def _is_table(path: Path) -> bool:
    return path.name.lower().endswith(TABLES)


def _header(path: Path) -> list[str]:
    return list(next(iter_columns(path, (), None), {}))


def _file(path: Path, shown: str, patient_id: str | None = None) -> ImageItem:
    """A file, or one frame of it (`file#12`)."""
    try:
        file, frame = file_and_frame(path)
    except (OSError, ValueError):  # the name is not valid for a file; reading it reports the error
        return ImageItem(shown, path, patient_id=patient_id)
    if frame is None:
        return ImageItem(shown, path, patient_id=patient_id)
    return ImageItem(shown.rpartition("#")[0], file, frame, shown, patient_id)


def _folder(path: Path, shown: str) -> Iterator[ImageItem]:
    for name in walk_files(path):
        if is_image(path, name):
            yield ImageItem(printable(Path(shown, name)), path / name, found=True)


def _cell(cell: Any, table: Path, key: str, shown: str, patient_id: str | None) -> ImageItem:  # noqa: ANN401
    """The image of a cell of a table: a path next to the table, encoded bytes, or the struct of both that `datasets` writes."""
    if isinstance(cell, Mapping):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, bytes):
        return ImageItem(shown, cell, key=key, patient_id=patient_id)
    if not isinstance(cell, str) or is_empty(cell):
        return ImageItem(shown, None, key=key, patient_id=patient_id)
    name = with_slashes(table.parent, cell) if "\\" in cell else cell
    return _file(table.parent / name, printable(Path(shown).parent / name), patient_id)
