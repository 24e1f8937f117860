"""What to tell a person whose name or file is not what was asked for, and which step leads on."""

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
from medzoo.zoo.registry.registry import HOW, info, names, own_dir

# How weights files end; a folder or a repository of such a name is still found by hf-hub: or local-dir:.
WEIGHTS_FILES = (
    ".pt", ".pth", ".pth.tar", ".tar", ".ckpt", ".bin", ".pkl", ".h5", ".hdf5", ".keras", ".npz", ".safetensors", ".zip",
)  # fmt: skip
IN_ZIPS = ("data.pkl", ".npy", ".h5", ".index", ".safetensors", ".pt", ".pth")  # of torch, NumPy, Keras, TensorFlow
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
STATUS = "status.json"  # of a run folder


def text_of(name: object) -> str:
    """A name as text; a path object is a path, also where a checkpoint has the same name.

    Args:
        name: what a caller gave: text, or a path.

    Raises:
        UsageError: for anything else.

    >>> text_of("resnet18-random"), text_of(Path("./resnet18-random"))
    ('resnet18-random', './resnet18-random')
    """
    if not isinstance(name, str | os.PathLike):
        raise UsageError(f"The name is {name!r}; give the name of a checkpoint (`medzoo list` shows all) or a folder.")
    text = os.fsdecode(name)
    plain = not isinstance(name, str) and not Path(text).is_absolute() and not text.startswith((".", "~"))
    return f".{os.sep}{text}" if plain else text


def published_files(entry: Checkpoint) -> set[str]:
    """The names under which a checkpoint's authors published its file.

    An address' last part counts too, unless it is no more than the architecture's name, as anybody may call a file.

    Args:
        entry: the checkpoint.
    """
    source = entry.upstream
    if source is None:
        return set()
    found = {source.file} if source.file else set()
    if source.access == "direct" and source.url and not source.hub:
        last = urllib.parse.unquote(Path(urllib.parse.urlsplit(source.url).path).name)
        found |= {last} if last and last.partition(".")[0] != entry.architecture else set()
    return found


def owners(file: str) -> list[str]:
    """The checkpoints that ship with medzoo whose authors published a file of this name.

    Args:
        file: its name, without folder.

    >>> owners("RadImageNet-ResNet50_notop.h5")
    ['resnet50-radimagenet_keras']
    """
    own = own_dir()
    return [name for name in names() if not (own / f"{name}.toml").is_file() and file in published_files(info(name))]


def refuse_file(name: str) -> None:
    """Refuse a file where a checkpoint is named: `load` reads folders, which `convert` and `add` make of weights files.

    Args:
        name: what was asked for.

    Raises:
        UsageError: for a weights file, with the command that makes a folder of it.
        UnknownNameError: for any other file.
    """
    path = Path(name).expanduser()
    is_file = os.path.isfile(path)  # noqa: PTH113 - False, not an error, for a name that no file could have
    local = is_file or "/" not in name or os.path.isdir(path.parent)  # noqa: PTH112 - else it may be a repository
    called = local and name.lower().endswith(WEIGHTS_FILES)
    if is_file and _begins(path, LFS_POINTER):
        raise UsageError(
            f"{name} is a pointer of Git LFS, not the file itself: run `git lfs pull` where it was cloned."
        )
    if is_file and not called and not holds_weights(path):
        raise UnknownNameError(
            "checkpoint", name, names(), f"A file of this name is here, but it holds no weights. {HOW}"
        )
    if not is_file and not called:
        return
    known = owners(path.name)
    what = f"{name} is a weights file" if is_file else f"{name} is called as a weights file is"
    convert = " or ".join(f"`medzoo convert {name} {owner}`" for owner in known[:3]) or f"`medzoo convert {name} NAME`"
    raise UsageError(
        f"{what}, and a checkpoint is wanted by its name or folder. If it is a published file, {convert} makes a checkpoint "
        f"of it; weights of your own get a name by `medzoo add {name} NAME ...`."
    )


def holds_weights(path: Path) -> bool:
    """Whether a file's first bytes are those of a format in which weights are published.

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
    pickled = head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")  # torch's old files, too
    safetensors = head[8:9] == b"{" and 0 < int.from_bytes(head[:8], "little") < 2**32
    return pickled or safetensors or head.startswith(b"\x89HDF\r\n\x1a\n") or head[257:262] == b"ustar"


def _begins(path: Path, start: bytes) -> bool:
    with suppress(OSError), path.open("rb") as file:
        return file.read(len(start)) == start
    return False


def no_checkpoint(path: Path) -> MedzooError:
    """The error for a path at which no checkpoint's folder lies: what is there instead, and what leads on.

    Args:
        path: as a person gave it.
    """
    if (unfinished := unfinished_run(path)) is not None:
        return unfinished
    if path.is_file():
        return UsageError(f"{path} is a file; give the folder of a checkpoint, which holds {CONFIG} and {WEIGHTS}.")
    if not path.is_dir():
        return WeightsUnavailableError(f"There is no folder {path}.")
    folder = path / "checkpoint" if (path / "checkpoint").is_dir() else path
    absent = next((name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()), "nothing")
    files: list[str] = []
    with suppress(OSError):
        files = sorted(file.name for file in folder.iterdir() if file.name.lower().endswith(WEIGHTS_FILES))
    more = (
        f" It holds {listed(files, 3)}, of which `medzoo convert` or `medzoo add` makes a checkpoint." if files else ""
    )
    return IntegrityError(f"{folder} is no checkpoint folder: {absent} is missing.{more}")


def unfinished_run(path: Path) -> WeightsUnavailableError | None:
    """The error for a run folder that has no checkpoint (yet), or for the `checkpoint` that it should hold; else None.

    Args:
        path: as a person gave it.
    """
    for run in (path, path.parent) if path.name == "checkpoint" else (path,):
        if (rows := _status(run)) is not None and not (run / "checkpoint").is_dir():
            return WeightsUnavailableError(f"{run} is a run folder without a checkpoint: {_how_far(rows)}")
    return None


def _status(run: Path) -> dict[str, Any] | None:
    """What the status file of a run folder says; None if it is no run folder."""
    with suppress(OSError, ValueError):
        rows = json.loads((run / STATUS).read_text(encoding="utf-8"))
        if isinstance(rows, dict) and str(rows.get("schema", "")).startswith("medzoo.status/"):
            return rows
    return None


def _how_far(rows: dict[str, Any]) -> str:
    state = rows.get("state")
    if state == "done":
        return "it has ended and kept no weights (a probe, or a run that was told so)."
    if state == "failed":
        return f"it failed ({rows.get('error', 'no reason is noted')}). Run it again."
    step = f" at step {rows['step']} of {rows['steps']}" if rows.get("step") and rows.get("steps") else ""
    return f"it has not ended (state {state}{step}), and the checkpoint is written last. The same command goes on."
