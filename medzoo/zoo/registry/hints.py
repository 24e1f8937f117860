"""Errors for a name or file that is not a checkpoint, with the next step for the user."""

from __future__ import annotations

import json
import os
import urllib.parse
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from medzoo.errors import IntegrityError, MedzooError, UnknownNameError, UsageError, WeightsUnavailableError, listed
from medzoo.zoo.registry.checkpoint import Checkpoint
from medzoo.zoo.registry.locations import CONFIG, WEIGHTS
from medzoo.zoo.registry.random_weights import SUFFIX
from medzoo.zoo.registry.registry import HOW, info, is_known, names, own_dir

# Endings of weights files; a folder or repository with such a name needs the prefix hf-hub: or local-dir:.
WEIGHTS_FILES = (
    ".pt",
    ".pth",
    ".pth.tar",
    ".tar",
    ".ckpt",
    ".bin",
    ".pkl",
    ".h5",
    ".hdf5",
    ".keras",
    ".npz",
    ".safetensors",
    ".zip",
)
# Endings of weights inside zip files of torch, NumPy, Keras, TensorFlow.
IN_ZIPS = ("data.pkl", ".npy", ".h5", ".index", ".safetensors", ".pt", ".pth")
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
STATUS = "status.json"  # of a run folder


def refuse_unknown_architecture(name: str) -> None:
    """Refuse a network that cannot be drawn, before anything is loaded.

    Args:
        name: of an architecture, without `-random`.

    Raises:
        UnknownNameError: with the nearest names of timm and of medzoo's variants.
    """
    if is_known(f"{name}{SUFFIX}"):
        return
    import timm  # here, since names of the registry need no torch

    raise UnknownNameError(
        "architecture", name, timm.list_models(), "`timm.list_models()` in Python shows the names of timm."
    )


def published_files(entry: Checkpoint) -> set[str]:
    """The file names under which a checkpoint's authors published its weights.

    The last part of an address counts too, unless it is only the architecture's name, which many files have.

    Args:
        entry: the checkpoint.
    """
    source = entry.upstream
    if source is None:
        return set()
    files = {source.file} if source.file else set()
    if source.access == "direct" and source.url and not source.hub:
        last = urllib.parse.unquote(Path(urllib.parse.urlsplit(source.url).path).name)
        files |= {last} if last and last.partition(".")[0] != entry.architecture else set()
    return files


def owners(file: str) -> list[str]:
    """The checkpoints in medzoo's registry whose authors published a file with this name.

    Args:
        file: its name, without folder.

    >>> owners("RadImageNet-ResNet50_notop.h5")
    ['resnet50-radimagenet_keras']
    """
    own = own_dir()
    return [name for name in names() if not (own / f"{name}.toml").is_file() and file in published_files(info(name))]


def refuse_file(name: str) -> None:
    """Refuse a file instead of a checkpoint: `load` reads folders; `convert` and `add` turn weights files into folders.

    Args:
        name: the requested name.

    Raises:
        UsageError: for a weights file, with the command that turns it into a folder.
        UnknownNameError: for any other file.
    """
    path = Path(name).expanduser()
    is_file = os.path.isfile(path)  # noqa: PTH113 - False, not an error, for a name that no file could have
    local = is_file or "/" not in name or os.path.isdir(path.parent)  # noqa: PTH112 - else it may be a repository
    called = local and name.lower().endswith(WEIGHTS_FILES)
    if is_file and _begins(path, LFS_POINTER):
        raise UsageError(
            f"{name} is a Git LFS pointer, not the file itself. Run `git lfs pull` in its clone.",
            code="git-lfs-pointer",
        )
    if is_file and not called and not holds_weights(path):
        raise UnknownNameError(
            "checkpoint", name, names(), f"A file with this name exists, but it holds no weights. {HOW}"
        )
    if not is_file and not called:
        return
    known = owners(path.name)
    what = f"{name} is a weights file" if is_file else f"{name} has the name of a weights file"
    convert = " or ".join(f"`medzoo convert {name} {owner}`" for owner in known[:3]) or f"`medzoo convert {name} NAME`"
    raise UsageError(
        f"{what}; give the name or folder of a checkpoint. For a published file, run {convert}; for your own weights, run "
        f"`medzoo add {name} NAME ...`.",
        code="file-instead-of-checkpoint",
    )


def holds_weights(path: Path) -> bool:
    """Whether a file begins like a weights file of a known format.

    Args:
        path: an existing file.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
        if head.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(path) as packed:
                return any(name.endswith(IN_ZIPS) for name in packed.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return False
    pickled = head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")  # old torch files, too
    safetensors = head[8:9] == b"{" and 0 < int.from_bytes(head[:8], "little") < 2**32
    return pickled or safetensors or head.startswith(b"\x89HDF\r\n\x1a\n") or head[257:262] == b"ustar"


def _begins(path: Path, start: bytes) -> bool:
    with suppress(OSError), path.open("rb") as file:
        return file.read(len(start)) == start
    return False


def no_checkpoint(path: Path) -> MedzooError:
    """The error for a path that is not a checkpoint folder: what it is instead, and the next step.

    Args:
        path: the path that the user gave.
    """
    if (unfinished := unfinished_run(path)) is not None:
        return unfinished
    if path.is_file():
        return UsageError(
            f"{path} is a file. Give the folder of a checkpoint, which holds {CONFIG} and {WEIGHTS}.",
            code="file-instead-of-folder",
        )
    if not path.is_dir():
        return WeightsUnavailableError(f"There is no folder {path}.", code="no-such-folder")
    folder = path / "checkpoint" if (path / "checkpoint").is_dir() else path
    absent = next((name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()), "nothing")
    files: list[str] = []
    with suppress(OSError):
        files = sorted(file.name for file in folder.iterdir() if file.name.lower().endswith(WEIGHTS_FILES))
    more = (
        f" It holds {listed(files, 3)}; `medzoo convert` or `medzoo add` turns such a file into a checkpoint."
        if files
        else ""
    )
    return IntegrityError(
        f"{folder} is not a checkpoint folder: {absent} is missing.{more}", code="not-a-checkpoint-folder"
    )


def unfinished_run(path: Path) -> WeightsUnavailableError | None:
    """The error for a run folder without a checkpoint, or for its missing `checkpoint` folder; else None.

    Args:
        path: the path that the user gave.
    """
    for run in (path, path.parent) if path.name == "checkpoint" else (path,):
        if (rows := _status(run)) is not None and not (run / "checkpoint").is_dir():
            code, progress = _progress(rows)
            return WeightsUnavailableError(f"{run} is a run folder without a checkpoint: {progress}", code=code)
    return None


def _status(run: Path) -> dict[str, Any] | None:
    """The content of a run folder's status file; None if it is not a run folder."""
    with suppress(OSError, ValueError):
        rows = json.loads((run / STATUS).read_text(encoding="utf-8"))
        if isinstance(rows, dict) and str(rows.get("schema", "")).startswith("medzoo.status/"):
            return rows
    return None


def _progress(rows: dict[str, Any]) -> tuple[str, str]:
    """The error's code, and what the status file says."""
    state = rows.get("state")
    if state == "done":
        return (
            "run-without-weights",
            "the run has ended and stored no weights (it was a probe, or an option turned the checkpoint off).",
        )
    if state == "failed":
        return "run-failed", f"the run failed ({rows.get('error', 'no reason is recorded')}). Run it again."
    step = f" at step {rows['step']} of {rows['steps']}" if rows.get("step") and rows.get("steps") else ""
    return "run-not-ended", (
        f"the run has not ended (state {state}{step}); it writes the checkpoint at its end. Run the same command again to "
        "continue."
    )
