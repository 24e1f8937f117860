"""Why a file is not the one that was wanted, and what a person does about it: the ends of conversion's messages."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from medzoo.errors import ConversionError, UsageError, listed
from medzoo.zoo.convert.readers import tensorbundle
from medzoo.zoo.models.weights import Differences
from medzoo.zoo.registry.checkpoint import Checkpoint
from medzoo.zoo.registry.hints import owners, published_files
from medzoo.zoo.registry.registry import info, names

NOTHING = "Nothing was written."
NORMS = {"norm.weight", "norm.bias"}  # of a ViT's tokens, before the pooling; fc_norm stands behind it


def require_file(file: Path) -> None:
    """Refuse a path that holds nothing to read, before a process is started for it.

    Args:
        file: a file, or a TensorFlow checkpoint's prefix or folder.

    Raises:
        ConversionError: if it is absent, or a folder without a checkpoint.
    """
    if file.is_file() or tensorbundle.is_bundle(file):
        return
    if not file.is_dir():
        raise ConversionError(f"There is no file {file}.")
    inside = sorted(path.name for path in file.iterdir())
    what = f"holds {listed(inside, 5)}, and not one TensorFlow checkpoint" if inside else "is empty"
    raise ConversionError(f"{file} is a folder and {what}. Name the weights file itself.")


def refuse_other_file(file: Path, entry: Checkpoint) -> None:
    """Refuse a file that carries the published name of another checkpoint's; siblings of one layout fit everywhere.

    Args:
        file: what a person named.
        entry: the checkpoint that it is said to be.

    Raises:
        UsageError: naming the other checkpoint.
    """
    if file.name in published_files(entry):
        return
    others = [name for name in owners(file.name) if name != entry.name]
    if len(others) == 1:  # a name that several share says nothing
        raise UsageError(
            f"{file.name} is what the authors of {others[0]} call its file, not that of {entry.name}: "
            f"`medzoo convert {file} {others[0]}`? If you are sure, give the file another name. {NOTHING}"
        )


def told_hash(file: Path, entry: Checkpoint) -> None:
    """Say on stderr that a file has not the hash that its authors published."""
    print(
        f"warning: {file.name} has another hash than the authors of {entry.name} published: it may be cut, changed or another "
        "release.",
        file=sys.stderr,
    )


def other_layout(looks_like: Sequence[str]) -> str:
    """What a file looks like that is of another format; empty if it looks like nothing known.

    Args:
        looks_like: the formats whose rules name all its keys.
    """
    found = [name for name in looks_like if name != "timm"]
    if not found:
        return ""
    holders = [name for name in names() if (source := info(name).upstream) and source.format in found]
    whose = f", as of {listed(holders, 6)}" if holders else ""
    return f" Its keys are those of {listed(found, 4)}{whose}: is it another checkpoint's file?"


def to_leave_out(foreign: Sequence[str], network: Collection[str], file: Path, *, own: bool, below: str = "") -> str:
    """How tensors that are no part of the network (a head of one's own) are left out; empty for none.

    Args:
        foreign: their names.
        network: names of the network's own tensors, spelled alike.
        file: what a person named.
        own: whether it is being added, not converted as a published file.
        below: where the network's names begin in the file; what is left out is named below it.
    """
    if not foreign:
        return ""
    starts = dict.fromkeys(_start(name, network).removeprefix(below) for name in foreign)
    options = " ".join(f"--drop '{re.escape(start)}'" for start in list(starts)[:3])
    if own:
        return f" What is no part of the network is left out with {options}."
    return (
        f" If they are no part of the network (a head that was trained on it), `medzoo add {file} NAME {options} ...` leaves "
        "them out and takes the rest under a name of your own."
    )


def common_start(names: Collection[str]) -> str:
    """The words that all names begin with, with their last dot.

    Args:
        names: dotted paths.

    >>> common_start({"net.model.a.x", "net.model.b"})
    'net.model.'
    """
    if not names:
        return ""
    first, last = min(names), max(names)  # what these two share, those between share too
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return re.sub(r"[^.]*$", "", first[:length])


def _start(name: str, network: Collection[str]) -> str:
    """The shortest beginning of a name, by whole words, that no tensor of the network has."""
    starts = [name[: end.end()] for end in re.finditer(r"[./]", name)]
    return next((start for start in starts if not any(own.startswith(start) for own in network)), name)


def of_network(off: Differences, network: Collection[str], file: Path, config: dict[str, Any], *, own: bool) -> str:
    """What to do about tensors that are not the architecture's; empty if nothing is known.

    Args:
        off: the differences.
        network: names of the architecture's tensors.
        file: what a person named.
        config: timm's configuration of the architecture.
        own: whether the file is being added: then its facts can be stated otherwise.
    """
    missing, extra = set(off.missing), set(off.unexpected)
    if own and missing and missing <= NORMS and {f"fc_{name}" for name in missing} <= extra:
        return """ It pools before its last norm: add --model '{"global_pool": "avg"}'."""
    if own and missing and {f"fc_{name}" for name in NORMS} >= missing and {n[3:] for n in missing} <= extra:
        return """ It has its last norm before the pooling: add --model '{"global_pool": "token"}'."""
    first = config.get("first_conv")
    stem = f"{first if isinstance(first, str) or not first else first[0]}.weight"
    if own and stem in off.shapes:
        have, need = off.shapes[stem]
        if len(have) == len(need) and have[1] != need[1] and have[1] in (1, 3):
            if have[1] == 1:
                return " Its stem takes one channel: give one mean and one std."
            return " Its stem takes three channels: give three numbers for mean and three for std."
    if extra and not missing:
        return to_leave_out(off.unexpected, network, file, own=own)
    return ""
