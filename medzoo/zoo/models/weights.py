"""Weights files: check safetensors headers before other code reads them, and check tensors before they are written."""

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
# Bytes for each element. Source: https://github.com/huggingface/safetensors, README
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
    """The names, types and shapes of a safetensors file, from its header only.

    Args:
        path: the file.

    Raises:
        IntegrityError: for a truncated, damaged, oversized or ambiguous header, or a file size that contradicts it.
    """
    # read the header, whose length is in the first 8 bytes
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if start == b"version ":  # in a clone without `git lfs`
                raise IntegrityError(
                    f"{path} is a Git LFS pointer, not the weights. Run `git lfs pull` in its clone.",
                    code="git-lfs-pointer",
                )
            if len(start) < 8 or length > size - 8:
                raise IntegrityError(
                    f"{path} is not a complete safetensors file: {size} bytes, header of {length}. {AGAIN}",
                    code="weights-truncated",
                )
            if length > HEADER_LIMIT:
                raise IntegrityError(
                    f"{path} has a header of {length} bytes; medzoo reads at most {HEADER_LIMIT}.",
                    code="header-too-large",
                )
            raw = file.read(length)
    except OSError as error:
        raise IntegrityError(f"{path} cannot be read: {error}", code="weights-unreadable") from error
    # the header is a JSON table
    try:
        rows = json.loads(raw.decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path} has a damaged header: {error}. {AGAIN}", code="header-damaged") from error
    if not isinstance(rows, dict):
        raise IntegrityError(f"{path} has a header that is not a table. {AGAIN}", code="header-damaged")
    rows.pop("__metadata__", None)
    if len(rows) > TENSOR_LIMIT:
        raise IntegrityError(
            f"{path} has {len(rows)} tensors; medzoo reads at most {TENSOR_LIMIT}.", code="too-many-tensors"
        )
    # the tensors fill the rest of the file without holes
    entries, spans = {}, []
    for name, row in rows.items():
        entries[name], span = _entry(path, name, row)
        spans.append(span)
    at = 0
    for begin, end in sorted(spans):
        if begin != at:
            raise IntegrityError(
                f"{path}: its tensors overlap or leave a gap at byte {at}. {AGAIN}", code="tensors-overlap"
            )
        at = end
    if at != size - 8 - length:
        raise IntegrityError(
            f"{path} is truncated or changed: {size} bytes, but its header needs {8 + length + at}. {AGAIN}",
            code="weights-truncated",
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
        raise IntegrityError(
            f"{path}: the header's entry for {name!r} is wrong ({error}). {AGAIN}", code="header-damaged"
        ) from error
    return Entry(dtype, shape), (begin, end)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    rows = dict(pairs)
    if len(rows) != len(pairs):
        raise ValueError("a key occurs twice")
    return rows


def read_weights(path: Path, hashed: Mapping[str, int] | None = None) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file, on the CPU, copied into memory.

    A mapped file would save the copy, but its tensors are aligned to only 8 bytes, so kernels may round differently than with
    other memory; and if the file is truncated later, the process would crash.

    Args:
        path: the file.
        hashed: the result of `store.fingerprint` before the sha256 was checked; the file must not have changed since.

    Raises:
        IntegrityError: as `read_header`, or if the file changed since it was hashed or while it was read.
    """
    from safetensors import SafetensorError

    read_header(path)
    before = hashed or store.fingerprint(path)
    try:
        state: dict[str, torch.Tensor] = {name: copied(row) for name, row in load_tensors(path).items()}
    except (SafetensorError, OSError) as error:
        raise IntegrityError(f"{path} is damaged: {error}. {AGAIN}", code="weights-damaged") from error
    if store.fingerprint(path) != before:
        raise IntegrityError(
            f"{path} changed while medzoo checked and read it. Wait until it is written, then try again.",
            code="weights-changed-while-read",
        )
    return state


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, on the CPU; also for a path that is not UTF-8, which safetensors cannot open.

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
    """The differences between the tensors of a file and an architecture's; false if there are none; `str` is for messages.

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
    """Compare the names and shapes of a file with those of an architecture, in both directions.

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
    """Refuse a file whose names or shapes differ from an architecture's.

    Args:
        have: shape of each tensor in the file.
        need: shape of each tensor of the network.
        where: the file, for the message.
        architecture: for the message.

    Raises:
        WeightsMismatchError: with the first names that are missing, unexpected, or of another shape.
    """
    if off := differences(have, need):
        raise WeightsMismatchError(
            f"{where} does not hold the weights of {architecture}: {off}. Nothing was loaded. If it is an "
            "upstream file, convert it with `medzoo convert FILE NAME --out DIR`.",
            code="weights-differ-from-architecture",
        )


def refuse_not_finite(
    state: Mapping[str, torch.Tensor], where: str, error: type[MedzooError] = ConversionError
) -> None:
    """Refuse NaN and infinity.

    Args:
        state: tensors by name.
        where: the source of the tensors, for the message.
        error: the class to raise.

    Raises:
        MedzooError: of class `error`, with the tensors' names.
    """
    import torch

    bad = [name for name, tensor in state.items() if tensor.is_floating_point() and not torch.isfinite(tensor).all()]
    if bad:
        raise error(
            f"{where} has NaN or infinite values in {len(bad)} tensors: {listed(bad, 6)}. "
            "Get the file again, or take a state from before the training diverged.",
            code="weights-not-finite",
        )


def refuse_impossible(
    state: Mapping[str, torch.Tensor], where: str, error: type[MedzooError] = ConversionError
) -> None:
    """Refuse impossible values: NaN, infinity, and variances below zero, whose root is NaN.

    Args:
        state: tensors by name.
        where: the source of the tensors, for the message.
        error: the class to raise.

    Raises:
        MedzooError: of class `error`, with the tensors' names.
    """
    refuse_not_finite(state, where, error)
    bad = [name for name, tensor in state.items() if name.endswith("running_var") and bool((tensor < 0).any())]
    if bad:
        raise error(
            f"{where} has variances below 0 in {len(bad)} tensors: {listed(bad, 6)}. The file is damaged.",
            code="variance-below-zero",
        )


def write_weights(state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write tensors as safetensors: contiguous, on the CPU, without shared memory."""
    from safetensors.torch import save_file

    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    save_file(whole, path, metadata={"format": "pt"})


def shapes(state: Iterable[tuple[str, torch.Tensor]]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in state}
