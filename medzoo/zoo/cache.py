"""What lies in medzoo's home on this machine: listed with sizes, verified, and pruned of what nobody needs."""

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
from medzoo.zoo.registry.locations import PUBLIC_HUB, cache_root, is_folder

# Folders of the home, and what their entries are. A person's own entries (hub_configs) and consents (accepted) are no cache.
KINDS = {
    "checkpoints": "checkpoint", "snapshots": "from the Hub", "upstream": "download", "decoded": "decoded images",
    "features": "features", "data": "data set",
}  # fmt: skip
_STATED = re.compile(r"-([0-9a-f]{64})\.safetensors")  # a file whose name holds its sha256, as those of decoded images
PART_SECONDS = 24 * 3600.0  # a download that nobody went on with for a day


@dataclass(frozen=True)
class Item:
    """Something in the cache.

    Args:
        kind: of KINDS.
        name: of the checkpoint, the repository with its commit, or the file.
        path: where it lies.
        size: bytes on the disk.
        whole: False for what a download or a kill left unfinished.
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
    """Whether an item is what it claims to be.

    Args:
        item: the item.
        result: PASS, FAIL, or SKIP where nothing was stated to compare with.
        detail: what was found.
    """

    item: Item
    result: str
    detail: str


def list_cached(cache_dir: str | os.PathLike[str] | None = None) -> list[Item]:
    """Everything that medzoo fetched, converted or decoded here, largest kind of use first.

    Args:
        cache_dir: instead of MEDZOO_HOME.
    """
    root = cache_root(cache_dir)
    return [item for kind in KINDS for item in _items(root / kind, KINDS[kind])]


def _items(folder: Path, kind: str) -> Iterator[Item]:
    if kind == "from the Hub":
        places = [place for repo in _below(folder) for place in _below(repo) if place.suffix != ".json"]
    elif kind == "download":
        places = [
            place for name in _below(folder) if name.is_dir() for place in _below(name) if place.suffix != ".json"
        ]
    else:
        places = _below(folder)
    for place in places:
        if place.name.endswith(".lock"):
            continue
        unfinished = place.name.startswith(".") or place.name.endswith(".part")
        whole = not unfinished and (kind not in ("checkpoint", "from the Hub") or is_folder(place) or _single(place))
        name = place.name if place.parent == folder else f"{_whose(place.parent, kind)}@{place.name}"
        yield Item(kind, name, place, _size(place), whole)


def _whose(folder: Path, kind: str) -> str:
    """The repository of a folder, with the address of its Hub if that is another than the public one."""
    if kind != "from the Hub":
        return folder.name
    repo, hub = repo_and_hub(folder)
    return repo if hub in ("", PUBLIC_HUB) else f"{hub.partition('://')[2]}/{repo}"


def _single(place: Path) -> bool:
    """A commit of which one file was wanted (an upstream file on the Hub)."""
    return place.parent.parent.name == "snapshots" and place.is_dir() and any(place.iterdir())


def _below(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(folder.iterdir())
    return []


def _size(path: Path) -> int:
    if path.is_symlink() or path.is_file():
        return path.lstat().st_size
    return sum(_size(below) for below in _below(path))


def verify_cached(
    items: Iterable[Item] | None = None, cache_dir: str | os.PathLike[str] | None = None
) -> Iterator[Verdict]:
    """Hash checkpoints and decoded images again and compare with what they state.

    Args:
        items: of `list_cached`; by default all of it.
        cache_dir: instead of MEDZOO_HOME.
    """
    from medzoo.zoo.download.fetch import verify
    from medzoo.zoo.registry.locations import LocatedFolder

    for item in list_cached(cache_dir) if items is None else items:
        if item.kind == "decoded images":
            yield _verify_decoded(item)
        if item.kind not in ("checkpoint", "from the Hub"):
            continue
        if not item.whole:
            yield Verdict(item, "FAIL", "unfinished; `medzoo cache prune` removes it when it is a day old")
        elif not is_folder(item.path):
            yield Verdict(item, "SKIP", "an upstream file; its hash was checked when it came")
        else:
            try:
                config = verify(LocatedFolder(item.name, item.path), always=True)
            except (MedzooError, OSError) as error:
                yield Verdict(item, "FAIL", str(error))
                continue
            stated = config.facts is not None
            detail = f"sha256 {config.facts.sha256}" if config.facts else "it states no sha256"
            yield Verdict(item, "PASS" if stated else "SKIP", detail)


def _verify_decoded(item: Item) -> Verdict:
    """Whether the parts of a store of decoded images have the sha256 of their names."""
    stated = {path: found[1] for path in _below(item.path) if (found := _STATED.search(path.name))}
    if not stated:
        return Verdict(item, "SKIP", "it states no sha256")
    try:
        wrong = [path.name for path, digest in stated.items() if store.verified_sha256(path, always=True) != digest]
    except (MedzooError, OSError) as error:
        return Verdict(item, "FAIL", str(error))
    if wrong:
        return Verdict(item, "FAIL", f"damaged: {listed(wrong, 3)}; what uses it next decodes those images again")
    return Verdict(item, "PASS", f"{len(stated)} parts have the sha256 of their names")


def prune(
    names: Sequence[str] = (), *, dry_run: bool = False, cache_dir: str | os.PathLike[str] | None = None
) -> list[Item]:
    """Remove what is left over: unfinished files of yesterday, dead locks, receipts of files that are gone; or what is named.

    Args:
        names: items to remove as well, by the name that `list_cached` gives them; a repository's name removes all its
            commits, and forgets which of them was loaded first.
        dry_run: only say what would go.
        cache_dir: instead of MEDZOO_HOME.

    Returns:
        What went.

    Raises:
        UsageError: for a name that is not there.
    """
    root, here = cache_root(cache_dir), list_cached(cache_dir)
    chosen = [item for item in here if item.name in names or item.name.partition("@")[0] in names]
    found = {name for item in chosen for name in (item.name, item.name.partition("@")[0])}
    if missing := [name for name in names if name not in found]:
        raise UsageError(f"There is no {', '.join(missing)} in the cache; `medzoo cache list` shows what is.")
    old = time.time() - PART_SECONDS
    chosen += [item for item in here if item not in chosen and _is_left(item, root) and _last_change(item.path) < old]
    known = {item.path for item in chosen}
    orphans = [path for path in _orphans(root, old) if path not in known]
    chosen += [Item("left over", str(path.relative_to(root)), path, _size(path), whole=False) for path in orphans]
    chosen += [Item("lock", path.name, path, _size(path), whole=False) for path in _dead_locks(root)]
    chosen += [Item("receipt", path.name, path, _size(path)) for path in _idle_receipts()]
    for item in chosen if not dry_run else ():
        with suppress(FileNotFoundError):
            shutil.rmtree(item.path) if item.path.is_dir() and not item.path.is_symlink() else item.path.unlink()
    if not dry_run:
        for folder in {item.path.parent for item in chosen if item.name.partition("@")[0] in names}:
            if folder.parent == root / "snapshots":
                _forget(folder)
        for folder in (root / kind for kind in ("checkpoints", "decoded", "features")):
            store.sweep(folder)  # puts a folder back that was moved aside for one that never came
    return chosen


def _forget(folder: Path) -> None:
    """Which commit of a repository was taken first: without its files the next load takes the head of today."""
    for note in folder.glob("*.json"):
        with suppress(OSError):
            note.unlink()
    with suppress(OSError):
        folder.rmdir()


def _is_left(item: Item, root: Path) -> bool:
    """Whether an item is unfinished, or a download that was converted and not let go because of a kill."""
    used = item.kind == "download" and is_folder(root / "checkpoints" / item.path.parent.name)
    earlier = item.kind == "decoded images" and item.path.is_file()  # a store was one file once; nothing reads it now
    return used or earlier or not item.whole


def _orphans(root: Path, before: float) -> Iterator[Path]:
    for depth in ("", "*/", "*/*/"):
        for path in root.glob(f"{depth}{store.TEMPORARY}*"):
            moved_aside = "-old-" in path.name  # store.sweep decides about it
            with suppress(OSError):
                if not moved_aside and path.lstat().st_mtime < before:
                    yield path
    for note in root.glob("upstream/*/*.json"):  # the address of a download that is converted, or that never began
        needed = [path for path in _below(note.parent) if path.suffix != ".json" and path.name.startswith(note.stem)]
        with suppress(OSError):
            if (not needed or is_folder(root / "checkpoints" / note.parent.name)) and note.lstat().st_mtime < before:
                yield note


def _dead_locks(root: Path) -> Iterator[Path]:
    for path in (*root.glob("*/.*.lock"), *root.glob("*/*/.*.lock")):
        with suppress(OSError):
            if not locks.is_live(path, path.read_text().strip()):
                yield path


def _idle_receipts() -> Iterator[Path]:
    for path in _below(paths.home() / "receipts"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if not Path(json.loads(path.read_text(encoding="utf-8"))["path"]).exists():
                yield path


def _last_change(path: Path) -> float:
    times = [path.lstat().st_mtime]
    times += [_last_change(below) for below in _below(path)] if path.is_dir() else []
    return max(times)
