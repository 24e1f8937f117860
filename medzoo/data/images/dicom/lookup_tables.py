"""Lookup tables of DICOM headers: modality, VOI and palette.

pydicom stores indices in the type of the entries, so indices into a table of 4,096 entries of 8 bits overflow
(pydicom 3.0, `pydicom/pixels/processing.py: apply_voi`). This module does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from medzoo.errors import ImageError


@dataclass(frozen=True)
class LookupTable:
    """A lookup table.

    Args:
        entries: (N,) uint8 or uint16.
        first: the stored value of the first entry; lower values get the first entry, values after the last get the last.
    """

    entries: np.ndarray
    first: int

    @property
    def ends(self) -> tuple[float, float]:
        """The scale of the entries: all bits that the highest entry needs. Many headers say 16 bits where 12 are used."""
        return 0.0, float(2 ** max(int(self.entries.max()).bit_length(), 1) - 1)

    def look_up(self, values: np.ndarray) -> np.ndarray:
        """The entries of an array of values.

        Args:
            values: integers of any shape.

        >>> LookupTable(np.array([7, 8, 9], np.uint8), first=100).look_up(np.array([0, 101, 300]))
        array([7, 8, 9], dtype=uint8)
        """
        return self.entries[np.clip(values.astype(np.int64) - self.first, 0, len(self.entries) - 1)]


def table_of(descriptor: Any, data: Any, *, little: bool, signed: bool, where: str) -> LookupTable:  # noqa: ANN401
    """A table from its two elements.

    Args:
        descriptor: number of entries (0 stands for 65,536), first value, bits.
        data: numbers, or bytes in the order of the file.
        little: whether the file is little endian.
        signed: whether the values to look up are signed; headers write a negative first value as unsigned.
        where: for messages.

    Raises:
        ImageError: for an invalid descriptor, missing entries, and entries outside 16 bits.

    Source: DICOM PS3.3 C.11.1.1, C.7.6.3.1.5.
    """
    try:
        count, first, bits = (int(number) for number in descriptor)
    except (TypeError, ValueError):
        raise ImageError(
            f"{where}: a lookup table has the descriptor {descriptor!r}; it needs three whole numbers.",
            code="lookup-table-descriptor-invalid",
        ) from None
    count += 2**16 if count <= 0 else 0  # 0 stands for 65,536; some headers write a large number as negative
    first -= 2**16 if signed and first >= 2**15 else 0
    if isinstance(data, bytes | bytearray):
        wide = len(data) >= 2 * count or bits > 8
        entries = np.frombuffer(bytes(data[: len(data) // 2 * 2]), "<u2" if little else ">u2") if wide else None
        if entries is None:
            entries = np.frombuffer(bytes(data), np.uint8)
    else:
        entries = np.asarray(data if hasattr(data, "__len__") else [data] if data is not None else [], dtype=np.int64)
    if len(entries) < count:
        raise ImageError(
            f"{where}: a lookup table should have {count:,} entries; it has {len(entries):,}.",
            code="lookup-table-too-short",
        )
    entries = entries[:count]
    if entries.min() < 0 or entries.max() > 65535:
        raise ImageError(
            f"{where}: the entries of a lookup table are {entries.min()} to {entries.max()}; they should be 0 to 65535 (16 bits).",
            code="lookup-table-entry-outside-16-bits",
        )
    return LookupTable(entries.astype(np.uint8 if int(entries.max()) < 256 and bits <= 8 else np.uint16), first)
