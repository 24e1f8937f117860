"""Read TensorFlow checkpoints (tensor bundles) without TensorFlow: an index table, and raw numbers in shards.

Source: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/tensor_bundle/tensor_bundle.h and
https://github.com/google/leveldb/blob/main/doc/table_format.md
"""

from __future__ import annotations

import math
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo.errors import ConversionError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

MAGIC = 0xDB4775248B80FB57
FOOTER = 48  # bytes
# of types.proto, without text
TYPES = {1: "f4", 2: "f8", 3: "i4", 4: "u1", 5: "i2", 6: "i1", 9: "i8", 10: "?", 19: "f2"}
INDEX_LIMIT = 256 * 1024**2  # bytes


def is_bundle(path: Path) -> bool:
    """Whether a path is a checkpoint's prefix, one of its files, or a folder with one index."""
    return _prefix(path) is not None


def files_of(path: Path) -> tuple[Path, ...]:
    """The index and the shards.

    Raises:
        ConversionError: if there is no checkpoint at this path.
    """
    prefix = _prefix(path)
    if prefix is None:
        raise ConversionError(f"There is no file {path}.", code="no-such-file")
    return (_index(prefix), *sorted(prefix.parent.glob(f"{prefix.name}.data-*")))


def read_bundle(path: Path) -> dict[str, Tensor]:
    """All numeric variables of a checkpoint, by name.

    Args:
        path: its prefix, one of its files, or a folder with one index.

    Raises:
        ConversionError: if a file is missing or damaged.
    """
    import torch

    prefix = _prefix(path)
    if prefix is None:
        raise ConversionError(f"There is no TensorFlow checkpoint {path}.", code="no-such-file")
    index = _index(prefix)
    try:
        rows = dict(_table(index.read_bytes() if index.stat().st_size <= INDEX_LIMIT else b""))
        header = _message(rows.pop(b"", b""))
        shards, big_endian = int(_first(header, 1, 1)), int(_first(header, 2, 0))
        if big_endian:
            raise ConversionError("its numbers are big-endian, which medzoo does not read.", code="bundle-big-endian")
        tensors = {
            name.decode(): torch.from_numpy(array)
            for name, row in rows.items()
            if (array := _variable(prefix, _message(row), shards)) is not None
        }
    except ConversionError as error:
        raise ConversionError(f"{index}: {error}", code=error.code) from error
    except (OSError, IndexError, ValueError, UnicodeDecodeError, OverflowError) as error:
        raise ConversionError(
            f"{index} is not a readable TensorFlow checkpoint: {error}. Download it again.", code="bundle-damaged"
        ) from error
    return tensors


def read_zipped_bundle(path: Path) -> dict[str, Tensor]:
    """As `read_bundle`, for a zip that holds one checkpoint.

    Args:
        path: the zip; the caller has checked its unpacked size.

    Raises:
        ConversionError: if it does not hold exactly one checkpoint, or the checkpoint is damaged.
    """
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory(dir=_scratch()) as folder:
        indexes = [name for name in archive.namelist() if name.endswith(".index")]
        if len(indexes) != 1:
            raise ConversionError(
                f"{path} holds {len(indexes)} TensorFlow checkpoints. Unpack it, and give the path of one of them.",
                code="several-bundles",
            )
        prefix = indexes[0].removesuffix(".index")
        for name in archive.namelist():
            if name == indexes[0] or name.startswith(f"{prefix}.data-"):
                with archive.open(name) as packed, (Path(folder) / Path(name).name).open("wb") as file:
                    shutil.copyfileobj(packed, file)
        try:
            return read_bundle(Path(folder) / Path(prefix).name)
        except ConversionError as error:
            raise ConversionError(f"{path}: {str(error).replace(folder + '/', '')}", code=error.code) from error


def _scratch() -> str | None:
    """The sandbox's folder (its TMPDIR), to which the process may write."""
    return tempfile.gettempdir()


def _prefix(path: Path) -> Path | None:
    if path.is_dir():
        indexes = list(path.glob("*.index"))
        return indexes[0].with_name(indexes[0].name.removesuffix(".index")) if len(indexes) == 1 else None
    name = path.name
    for tail in (".index", ".meta", ".data-00000-of-00001"):
        name = name.removesuffix(tail)
    prefix = path.with_name(name) if name else path
    return prefix if _index(prefix).is_file() and (path == prefix or path.is_file()) else None


def _index(prefix: Path) -> Path:
    return prefix.with_name(f"{prefix.name}.index")


def _variable(prefix: Path, row: dict[int, list[int | bytes]], shards: int) -> np.ndarray[Any, Any] | None:
    import numpy as np

    kind = TYPES.get(int(_first(row, 1, 0)))
    if kind is None:
        return None  # texts, such as the graph of a Keras object
    if 7 in row:
        raise ConversionError("a variable is stored in slices, which medzoo does not read.", code="bundle-slices")
    dims = [_message(dim) for dim in _message(_bytes(row, 2)).get(2, []) if isinstance(dim, bytes)]
    shape = tuple(int(_first(dim, 1, 0)) for dim in dims)
    offset, size = int(_first(row, 4, 0)), int(_first(row, 5, 0))
    if size != math.prod(shape) * np.dtype(kind).itemsize:
        raise ConversionError(
            f"a variable of shape {list(shape)} has {size} bytes. Download it again.", code="bundle-damaged"
        )
    shard = prefix.with_name(f"{prefix.name}.data-{int(_first(row, 3, 0)):05d}-of-{shards:05d}")
    if not shard.is_file():
        raise ConversionError(
            f"its shard {shard.name} is missing. Put it into the folder of the index.", code="bundle-shard-missing"
        )
    if offset + size > shard.stat().st_size:
        raise ConversionError(
            f"{shard.name} is truncated: {shard.stat().st_size} bytes, needs {offset + size}.",
            code="bundle-shard-truncated",
        )
    return np.fromfile(shard, "<" + kind if kind != "?" else kind, count=math.prod(shape), offset=offset).reshape(shape)


def _table(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(raw) < FOOTER or int.from_bytes(raw[-8:], "little") != MAGIC:
        raise ConversionError(
            "its end is not the end of an index: truncated, too large, or another file. Download it again.",
            code="bundle-damaged",
        )
    _, at = _varint(raw, len(raw) - FOOTER)
    _, at = _varint(raw, at)
    offset, at = _varint(raw, at)
    size, _ = _varint(raw, at)
    for _, handle in _block(raw, offset, size):
        offset, at = _varint(handle, 0)
        size, _ = _varint(handle, at)
        yield from _block(raw, offset, size)


def _block(raw: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    if offset + size + 5 > len(raw):
        raise ConversionError("its table points beyond the end of the file. Download it again.", code="bundle-damaged")
    if raw[offset + size] != 0:
        raise ConversionError(
            "its index is compressed; TensorFlow does not write such files.", code="bundle-compressed"
        )
    block = raw[offset : offset + size]
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + fresh]
        yield key, block[at + fresh : at + fresh + length]
        at += fresh + length


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = raw[at]
        number, at, shift = number | (byte & 127) << shift, at + 1, shift + 7
        if byte < 128:
            return number, at
        if shift > 63:
            raise ConversionError("a number in its table has no end. Download it again.", code="bundle-damaged")


def _message(raw: bytes) -> dict[int, list[int | bytes]]:
    """The fields of a protocol buffer by number; nested messages stay bytes."""
    fields: dict[int, list[int | bytes]] = {}
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        value: int | bytes
        if tag & 7 == 0:
            value, at = _varint(raw, at)
        elif tag & 7 == 2:
            length, at = _varint(raw, at)
            value, at = raw[at : at + length], at + length
        elif tag & 7 in (1, 5):
            width = 8 if tag & 7 == 1 else 4
            value, at = int.from_bytes(raw[at : at + width], "little"), at + width
        else:
            raise ConversionError("an entry of its table is damaged. Download it again.", code="bundle-damaged")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _first(fields: dict[int, list[int | bytes]], number: int, default: int) -> int:
    value = fields.get(number, [default])[0]
    if not isinstance(value, int):
        raise ConversionError("an entry of its table is damaged. Download it again.", code="bundle-damaged")
    return value


def _bytes(fields: dict[int, list[int | bytes]], number: int) -> bytes:
    value = fields.get(number, [b""])[0]
    if not isinstance(value, bytes):
        raise ConversionError("an entry of its table is damaged. Download it again.", code="bundle-damaged")
    return value
