"""Tensor bundles as TensorFlow writes them, for tests that have no TensorFlow."""

from pathlib import Path

import numpy as np

CODES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "bool": 10}
MAGIC = 0xDB4775248B80FB57


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def block(rows: list[tuple[bytes, bytes]]) -> bytes:
    """Keys share their start with the one before; every sixteenth is whole."""
    out, restarts, before = b"", [], b""
    for place, (key, value) in enumerate(rows):
        shared = 0
        if place % 16 == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    restarts = restarts or [0]
    return out + b"".join(at.to_bytes(4, "little") for at in restarts) + len(restarts).to_bytes(4, "little")


def write_bundle(prefix: Path, arrays: dict[str, np.ndarray], rows_a_block: int = 20) -> Path:
    data, rows = bytearray(), [(b"", field(1, 1))]
    for name in sorted(arrays):
        array = arrays[name]
        raw = array.tobytes()
        shape = b"".join(field(2, field(1, size)) for size in array.shape)
        value = (
            field(1, CODES[str(array.dtype)])
            + field(2, shape)
            + (field(4, len(data)) if data else b"")
            + field(5, len(raw))
        )
        rows.append((name.encode(), value + varint(6 << 3 | 5) + bytes(4)))
        data += raw
    prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(data)
    out, index = b"", []
    for start in range(0, len(rows), rows_a_block):
        part = rows[start : start + rows_a_block]
        raw = block(part)
        index.append((part[-1][0] + b"~", varint(len(out)) + varint(len(raw))))
        out += raw + bytes(5)  # no compression, and a checksum
    places = []
    for raw in (block([]), block(index)):
        places.append(varint(len(out)) + varint(len(raw)))
        out += raw + bytes(5)
    out += b"".join(places).ljust(40, b"\0") + MAGIC.to_bytes(8, "little")
    prefix.with_name(prefix.name + ".index").write_bytes(out)
    return prefix
