"""Read the tensors of upstream files, by their path in the file, without running code from them."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from medzoo.errors import ConversionError, IntegrityError, listed
from medzoo.zoo.convert.readers import tensorbundle

if TYPE_CHECKING:
    from torch import Tensor

TORCH_LEGACY = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # a magic number, the first object of torch.save before torch 1.6
UNPACKED_LIMIT = 64 * 1024**3  # bytes of an archive, unpacked
RATIO_LIMIT = 20  # weights hardly compress; a higher ratio means a zip bomb
SMALL = 1024 * 1024  # bytes; the ratio of smaller files means nothing


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of an upstream file, by their path in it, on the CPU.

    Args:
        path: a torch file (zip or legacy), a pickle of arrays, safetensors, HDF5 (Keras), or a TensorFlow checkpoint: its
            prefix, one of its files, or the folder or zip with its files.

    Raises:
        ConversionError: if it is another kind of file, is damaged, too large when unpacked, or cannot be read without
            running code; the message names that code.
    """
    kind, reader = _reader(path)
    try:
        tensors = reader(path)
    except IntegrityError as error:
        raise ConversionError(str(error), code=error.code) from error
    if not tensors:
        raise ConversionError(f"{path} holds no tensors; it was read as {kind}.", code="no-tensors")
    return tensors


def files_of(path: Path) -> tuple[Path, ...]:
    """The files of an upstream checkpoint: several for TensorFlow, otherwise one."""
    return (path,) if path.is_file() and not tensorbundle.is_bundle(path) else tensorbundle.files_of(path)


def is_safetensors(path: Path) -> bool:
    """Whether a file begins like a safetensors file."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= path.stat().st_size


def _reader(path: Path) -> tuple[str, Callable[[Path], dict[str, Tensor]]]:
    if tensorbundle.is_bundle(path):
        return "a TensorFlow checkpoint", tensorbundle.read_bundle
    if not path.is_file():
        raise ConversionError(f"There is no file {path}.", code="no-such-file")
    with path.open("rb") as file:
        start = file.read(512)
    # frequent wrong downloads
    if not start:
        raise ConversionError(f"{path} is empty. Download it again.", code="file-empty")
    if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        raise ConversionError(
            f"{path} is a web page, not weights: the download needs a login or a confirmation. Open its address in a browser.",
            code="file-is-web-page",
        )
    # the first bytes show the format
    if start.startswith(b"\x89HDF"):
        from medzoo.zoo.convert.readers.hdf5 import read_hdf5

        return "HDF5", read_hdf5
    if is_safetensors(path):
        from medzoo.zoo.models.weights import read_weights

        return "safetensors", read_weights
    if start.startswith(b"PK"):
        return _zip_reader(path)
    if start.startswith(b"\x80") and TORCH_LEGACY not in start[:16]:
        from medzoo.zoo.convert.readers.pickles import read_pickle

        return "a pickle", read_pickle
    if start.startswith(b"\x80"):
        from medzoo.zoo.convert.readers.torch_files import read_torch

        return "a torch file", read_torch
    if start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!")) or tarfile.is_tarfile(path):
        raise ConversionError(
            f"{path} is an archive. Unpack it, and give the path of the weights file inside.", code="file-is-archive"
        )
    raise ConversionError(
        f"{path} is not a readable weights file: neither torch, safetensors, HDF5, a pickle nor a TensorFlow checkpoint. "
        "Download it again.",
        code="file-type-unknown",
    )


def _zip_reader(path: Path) -> tuple[str, Callable[[Path], dict[str, Tensor]]]:
    names = _members(path)
    if any(name.endswith("/data.pkl") for name in names):
        if any(name.endswith("/constants.pkl") for name in names):
            raise ConversionError(
                f"{path} is a TorchScript program; reading it would run its code. Give a file that holds only weights.",
                code="file-needs-code",
            )
        from medzoo.zoo.convert.readers.torch_files import read_torch

        return "a torch file", read_torch
    if any(name.endswith(".index") for name in names):
        return "a zipped TensorFlow checkpoint", tensorbundle.read_zipped_bundle
    raise ConversionError(
        f"{path} is an archive of {len(names)} files, not a torch file. Unpack it, and give the path of the weights file "
        f"inside: {listed(names, 8)}.",
        code="file-is-archive",
    )


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            unpacked, size = sum(entry.file_size for entry in entries), path.stat().st_size
            if unpacked > UNPACKED_LIMIT or unpacked > RATIO_LIMIT * max(size, SMALL):
                raise ConversionError(
                    f"{path} has {size} bytes and would unpack to {unpacked} bytes; it is not a weights file.",
                    code="file-unpacks-too-large",
                )
            damaged = [entry.filename for entry in entries if not _is_whole(archive, entry)]
    except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError) as error:
        raise ConversionError(
            f"{path} is not a readable archive, so it is not a torch file: {error}. Download it again.",
            code="zip-unreadable",
        ) from error
    if damaged and len(damaged) < len(entries):  # torch can write files without checksums; then all are wrong
        raise ConversionError(
            f"{path} is damaged: the checksum of {listed(damaged, 3)} is wrong. Download it again.",
            code="zip-checksum-wrong",
        )
    return [entry.filename for entry in entries]


def _is_whole(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    """Whether a member matches its checksum; torch's own reader does not check it."""
    try:
        with archive.open(entry) as member:
            while member.read(SMALL):
                pass
    except zipfile.BadZipFile as error:
        if "CRC" not in str(error):
            raise
        return False
    return True
