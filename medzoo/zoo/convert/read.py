"""Read upstream files without running anything that they hold: tensors by their dotted path, and nothing else."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo.errors import ConversionError, IntegrityError, listed
from medzoo.zoo.weights import read_weights

if TYPE_CHECKING:
    import torch

UNPACKED_LIMIT = 64 * 1024**3  # bytes of a torch file, unpacked
RATIO_LIMIT = 20  # weights hardly compress; more is a bomb
NESTING = 8


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a torch (zip or legacy) or safetensors file, by dotted path, on the CPU.

    Args:
        path: the file.

    Raises:
        ConversionError: if it is none of these, is damaged, or needs code to be read; the message names that code.
    """
    if not path.is_file():
        raise ConversionError(f"There is no file {path}.")
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        raise ConversionError(f"{path} is empty. Download it again.")
    if start.lstrip()[:1] == b"<":
        raise ConversionError(
            f"{path} is a web page, not weights: the download needs a login or a confirmation. Open its address in a browser."
        )
    if start.startswith(b"\x89HDF"):
        raise ConversionError(f"{path} is an HDF5 (Keras) file; medzoo cannot convert this format yet.")
    if _looks_like_safetensors(start, path.stat().st_size):
        try:
            return read_weights(path)
        except IntegrityError as error:
            raise ConversionError(str(error)) from error
    loaded = _torch_file(path)
    tensors = dict(_walk(loaded, "", 0))
    if not tensors:
        raise ConversionError(f"{path} holds no tensors ({type(loaded).__name__}).")
    return tensors


def _looks_like_safetensors(start: bytes, size: int) -> bool:
    return len(start) > 9 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size


def _torch_file(path: Path) -> Any:  # noqa: ANN401
    import torch

    _refuse_bomb(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file makes the reader raise
        needs = _unsafe(path)
        if needs:
            raise ConversionError(
                f"{path} needs code to be read ({listed(needs, 8)}), and medzoo runs none. Open it in a sandbox of your own, "
                "and save its tensors with safetensors.torch.save_file."
            ) from error
        first = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise ConversionError(f"{path} is no readable torch or safetensors file: {first} Download it again.") from error


def _unsafe(path: Path) -> list[str]:
    from torch.serialization import get_unsafe_globals_in_checkpoint

    try:
        return [str(name) for name in get_unsafe_globals_in_checkpoint(str(path))]
    except Exception:  # a legacy or damaged file; torch's own message has to do
        return []


def _refuse_bomb(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise ConversionError(f"{path} is a damaged archive: {error}. Download it again.") from error
    size = path.stat().st_size
    if unpacked > UNPACKED_LIMIT or unpacked > RATIO_LIMIT * max(size, 1024 * 1024):
        raise ConversionError(f"{path} has {size} bytes and would unpack to {unpacked}; that is no weights file.")


def _walk(value: Any, at: str, depth: int) -> Iterator[tuple[str, torch.Tensor]]:  # noqa: ANN401
    import torch

    if isinstance(value, torch.Tensor):
        yield at, value.detach()
    elif isinstance(value, Mapping) and depth < NESTING:
        for key, row in value.items():
            yield from _walk(row, f"{at}.{key}" if at else str(key), depth + 1)
    elif isinstance(value, list | tuple) and depth < NESTING:
        for index, row in enumerate(value):
            yield from _walk(row, f"{at}.[{index}]", depth + 1)
