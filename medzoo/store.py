"""Files that are never half written: temporary file, fsync, rename; manifests and receipts. Lock files are in locks.py."""

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

__all__ = [
    "atomic_folder", "atomic_path", "canonical_json", "claim", "fingerprint", "fsync_file", "fsync_folder", "process_alive",
    "remember_sha256", "sha256_file", "sha256_of", "sweep", "verified_sha256", "verify_manifest", "write_bytes", "write_json",
    "write_text",
]  # fmt: skip

MANIFEST = "MANIFEST.json"
TEMPORARY = ".tmp-"
ORPHAN_SECONDS, SWAP_SECONDS = 24 * 3600, 60
_OLD = "-old-"
_AT_CWD, _SWAP = -100, 2  # of renameat2 and renamex_np: paths from here, exchange
_receipts_in_memory: dict[str, dict[str, Any]] = {}


def canonical_json(value: object) -> str:
    """One spelling for one value: sorted keys, no NaN. What is hashed or compared goes through here."""
    return _json(value, separators=(",", ":"))


def _json(value: object, **layout: Any) -> str:  # noqa: ANN401 - of json.dumps
    """JSON that UTF-8 can hold: the bytes of a file name that are no UTF-8 are escapes, which a reader turns back."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, **layout)
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def sha256_of(value: object) -> str:
    """The sha256 of a JSON value's canonical spelling."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """The sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fsync_folder(folder: Path) -> None:
    """Make renames inside a folder durable (where the system has folder handles)."""
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
    """Give a temporary path in the same folder; on leaving without an error it becomes `path` at once.

    Modes follow the umask, also for libraries that create private files (safetensors writes 0600).

    Raises:
        DiskFullError: if there is no room; nothing has changed then.
    """
    temporary = _beside(path, "-")
    try:
        with _told_if_full(path, temporary):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            os.chmod(temporary, 0o666 & ~_umask())
            fsync_file(temporary)
            os.replace(temporary, path)
        fsync_folder(path.parent)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file or nothing."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a whole UTF-8 text file or nothing; a file name in it that is no UTF-8 is written with its own bytes."""
    write_bytes(path, content.encode(errors="surrogateescape"))


def write_json(path: Path, value: object) -> None:
    """Write indented, sorted JSON without NaN, whole or not at all."""
    write_text(path, _json(value, indent=2) + "\n")


@contextmanager
def atomic_folder(folder: Path, *, manifest: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside `folder`; on leaving without an error it takes its place.

    With `manifest`, sizes and sha256 of all files are written last, so that a reader can tell a whole folder.
    An existing `folder` is replaced, and kept until the new one stands.

    Raises:
        DiskFullError: if there is no room; nothing has changed then.
    """
    temporary = _beside(folder, "-")
    try:
        with _told_if_full(folder, temporary):
            folder.parent.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
            yield temporary
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
        fsync_folder(folder.parent)  # after an exchange `temporary` holds the old folder, and goes
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _beside(path: Path, mark: str) -> Path:
    """A temporary name in the same folder; the file system counts bytes, of which a letter may have four."""
    name = f"{TEMPORARY}{uuid.uuid4().hex[:12]}{mark}{path.name}"
    while len(os.fsencode(name)) > 200:
        name = name[:-1]
    return path.with_name(name)


@contextmanager
def _told_if_full(path: Path, temporary: Path) -> Iterator[None]:
    """Say what had no room, instead of the words of whoever wrote to the temporary place."""
    try:
        yield
    except Exception as error:
        if not is_disk_full(error):
            raise
        free = 0
        with suppress(OSError):
            free = shutil.disk_usage(path.parent).free
            parts = [part for part in (temporary, *temporary.rglob("*")) if part.is_file()]
            free += sum(part.stat().st_size for part in parts)  # what was written so far is about to go
        raise DiskFullError(path, free) from error


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step of the file system; False where it has none."""
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
    """Where folders cannot change places: a kill between the steps leaves the old one beside, and `sweep` puts it back."""
    old = _beside(folder, _OLD)
    os.replace(folder, old)
    try:
        os.replace(new, folder)
    except OSError:
        os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def verify_manifest(folder: Path) -> None:
    """Check that a folder holds exactly what its manifest lists.

    Raises:
        IntegrityError: if the manifest is missing or a file is missing or changed.
    """
    try:
        rows = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{folder} has no readable {MANIFEST}: it was not written to its end.") from error
    for name, row in rows.items():
        path = folder / name
        if not path.is_file():
            raise IntegrityError(f"{path} is listed in {MANIFEST} and missing.")
        if path.stat().st_size != row["size"] or sha256_file(path) != row["sha256"]:
            raise IntegrityError(f"{path} is not the file that {MANIFEST} lists ({row['size']} bytes).")


def sweep(folder: Path, older_than: float = ORPHAN_SECONDS, *, start: str = TEMPORARY) -> int:
    """Remove temporary files and folders that a killed process left behind; returns how many.

    A folder that was moved aside for one that never came is put back instead.

    Args:
        folder: where they lie.
        older_than: age in seconds that shows that nobody works on them.
        start: only of names that begin so.
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
    """Size, time of change and inode of a file: what tells, without hashing, that it is another one now."""
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
        raise IntegrityError(f"{path} changed while it was being hashed. Let its writer finish, then try again.")
    _remember(path, digest, before)
    return digest


def remember_sha256(path: Path, digest: str) -> None:
    """Leave a receipt for a file whose sha256 is known, for example since it was just written.

    Args:
        path: the file.
        digest: its sha256.
    """
    path = path.resolve()
    _remember(path, digest, fingerprint(path))


def _remember(path: Path, digest: str, state: dict[str, int]) -> None:
    name, note = _receipt(path)
    receipt = {"path": str(path), "sha256": digest, **state}
    _receipts_in_memory[name] = receipt
    with suppress(OSError):  # a read-only home keeps receipts in memory only
        write_json(note, receipt)


def _receipt(path: Path) -> tuple[str, Path]:
    """A receipt's name and file."""
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    return name, paths.home() / "receipts" / f"{name}.json"


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
