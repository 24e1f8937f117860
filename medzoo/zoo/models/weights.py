"""Weights files: safetensors headers checked before anything else reads them, and tensors checked before they are written."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from medzoo import store
from medzoo.errors import ConversionError, IntegrityError, MedzooError, WeightsMismatchError, listed
from medzoo.zoo.models.huge_pages import copied

if TYPE_CHECKING:
    import torch

HEADER_LIMIT = 8 * 1024 * 1024  # bytes; a header of 10,000 tensors has about 1 MiB
TENSOR_LIMIT = 10_000
# Bytes an element. Source: https://github.com/huggingface/safetensors, README
DTYPE_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
AGAIN = "Fetch or copy the file again."


class Entry(NamedTuple):
    """Type and shape of a tensor in a file."""

    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path) -> dict[str, Entry]:
    """The names, types and shapes of a safetensors file, from its header alone.

    Args:
        path: the file.

    Raises:
        IntegrityError: for a truncated, damaged, oversized or ambiguous header, or a size that does not fit it.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if start == b"version ":  # of a clone without `git lfs`
                raise IntegrityError(
                    f"{path} is a pointer of Git LFS, not the weights: run `git lfs pull` in its clone."
                )
            if len(start) < 8 or length > size - 8:
                raise IntegrityError(f"{path} is no whole safetensors file: {size} bytes, header of {length}. {AGAIN}")
            if length > HEADER_LIMIT:
                raise IntegrityError(f"{path} has a header of {length} bytes; medzoo reads at most {HEADER_LIMIT}.")
            raw = file.read(length)
    except OSError as error:
        raise IntegrityError(f"{path} cannot be read: {error}") from error
    try:
        rows = json.loads(raw.decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path} has a damaged header: {error}. {AGAIN}") from error
    if not isinstance(rows, dict):
        raise IntegrityError(f"{path} has a header that is no table. {AGAIN}")
    rows.pop("__metadata__", None)
    if len(rows) > TENSOR_LIMIT:
        raise IntegrityError(f"{path} names {len(rows)} tensors; medzoo reads at most {TENSOR_LIMIT}.")
    entries, spans = {}, []
    for name, row in rows.items():
        entries[name], span = _entry(path, name, row)
        spans.append(span)
    at = 0
    for begin, end in sorted(spans):
        if begin != at:
            raise IntegrityError(f"{path}: its tensors overlap or leave a hole at byte {at}. {AGAIN}")
        at = end
    if at != size - 8 - length:
        raise IntegrityError(
            f"{path} is truncated or changed: {size} bytes, but its header needs {8 + length + at}. {AGAIN}"
        )
    return entries


def _entry(path: Path, name: str, row: Any) -> tuple[Entry, tuple[int, int]]:  # noqa: ANN401
    try:
        if set(row) != {"dtype", "shape", "data_offsets"}:
            raise ValueError(f"keys {sorted(row)}")
        dtype, (begin, end) = row["dtype"], row["data_offsets"]
        shape = tuple(row["shape"])
        if not all(type(number) is int and 0 <= number < 2**62 for number in (*shape, begin, end)):
            raise ValueError("a negative or non-integer number")
        if end - begin != math.prod(shape) * DTYPE_BYTES[dtype]:
            raise ValueError(f"{end - begin} bytes for {dtype} of shape {list(shape)}")
    except (TypeError, ValueError, KeyError) as error:
        raise IntegrityError(f"{path}: the header's entry of {name!r} is wrong ({error}). {AGAIN}") from error
    return Entry(dtype, shape), (begin, end)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    rows = dict(pairs)
    if len(rows) != len(pairs):
        raise ValueError("a key stands twice")
    return rows


def read_weights(path: Path, hashed: Mapping[str, int] | None = None) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file, on the CPU, in memory of their own.

    A mapped file is faster by the time of a copy, but its tensors are aligned to 8 bytes only, which makes kernels round
    otherwise than for the same weights elsewhere; and a file that is truncated later would crash the process.

    Args:
        path: the file.
        hashed: what `store.fingerprint` said before its sha256 was checked: it must still be that very file.

    Raises:
        IntegrityError: as `read_header`, or if the file changed since it was hashed or while it was read.
    """
    from safetensors import SafetensorError

    read_header(path)
    before = hashed or store.fingerprint(path)
    try:
        state: dict[str, torch.Tensor] = {name: copied(row) for name, row in load_tensors(path).items()}
    except (SafetensorError, OSError) as error:
        raise IntegrityError(f"{path} is damaged: {error}. {AGAIN}") from error
    if store.fingerprint(path) != before:
        raise IntegrityError(f"{path} changed while it was checked and read. Let its writer finish, then try again.")
    return state


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, on the CPU; also where its path is no UTF-8, which safetensors cannot open.

    Args:
        path: the file.
    """
    from safetensors.torch import load, load_file

    try:
        str(path).encode()
    except UnicodeEncodeError:
        return dict(load(path.read_bytes()))
    return dict(load_file(path, device="cpu"))


@dataclass(frozen=True)
class Differences:
    """How the tensors of a file differ from an architecture's; false if they do not, and text for a message.

    Args:
        missing: names that the file lacks.
        unexpected: names that the architecture lacks.
        shapes: names of another shape, with both shapes.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.shapes)

    def __str__(self) -> str:
        shapes = [f"{name} {list(have)} instead of {list(need)}" for name, (have, need) in self.shapes.items()]
        return "; ".join(
            f"{len(rows)} {what}: {listed(rows, 6)}"
            for what, rows in (("missing", self.missing), ("unexpected", self.unexpected), ("of another shape", shapes))
            if rows
        )


def differences(have: Mapping[str, tuple[int, ...]], need: Mapping[str, tuple[int, ...]]) -> Differences:
    """Names and shapes of a file against those of an architecture, both ways.

    Args:
        have: shape of each tensor in the file.
        need: shape of each tensor of the network.

    >>> print(differences({"a": (1,), "c": (1,)}, {"a": (2,), "b": (1,)}))
    1 missing: b; 1 unexpected: c; 1 of another shape: a [1] instead of [2]
    """
    return Differences(
        tuple(name for name in need if name not in have),
        tuple(name for name in have if name not in need),
        {name: (have[name], need[name]) for name in need if name in have and have[name] != need[name]},
    )


def compare_names(
    have: Mapping[str, tuple[int, ...]], need: Mapping[str, tuple[int, ...]], where: str, architecture: str
) -> None:
    """Refuse a file whose names or shapes are not an architecture's.

    Args:
        have: shape of each tensor in the file.
        need: shape of each tensor of the network.
        where: the file, for the message.
        architecture: for the message.

    Raises:
        WeightsMismatchError: with the first names of what is missing, unexpected, or of another shape.
    """
    if off := differences(have, need):
        raise WeightsMismatchError(
            f"{where} does not hold the weights of {architecture}: {off}. Nothing was loaded. If it is an "
            "upstream file, turn it into a folder with `medzoo convert FILE NAME --out DIR`."
        )


def refuse_not_finite(
    state: Mapping[str, torch.Tensor], where: str, error: type[MedzooError] = ConversionError
) -> None:
    """Refuse NaN and infinity.

    Args:
        state: tensors by name.
        where: what they are, for the message.
        error: the class to raise.

    Raises:
        MedzooError: of class `error`, naming the tensors.
    """
    import torch

    bad = [name for name, tensor in state.items() if tensor.is_floating_point() and not torch.isfinite(tensor).all()]
    if bad:
        raise error(f"{where} has NaN or infinite values in {len(bad)} tensors: {listed(bad, 6)}.")


def refuse_impossible(
    state: Mapping[str, torch.Tensor], where: str, error: type[MedzooError] = ConversionError
) -> None:
    """Refuse numbers that no training gives: NaN and infinity, and variances below zero, whose root is NaN.

    Args:
        state: tensors by name.
        where: what they are, for the message.
        error: the class to raise.

    Raises:
        MedzooError: of class `error`, naming the tensors.
    """
    refuse_not_finite(state, where, error)
    bad = [name for name, tensor in state.items() if name.endswith("running_var") and bool((tensor < 0).any())]
    if bad:
        raise error(f"{where} has variances below 0 in {len(bad)} tensors: {listed(bad, 6)}. The file is damaged.")


def write_weights(state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write tensors as safetensors: contiguous, on the CPU, none sharing memory with another."""
    from safetensors.torch import save_file

    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    save_file(whole, path, metadata={"format": "pt"})


def shapes(state: Iterable[tuple[str, torch.Tensor]]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in state}
