"""What to tell a person whose name or file is not what was asked for, and which step leads on."""

from __future__ import annotations

import os
import urllib.parse
from pathlib import Path

from medzoo.errors import UsageError
from medzoo.zoo.facts import Checkpoint
from medzoo.zoo.registry import info, names, own_dir

# How weights files end; a folder or a repository of such a name is still found by hf-hub: or local-dir:.
WEIGHTS_FILES = (
    ".pt", ".pth", ".pth.tar", ".tar", ".ckpt", ".bin", ".pkl", ".h5", ".hdf5", ".keras", ".npz", ".safetensors", ".zip",
)  # fmt: skip


def text_of(name: object) -> str:
    """A name as text.

    Args:
        name: what a caller gave: text, or a path.

    Raises:
        UsageError: for anything else.
    """
    if not isinstance(name, str | os.PathLike):
        raise UsageError(f"The name is {name!r}; give the name of a checkpoint (`medzoo list` shows all) or a folder.")
    return os.fspath(name)


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


def refuse_weights_file(name: str) -> None:
    """Refuse a weights file where a checkpoint is named: `load` reads folders, which `convert` and `add` make of files.

    Args:
        name: what was asked for.

    Raises:
        UsageError: with the command that makes a folder of it.
    """
    path = Path(name).expanduser()
    is_file = os.path.isfile(path)  # noqa: PTH113 - False, not an error, for a name that no file could have
    local = is_file or "/" not in name or os.path.isdir(path.parent)  # noqa: PTH112 - else it may be a repository
    if not is_file and not (local and name.lower().endswith(WEIGHTS_FILES)):
        return
    known = owners(path.name)
    what = f"{name} is a weights file" if is_file else f"{name} is called as a weights file is"
    convert = " or ".join(f"`medzoo convert {name} {owner}`" for owner in known[:3]) or f"`medzoo convert {name} NAME`"
    raise UsageError(
        f"{what}, and a checkpoint is wanted by its name or folder. If it is a published file, {convert} makes a checkpoint "
        f"of it; weights of your own get a name by `medzoo add {name} NAME ...`."
    )
