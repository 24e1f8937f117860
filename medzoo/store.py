"""Files that are never half written: temporary file, fsync, rename; manifests, claims and receipts."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from medzoo import paths
from medzoo.errors import IntegrityError, RunFolderError

MANIFEST = "MANIFEST.json"
TEMPORARY = ".tmp-"
ORPHAN_SECONDS = 24 * 3600
_receipts_in_memory: dict[str, dict[str, Any]] = {}


def canonical_json(value: object) -> str:
    """One spelling for one value: sorted keys, no NaN. What is hashed or compared goes through here."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


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
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex[:12]}-{path.name}"[:200])
    try:
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
    """Write a whole UTF-8 text file or nothing."""
    write_bytes(path, content.encode())


def write_json(path: Path, value: object) -> None:
    """Write indented, sorted JSON without NaN, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def atomic_folder(folder: Path, *, manifest: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside `folder`; on leaving without an error it takes its place.

    With `manifest`, sizes and sha256 of all files are written last, so that a reader can tell a whole folder.
    An existing `folder` is replaced, and kept until the new one stands.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f"{TEMPORARY}{uuid.uuid4().hex[:12]}-{folder.name}"[:200])
    temporary.mkdir()
    try:
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
        old = None
        if folder.exists():
            old = folder.with_name(f"{TEMPORARY}{uuid.uuid4().hex[:12]}-old")
            os.replace(folder, old)
        try:
            os.replace(temporary, folder)
        except OSError:
            if old is not None:
                os.replace(old, folder)
            raise
        fsync_folder(folder.parent)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def verify_manifest(folder: Path) -> None:
    """Check that a folder holds exactly what its manifest lists.

    Raises:
        IntegrityError: if the manifest is missing or a file is missing or changed.
    """
    try:
        rows = json.loads((folder / MANIFEST).read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{folder} has no readable {MANIFEST}: it was not written to its end.") from error
    for name, row in rows.items():
        path = folder / name
        if not path.is_file():
            raise IntegrityError(f"{path} is listed in {MANIFEST} and missing.")
        if path.stat().st_size != row["size"] or sha256_file(path) != row["sha256"]:
            raise IntegrityError(f"{path} is not the file that {MANIFEST} lists ({row['size']} bytes).")


def sweep(folder: Path, older_than: float = ORPHAN_SECONDS) -> int:
    """Remove temporary files and folders that a killed process left behind; returns how many."""
    removed = 0
    for path in folder.glob(f"{TEMPORARY}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > older_than:
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
    name = hashlib.sha256(str(path).encode()).hexdigest()[:32]
    note = paths.home() / "receipts" / f"{name}.json"
    before = fingerprint(path)
    if not always:
        receipt = _receipts_in_memory.get(name)
        if receipt is None:
            with suppress(OSError, ValueError):
                receipt = json.loads(note.read_text())
        if isinstance(receipt, dict) and all(receipt.get(key) == value for key, value in before.items()):
            return str(receipt["sha256"])
    digest = sha256_file(path)
    if fingerprint(path) != before:
        raise IntegrityError(f"{path} changed while it was being hashed. Let its writer finish, then try again.")
    receipt = {"path": str(path), "sha256": digest, **before}
    _receipts_in_memory[name] = receipt
    with suppress(OSError):  # a read-only home keeps receipts in memory only
        write_json(note, receipt)
    return digest


def process_alive(pid: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError):  # a zombie has ended, though its number is still taken
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


@contextmanager
def claim(path: Path, *, lease: float = 3600.0) -> Iterator[None]:
    """Hold `path` as a lock file while the block runs, so that two workers never do the same work.

    A claim of a dead process of this host, or one of another host older than `lease` seconds, is taken over.

    Raises:
        RunFolderError: if a live process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = {"host": socket.gethostname(), "pid": os.getpid(), "started": time.time(), "token": uuid.uuid4().hex}
    for attempt in range(100):
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            time.sleep(0.001 * attempt)
            holder = _holder(path)
            if holder is None:  # given back in this moment
                continue
            if _claim_is_live(path, holder, lease):
                raise RunFolderError(
                    f"{path} is held by {holder or 'a process that just began'}. Wait for it, or remove the file if it is gone."
                ) from None
            _set_aside(path, holder)
            continue
        with os.fdopen(handle, "w") as file:
            json.dump(mine, file)
        break
    else:
        raise RunFolderError(f"{path} is contended by several processes; try again.")
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            if json.loads(path.read_text()).get("token") == mine["token"]:
                path.unlink()


def _holder(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return None


def _set_aside(path: Path, judged: str) -> None:
    """Remove a dead claim; if a live one had taken its place meanwhile, put that back."""
    aside = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex[:12]}-stale")
    with suppress(FileNotFoundError):  # of several takers only one renames
        os.rename(path, aside)
        if _holder(aside) != judged:
            with suppress(FileExistsError):
                os.link(aside, path)
        aside.unlink()


def _claim_is_live(path: Path, content: str, lease: float) -> bool:
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return False
    try:
        holder = json.loads(content)
    except ValueError:
        return age < 5  # just created, not yet written
    if holder.get("host") == socket.gethostname():
        return process_alive(int(holder.get("pid", -1)))
    return age < lease


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
