"""The cache in medzoo's home on this machine: list it with sizes, verify it, and remove what is not needed."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medzoo import locks, paths, store
from medzoo.errors import MedzooError, UsageError, listed
from medzoo.zoo.download.resolved_revisions import repo_and_hub
from medzoo.zoo.folder.read_write import verify_folder
from medzoo.zoo.registry.locations import PUBLIC_HUB, LocatedFolder, cache_root, is_folder

# Folders of the home and the kinds of their items. The user's own entries (hub_configs) and consents (accepted) are not cache.
KINDS = {
    "checkpoints": "checkpoint",
    "snapshots": "from the Hub",
    "upstream": "download",
    "decoded": "decoded images",
    "features": "features",
    "data": "data set",
}
_SHA256_NAME = re.compile(r"-([0-9a-f]{64})\.safetensors")  # decoded images have their sha256 in the file name
PART_SECONDS = 24 * 3600.0  # age of an unfinished download that is removed


@dataclass(frozen=True)
class Item:
    """One item of the cache.

    Args:
        kind: a value of KINDS.
        name: of the checkpoint, the repository with its commit, or the file.
        path: its file or folder.
        size: bytes on the disk.
        whole: False if it is unfinished, after a broken download or a kill.
    """

    kind: str
    name: str
    path: Path
    size: int
    whole: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {**asdict(self), "path": str(self.path)}


@dataclass(frozen=True)
class Verdict:
    """Whether an item matches its sha256.

    Args:
        item: the item.
        result: PASS, FAIL, or SKIP if there is no sha256 to compare with.
        detail: one sentence about the result.
    """

    item: Item
    result: str
    detail: str


def list_cached(cache_dir: str | os.PathLike[str] | None = None) -> list[Item]:
    """Everything that medzoo fetched, converted or decoded on this machine, in the order of KINDS.

    Args:
        cache_dir: instead of MEDZOO_HOME.
    """
    root = cache_root(cache_dir)
    return [item for kind in KINDS for item in _items(root / kind, KINDS[kind])]


def _items(folder: Path, kind: str) -> Iterator[Item]:
    if kind in ("from the Hub", "download"):  # one level deeper: a folder for each repository or checkpoint
        found = [path for above in _entries(folder) for path in _entries(above) if path.suffix != ".json"]
    else:
        found = _entries(folder)
    for path in found:
        if path.name.endswith(".lock"):
            continue
        unfinished = path.name.startswith(".") or path.name.endswith(".part")
        whole = not unfinished and (
            kind not in ("checkpoint", "from the Hub") or is_folder(path) or _upstream_file(path)
        )
        name = path.name if path.parent == folder else f"{_owner(path.parent, kind)}@{path.name}"
        yield Item(kind, name, path, _size(path), whole)


def _owner(folder: Path, kind: str) -> str:
    """The repository or checkpoint of a folder, with the address of its Hub if it is not the public one."""
    if kind != "from the Hub":
        return folder.name
    repo, hub = repo_and_hub(folder)
    return repo if hub in ("", PUBLIC_HUB) else f"{hub.partition('://')[2]}/{repo}"


def _upstream_file(path: Path) -> bool:
    """Whether this is a commit of which only one file was fetched (an upstream file on the Hub)."""
    return path.parent.parent.name == "snapshots" and path.is_dir() and any(path.iterdir())


def _entries(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(folder.iterdir())
    return []


def _size(path: Path) -> int:
    if path.is_symlink() or path.is_file():
        return path.lstat().st_size
    return sum(_size(entry) for entry in _entries(path))


def verify_cached(
    items: Iterable[Item] | None = None, cache_dir: str | os.PathLike[str] | None = None
) -> Iterator[Verdict]:
    """Hash checkpoints and decoded images again and compare with their recorded sha256.

    Args:
        items: of `list_cached`; by default all of them.
        cache_dir: instead of MEDZOO_HOME.
    """

    for item in list_cached(cache_dir) if items is None else items:
        if item.kind == "decoded images":
            yield _verify_decoded(item)
        if item.kind not in ("checkpoint", "from the Hub"):
            continue
        if not item.whole:
            yield Verdict(item, "FAIL", "unfinished; `medzoo cache prune` removes it after one day")
        elif not is_folder(item.path):
            yield Verdict(item, "SKIP", "an upstream file; its hash was checked when it was downloaded")
        else:
            try:
                config = verify_folder(LocatedFolder(item.name, item.path), always=True)
            except (MedzooError, OSError) as error:
                yield Verdict(item, "FAIL", str(error))
                continue
            if config.facts:
                yield Verdict(item, "PASS", f"sha256 {config.facts.sha256}")
            else:
                yield Verdict(item, "SKIP", "it has no recorded sha256")


def _verify_decoded(item: Item) -> Verdict:
    """Whether the parts of a folder of decoded images match the sha256 in their names."""
    expected = {path: match[1] for path in _entries(item.path) if (match := _SHA256_NAME.search(path.name))}
    if not expected:
        return Verdict(item, "SKIP", "it has no recorded sha256")
    try:
        wrong = [path.name for path, digest in expected.items() if store.verified_sha256(path, always=True) != digest]
    except (MedzooError, OSError) as error:
        return Verdict(item, "FAIL", str(error))
    if wrong:
        return Verdict(
            item, "FAIL", f"damaged: {listed(wrong, 3)}; the next run that needs these images decodes them again"
        )
    return Verdict(item, "PASS", f"{len(expected)} parts match the sha256 in their names")


def prune(
    names: Sequence[str] = (), *, dry_run: bool = False, cache_dir: str | os.PathLike[str] | None = None
) -> list[Item]:
    """Remove leftovers (unfinished files older than a day, stale locks, receipts of removed files) and the named items.

    Args:
        names: items to remove as well, by their names in `list_cached`. A repository's name removes all its commits and the
            note of the commit that was loaded first.
        dry_run: only list what would be removed.
        cache_dir: instead of MEDZOO_HOME.

    Returns:
        The removed items.

    Raises:
        UsageError: for a name that is not in the cache.
    """
    # the named items
    root, here = cache_root(cache_dir), list_cached(cache_dir)
    chosen = [item for item in here if item.name in names or item.name.partition("@")[0] in names]
    known_names = {name for item in chosen for name in (item.name, item.name.partition("@")[0])}
    if missing := [name for name in names if name not in known_names]:
        raise UsageError(
            f"Not in the cache: {', '.join(missing)}. `medzoo cache list` shows what it has.", code="not-in-cache"
        )
    # leftovers: they are removed without being named
    old = time.time() - PART_SECONDS
    chosen += [
        item for item in here if item not in chosen and _is_leftover(item, root) and _last_change(item.path) < old
    ]
    known = {item.path for item in chosen}
    orphans = [path for path in _orphans(root, old) if path not in known]
    chosen += [Item("left over", str(path.relative_to(root)), path, _size(path), whole=False) for path in orphans]
    chosen += [Item("lock", path.name, path, _size(path), whole=False) for path in _stale_locks(root)]
    chosen += [Item("receipt", path.name, path, _size(path)) for path in _unused_receipts()]
    for item in chosen if not dry_run else ():
        with suppress(FileNotFoundError):
            shutil.rmtree(item.path) if item.path.is_dir() and not item.path.is_symlink() else item.path.unlink()
    if not dry_run:
        for folder in {item.path.parent for item in chosen if item.name.partition("@")[0] in names}:
            if folder.parent == root / "snapshots":
                _remove_notes(folder)
        for folder in (root / kind for kind in ("checkpoints", "decoded", "features")):
            store.sweep(folder)  # also moves a folder back whose replacement never came
    return chosen


def _remove_notes(folder: Path) -> None:
    """Remove the notes of a repository's first commit: the next load takes the newest commit."""
    for note in folder.glob("*.json"):
        with suppress(OSError):
            note.unlink()
    with suppress(OSError):
        folder.rmdir()


def _is_leftover(item: Item, root: Path) -> bool:
    """Whether an item is unfinished, or a download that was converted but not removed because of a kill."""
    converted = item.kind == "download" and is_folder(root / "checkpoints" / item.path.parent.name)
    old_form = (
        item.kind == "decoded images" and item.path.is_file()
    )  # a single file: an old form that nothing reads now
    return converted or old_form or not item.whole


def _orphans(root: Path, before: float) -> Iterator[Path]:
    for depth in ("", "*/", "*/*/"):
        for path in root.glob(f"{depth}{store.TEMPORARY}*"):
            replaced = "-old-" in path.name  # store.sweep handles it
            with suppress(OSError):
                if not replaced and path.lstat().st_mtime < before:
                    yield path
    for note in root.glob("upstream/*/*.json"):  # the address of a download that is converted, or that never began
        needed = [path for path in _entries(note.parent) if path.suffix != ".json" and path.name.startswith(note.stem)]
        with suppress(OSError):
            if (not needed or is_folder(root / "checkpoints" / note.parent.name)) and note.lstat().st_mtime < before:
                yield note


def _stale_locks(root: Path) -> Iterator[Path]:
    for path in (*root.glob("*/.*.lock"), *root.glob("*/*/.*.lock")):
        with suppress(OSError):
            if not locks.is_live(path, path.read_text().strip()):
                yield path


def _unused_receipts() -> Iterator[Path]:
    for path in _entries(paths.home() / "receipts"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if not Path(json.loads(path.read_text(encoding="utf-8"))["path"]).exists():
                yield path


def _last_change(path: Path) -> float:
    times = [path.lstat().st_mtime]
    times += [_last_change(entry) for entry in _entries(path)] if path.is_dir() else []
    return max(times)
