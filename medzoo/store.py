"""Files that are never half written: temporary file, fsync, rename. Also manifests and receipts. Lock files are in locks.py."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from medzoo import paths
from medzoo.errors import DiskFullError, IntegrityError, is_disk_full
from medzoo.locks import claim, process_alive
from medzoo.progress import hash_file

__all__ = [
    "atomic_folder", "atomic_path", "canonical_json", "claim", "fingerprint", "fsync_file", "fsync_folder", "process_alive",
    "remember_sha256", "sha256_file", "sha256_of", "sweep", "verified_sha256", "verify_manifest", "write_bytes", "write_json",
    "write_text",
]  # fmt: skip

MANIFEST = "MANIFEST.json"
TEMPORARY, _OLD = ".tmp-", "-old-"
ORPHAN_SECONDS, SWAP_SECONDS = 24 * 3600, 60
_AT_CWD, _SWAP = -100, 2  # of renameat2 and renamex_np: paths from here, exchange
_receipts_in_memory: dict[str, dict[str, Any]] = {}


def canonical_json(value: object) -> str:
    """The canonical JSON text of a value: sorted keys, no NaN. Values are hashed and compared in this form."""
    return _json(value, separators=(",", ":"))


def _json(value: object, **layout: Any) -> str:  # noqa: ANN401 - of json.dumps
    """JSON text in valid UTF-8. Bytes of a file name that are not valid UTF-8 become escapes, which a reader decodes again."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, **layout)
    return re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)


def sha256_of(value: object) -> str:
    """The sha256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """The sha256 of a file's bytes; on a terminal, a bar shows the progress of a long one."""
    return hash_file(path)


def fsync_folder(folder: Path) -> None:
    """Make renames inside a folder durable, if the system has folder handles."""
    with suppress(OSError, AttributeError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def fsync_file(path: Path) -> None:
    """Flush a closed file to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder. If the block ends without an error, the file is renamed to `path`.

    File modes follow the umask, also for libraries that create private files (safetensors writes 0600).

    Raises:
        DiskFullError: if the disk has no room; nothing is changed then.
    """
    temporary = _temporary_path(path, "-")
    try:
        with _disk_full_error(path, temporary):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            os.chmod(temporary, 0o666 & ~_umask())
            fsync_file(temporary)
            os.replace(temporary, path)
        fsync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write the whole file or nothing."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write the whole UTF-8 text file or nothing. File names in it that are not valid UTF-8 keep their original bytes."""
    write_bytes(path, content.encode(errors="surrogateescape"))


def write_json(path: Path, value: object) -> None:
    """Write indented, sorted JSON without NaN: the whole file or nothing."""
    write_text(path, _json(value, indent=2) + "\n")


@contextmanager
def atomic_folder(folder: Path, *, manifest: bool = False) -> Iterator[Path]:
    """Yield a temporary folder next to `folder`. If the block ends without an error, it replaces `folder`.

    With `manifest`, sizes and sha256 of all files are written last, so that a reader can check that the folder is complete.
    An existing `folder` is kept until the new one is complete.

    Raises:
        DiskFullError: if the disk has no room; nothing is changed then.
    """
    temporary = _temporary_path(folder, "-")
    try:
        with _disk_full_error(folder, temporary):
            folder.parent.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
            yield temporary
            # everything is on the disk before the folder gets its name
            contents = sorted(path for path in temporary.rglob("*") if path.is_file())
            for path in contents:
                os.chmod(path, 0o666 & ~_umask())
                fsync_file(path)
            if manifest:
                rows = {
                    str(path.relative_to(temporary)): {"size": path.stat().st_size, "sha256": sha256_file(path)}
                    for path in contents
                }
                write_json(temporary / MANIFEST, {"schema": "medzoo.manifest/1", "files": rows})
            fsync_folder(temporary)
            if not folder.exists():
                os.replace(temporary, folder)
            elif not _exchange(temporary, folder):
                _replace_in_two_steps(temporary, folder)
        fsync_folder(folder.parent)  # after an exchange, `temporary` is the old folder and is removed
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary_path(path: Path, mark: str) -> Path:
    """A temporary path in the same folder. File systems limit names to 255 bytes, and a letter may have four."""
    name = f"{TEMPORARY}{uuid.uuid4().hex[:12]}{mark}{path.name}"
    while len(os.fsencode(name)) > 200:
        name = name[:-1]
    return path.with_name(name)


@contextmanager
def _disk_full_error(path: Path, temporary: Path) -> Iterator[None]:
    """Turn any error of a full disk into DiskFullError with the final path instead of the temporary one."""
    try:
        yield
    except Exception as error:
        if not is_disk_full(error):
            raise
        free = 0
        with suppress(OSError):
            free = shutil.disk_usage(path.parent).free
            written = (path for path in (temporary, *temporary.rglob("*")) if path.is_file())
            free += sum(path.stat().st_size for path in written)  # they are removed next
        raise DiskFullError(path, free) from error


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one atomic step; False if the file system cannot."""
    import ctypes

    arguments = (os.fsencode(one), os.fsencode(other))
    with suppress(OSError, AttributeError, ValueError):
        system = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "linux":
            return bool(system.renameat2(_AT_CWD, arguments[0], _AT_CWD, arguments[1], _SWAP) == 0)
        if sys.platform == "darwin":
            return bool(system.renamex_np(*arguments, _SWAP) == 0)
    return False


def _replace_in_two_steps(new: Path, folder: Path) -> None:
    """Replace a folder without an atomic exchange. After a kill between the steps, `sweep` moves the old folder back."""
    old = _temporary_path(folder, _OLD)
    os.replace(folder, old)
    try:
        os.replace(new, folder)
    except OSError:
        os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def verify_manifest(folder: Path) -> None:
    """Check that every file of a folder's manifest is there and unchanged.

    Raises:
        IntegrityError: if the manifest is missing or a file is missing or changed.
    """
    try:
        rows = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        text = f"{folder} has no readable {MANIFEST}: it was not written completely. Write it again."
        raise IntegrityError(text, code="manifest-unreadable") from error
    for name, row in rows.items():
        path = folder / name
        if not path.is_file():
            raise IntegrityError(f"{path} is listed in {MANIFEST} but missing.", code="manifest-file-missing")
        if path.stat().st_size != row["size"] or sha256_file(path) != row["sha256"]:
            text = f"{path} differs from {MANIFEST} ({row['size']} bytes) in size or sha256."
            raise IntegrityError(text, code="manifest-file-changed")


def sweep(folder: Path, older_than: float = ORPHAN_SECONDS, *, start: str = TEMPORARY) -> int:
    """Remove temporary files and folders that killed processes left; returns how many.

    A folder that was renamed for a replacement that never came is moved back instead.

    Args:
        folder: the folder with the leftovers.
        older_than: age in seconds after which no process still uses them.
        start: the beginning of the names to remove.
    """
    removed = 0
    for path in folder.glob(f"{start}*"):
        with suppress(OSError):
            age = time.time() - path.stat().st_mtime
            _, moved, name = path.name.partition(_OLD)
            if moved and not (folder / name).exists():
                if age > SWAP_SECONDS:
                    os.rename(path, folder / name)
            elif age > older_than:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                removed += 1
    return removed


def fingerprint(path: Path) -> dict[str, int]:
    """Size, modification time and inode of a file. They show a changed file without hashing."""
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "inode": status.st_ino}


def verified_sha256(path: Path, *, always: bool = False) -> str:
    """The sha256 of a file, hashed once and remembered in a receipt until size, mtime or inode change.

    Args:
        path: the file.
        always: hash again even with a valid receipt.
    """
    path = path.resolve()
    name, note = _receipt(path)
    before = fingerprint(path)
    if not always:
        receipt = _receipts_in_memory.get(name)
        if receipt is None:
            with suppress(OSError, ValueError):
                receipt = json.loads(note.read_text(encoding="utf-8"))
        if isinstance(receipt, dict) and receipt == {"path": str(path), "sha256": str(receipt.get("sha256")), **before}:
            return str(receipt["sha256"])
    digest = sha256_file(path)
    if fingerprint(path) != before:
        text = f"{path} changed while it was hashed. Wait until its writer has finished, then try again."
        raise IntegrityError(text, code="changed-while-hashing")
    _write_receipt(path, digest, before)
    return digest


def remember_sha256(path: Path, digest: str) -> None:
    """Write a receipt for a file with a known sha256, for example a file that was just written.

    Args:
        path: the file.
        digest: its sha256.
    """
    path = path.resolve()
    _write_receipt(path, digest, fingerprint(path))


def _write_receipt(path: Path, digest: str, state: dict[str, int]) -> None:
    name, note = _receipt(path)
    _receipts_in_memory[name] = receipt = {"path": str(path), "sha256": digest, **state}
    with suppress(OSError):  # with a read-only home, receipts are in memory only
        write_json(note, receipt)


def _receipt(path: Path) -> tuple[str, Path]:
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    return name, paths.home() / "receipts" / f"{name}.json"


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
