"""HDF5 files of Keras: h5py reads the numeric data sets, and follows no link, filter plugin or reference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo.errors import ConversionError, MissingExtraError

if TYPE_CHECKING:
    from torch import Tensor

BUILT_IN_FILTERS = {1, 2, 3, 32000}  # deflate, shuffle, fletcher32, lzf; others load a shared library
UNPACKED_LIMIT = 16 * 1024**3  # bytes
RATIO_LIMIT = 20  # weights hardly compress; a higher ratio means a decompression bomb
SMALL = 1024 * 1024  # bytes; the ratio of smaller files means nothing
DATASETS, DEPTH = 20_000, 32


def read_hdf5(path: Path) -> dict[str, Tensor]:
    """All numeric data sets of an HDF5 file, by path.

    Args:
        path: the file.

    Raises:
        ConversionError: if it is damaged, has links, or would unpack to far more bytes than its size.
        MissingExtraError: without h5py.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("h5py", "convert", "Reading HDF5 (Keras) files") from error
    import torch

    limit = min(UNPACKED_LIMIT, RATIO_LIMIT * max(path.stat().st_size, SMALL))
    tensors: dict[str, Tensor] = {}
    try:
        with h5py.File(path, "r", locking=False) as file:
            datasets = list(_datasets(file, "", 0))
            size = sum(dataset.size * dataset.dtype.itemsize for _, dataset in datasets)
            if size > limit or len(datasets) > DATASETS:
                raise ConversionError(
                    f"{path} has {path.stat().st_size} bytes and would unpack to {size} in {len(datasets)} data sets; it is "
                    "not a weights file.",
                    code="file-unpacks-too-large",
                )
            for name, dataset in datasets:
                array = dataset[()]
                tensors[name] = torch.from_numpy(array.astype(array.dtype.newbyteorder("=")).copy())
    except ConversionError as error:
        text = str(error) if str(path) in str(error) else f"{path}: {error}"
        raise ConversionError(text, code=error.code) from error
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise ConversionError(
            f"{path} is not a readable HDF5 file: {str(error)[:300]}. Download it again.", code="hdf5-unreadable"
        ) from error
    return tensors


def _datasets(group: Any, at: str, depth: int) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    import h5py

    if depth > DEPTH:
        raise ConversionError(
            f"groups are nested more than {DEPTH} deep at {at}; it is not a weights file.", code="hdf5-nested-too-deep"
        )
    for name in group:
        where = f"{at}/{name}" if at else name
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ConversionError(
                f"{where} is a link to another place or file. medzoo does not follow links.", code="hdf5-link"
            )
        item = group[name]
        if isinstance(item, h5py.Group):
            yield from _datasets(item, where, depth + 1)
        elif isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu":
            _refuse_tricks(item, where)
            yield where, item


def _refuse_tricks(dataset: Any, where: str) -> None:  # noqa: ANN401
    if dataset.external or dataset.is_virtual:
        raise ConversionError(f"{where} is stored in another file. medzoo does not follow links.", code="hdf5-link")
    plist = dataset.id.get_create_plist()
    filters = {plist.get_filter(index)[0] for index in range(plist.get_nfilters())}
    if strange := filters - BUILT_IN_FILTERS:
        raise ConversionError(
            f"{where} is compressed with the HDF5 filter {min(strange)}, which would load a plugin.", code="hdf5-plugin"
        )
