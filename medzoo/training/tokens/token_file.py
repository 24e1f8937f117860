"""The tokens of a split on the disk: one safetensors file in float16, written batch by batch and read by memory map."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from medzoo import paths, progress, store
from medzoo.data.decode_cache.decoded import Decoded
from medzoo.errors import DataContractError, DiskFullError, UsageError
from medzoo.training.inputs.evaluate import evaluate_batches
from medzoo.training.inputs.input_transform import InputConvention
from medzoo.training.tokens.network_tokens import TokenNetwork

BYTES = 2  # of a float16; its 11 bits round a token by at most 1/2048 of its size
_DTYPE, _LARGEST = np.dtype("<f2"), 65504.0


@dataclass(frozen=True)
class TokenRows:
    """The tokens of a split, read when they are indexed.

    Args:
        map: (N, T, D) float16 on the disk.
        rows: (n,) which rows of the map, in order; None is all.
        class_token: whether the first token of the map is the class token.
        keep_class_token: whether it is among the tokens that indexing gives.
    """

    map: np.ndarray
    class_token: bool
    keep_class_token: bool
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.map) if self.rows is None else len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, tokens, width)."""
        return len(self), self.map.shape[1] - self._first, self.map.shape[2]

    @property
    def _first(self) -> int:
        return int(self.class_token and not self.keep_class_token)

    def __getitem__(self, chosen: np.ndarray | slice) -> torch.Tensor:
        """(k, T, D) float32 tokens of some rows."""
        rows = chosen if self.rows is None else self.rows[chosen]
        return torch.from_numpy(np.asarray(self.map[rows])[:, self._first :].astype(np.float32))

    def subset(self, rows: np.ndarray) -> TokenRows:
        """Only some rows.

        Args:
            rows: (n,) numbers of these rows.
        """
        return replace(self, rows=rows if self.rows is None else self.rows[rows])


def stored_tokens(
    network: TokenNetwork,
    data: Decoded,
    convention: InputConvention,
    *,
    network_key: str,
    size: int,
    device: torch.device,
    batch_size: int,
    most_gb: float,
    split: str,
    class_token: bool,
) -> TokenRows:
    """The tokens of a split; they are computed once for the same network, images, size and precision.

    Args:
        network: gives tokens.
        data: decoded rows.
        convention: of the network's input.
        network_key: `network_hash` of the network that gives the tokens.
        size: side of the input, pixels.
        device: where to compute.
        batch_size: images per forward pass.
        most_gb: the largest file that may be written, in 10^9 bytes.
        split: for messages.
        class_token: whether the class token, where there is one, is among the tokens.

    Raises:
        UsageError: if the file would be larger than `most_gb`; nothing is written then.
        DiskFullError: if the disk has less room.
        DataContractError: for tokens that are not finite, or outside the range of float16.
    """
    key = {
        "tokens": 1,
        "network": network_key,
        "data": data.sha256,
        "size": size,
        "input": repr(convention),
        "dtype": "F16",
    }
    if torch.is_autocast_enabled(device.type):  # its numbers differ from those of full precision
        key["precision"] = str(torch.get_autocast_dtype(device.type))
    file = paths.home() / "features" / f"{store.sha256_of(key)}.safetensors"
    if not file.is_file():
        with store.atomic_path(file) as temporary:
            _write(temporary, network, data, convention, size, device, batch_size, most_gb, split)
    return TokenRows(_open(file), network.has_class_token, class_token)


def _write(
    path: Path,
    network: TokenNetwork,
    data: Decoded,
    convention: InputConvention,
    size: int,
    device: torch.device,
    batch_size: int,
    most_gb: float,
    split: str,
) -> None:
    count = len(data.ids)
    outputs = evaluate_batches(network.to(device), data, convention, size=size, device=device, batch_size=batch_size)
    with path.open("wb") as out, progress.Steps(f"tokens of {split}", count, "image") as steps:
        for number, batch in enumerate(outputs):
            if number == 0:
                _announce(path, (count, *batch.shape[1:]), most_gb, split)
                out.write(_header((count, *batch.shape[1:])))
            values = batch.numpy()
            if not np.isfinite(values).all():
                raise DataContractError(
                    "Tokens hold NaN or infinite numbers. Check the network and its input.", code="features-not-finite"
                )
            if (largest := float(np.abs(values).max())) > _LARGEST:
                raise DataContractError(
                    f"A token has the value {largest:.3g}, outside the range of float16 (65,504). This network cannot be probed on "
                    "its tokens; use --probe linear.",
                    code="tokens-outside-float16",
                )
            out.write(values.astype(_DTYPE).tobytes())
            steps.update(len(values))
        steps.line(f"tokens of {split}: {progress.counted(steps.done, 'image')}, {progress.duration(steps.seconds)}")


def _announce(path: Path, shape: tuple[int, ...], most_gb: float, split: str) -> None:
    """Print the size of the file before it is written, and refuse one that is too large."""
    size = int(np.prod(shape)) * BYTES
    words = f"{shape[0]:,} images x {shape[1]:,} tokens x {shape[2]:,}, {size / 1e9:.3g} GB"
    if size > most_gb * 1e9:
        raise UsageError(
            f"The tokens of {split} need {words} on the disk, and --token-gb allows {most_gb:g}. Raise it or lower --size. A probe "
            f"on pooled features (--probe linear) needs {shape[1]:,} times less.",
            code="tokens-too-large",
        )
    if (free := shutil.disk_usage(path.parent).free) < size:
        raise DiskFullError(path, free, size)
    progress.say_part(f"tokens of {split}: {words} in {path.parent}, kept for later probes")


def _header(shape: tuple[int, ...]) -> bytes:
    """The first bytes of a safetensors file with one tensor."""
    table = {"tokens": {"dtype": "F16", "shape": list(shape), "data_offsets": [0, int(np.prod(shape)) * BYTES]}}
    text = json.dumps(table).encode()
    text += b" " * (-(len(text) + 8) % 64)  # rows are aligned
    return len(text).to_bytes(8, "little") + text


def _open(file: Path) -> np.ndarray:
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        shape = tuple(json.loads(opened.read(length))["tokens"]["shape"])
    if file.stat().st_size != 8 + length + int(np.prod(shape)) * BYTES:
        raise DataContractError(f"{file} is damaged. Delete it; it is computed again.", code="token-file-damaged")
    return np.memmap(file, _DTYPE, "r", 8 + length, shape)
