"""Hints at the end of conversion errors: why a file does not match, and what the user can do."""

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
NORMS = {"norm.weight", "norm.bias"}  # of a ViT's tokens, before the pooling; fc_norm comes after it


def require_file(file: Path) -> None:
    """Refuse a path without a file to read, before a process starts for it.

    Args:
        file: a file, or a TensorFlow checkpoint's prefix or folder.

    Raises:
        ConversionError: if it is absent, or a folder without a checkpoint.
    """
    if file.is_file() or tensorbundle.is_bundle(file):
        return
    if not file.is_dir():
        raise ConversionError(f"There is no file {file}.", code="no-such-file")
    inside = sorted(path.name for path in file.iterdir())
    what = f"holds {listed(inside, 5)}, but not exactly one TensorFlow checkpoint" if inside else "is empty"
    raise ConversionError(
        f"{file} is a folder and {what}. Give the path of the weights file.", code="folder-instead-of-file"
    )


def refuse_other_file(file: Path, entry: Checkpoint) -> None:
    """Refuse a file with the published name of another checkpoint's file, because files of the same layout look alike.

    Args:
        file: the path that the user gave.
        entry: the checkpoint that the user named.

    Raises:
        UsageError: naming the other checkpoint.
    """
    if file.name in published_files(entry):
        return
    others = [name for name in owners(file.name) if name != entry.name]
    if len(others) == 1:  # a name that several checkpoints share proves nothing
        raise UsageError(
            f"{file.name} is the published file name of {others[0]}, not of {entry.name}. Run "
            f"`medzoo convert {file} {others[0]}`; or, if the file really holds {entry.name}, rename the file. {NOTHING}",
            code="file-of-other-checkpoint",
        )


def warn_other_hash(file: Path, entry: Checkpoint) -> None:
    """Say on stderr that a file's hash differs from the published one."""
    print(
        f"warning: the hash of {file.name} differs from the one that the authors of {entry.name} published: the file may be "
        "truncated, changed or another release.",
        file=sys.stderr,
    )


def hint_for_format(looks_like: Sequence[str]) -> str:
    """The formats that a file matches instead, as a sentence; empty if it matches none.

    Args:
        looks_like: the formats whose rules match all its keys.
    """
    formats = [name for name in looks_like if name != "timm"]
    if not formats:
        return ""
    checkpoints = [name for name in names() if (source := info(name).upstream) and source.format in formats]
    users = f", which these checkpoints use: {listed(checkpoints, 6)}" if checkpoints else ""
    return f" Its keys match the format {listed(formats, 4)}{users}. Is it another checkpoint's file?"


def hint_to_drop(foreign: Sequence[str], network: Collection[str], file: Path, *, adding: bool, below: str = "") -> str:
    """How to leave out tensors that do not belong to the network (such as a trained head); empty for none.

    Args:
        foreign: their names.
        network: names of the network's tensors, in the same spelling.
        file: the path that the user gave.
        adding: whether `medzoo add` adds the file; False for a published file.
        below: prefix of the network's names in the file; the option's names do not include it.
    """
    if not foreign:
        return ""
    starts = dict.fromkeys(_start(name, network).removeprefix(below) for name in foreign)
    options = " ".join(f"--drop '{re.escape(start)}'" for start in list(starts)[:3])
    if adding:
        return f" To leave out tensors that do not belong to the network, add {options}."
    return (
        f" If they do not belong to the network (such as a trained head), `medzoo add {file} NAME {options} ...` leaves them "
        "out and stores the rest under a name that you choose."
    )


def common_start(names: Collection[str]) -> str:
    """The words with which all names begin, including the last dot.

    Args:
        names: dotted paths.

    >>> common_start({"net.model.a.x", "net.model.b"})
    'net.model.'
    """
    if not names:
        return ""
    first, last = min(names), max(names)  # all names between these two share their common beginning
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return re.sub(r"[^.]*$", "", first[:length])


def _start(name: str, network: Collection[str]) -> str:
    """The shortest beginning of a name, in whole words, that no tensor of the network shares."""
    starts = [name[: end.end()] for end in re.finditer(r"[./]", name)]
    return next((start for start in starts if not any(tensor.startswith(start) for tensor in network)), name)


def hint_for_differences(
    off: Differences, network: Collection[str], file: Path, config: dict[str, Any], *, adding: bool
) -> str:
    """What to do about tensors that differ from the architecture's; empty if there is no advice.

    Args:
        off: the differences.
        network: names of the architecture's tensors.
        file: the path that the user gave.
        config: timm's configuration of the architecture.
        adding: whether `medzoo add` adds the file, so that its options can be changed.
    """
    missing, extra = set(off.missing), set(off.unexpected)
    if adding and missing and missing <= NORMS and {f"fc_{name}" for name in missing} <= extra:
        return """ Its last norm comes after the pooling: add --model '{"global_pool": "avg"}'."""
    if adding and missing and {f"fc_{name}" for name in NORMS} >= missing and {n[3:] for n in missing} <= extra:
        return """ Its last norm comes before the pooling: add --model '{"global_pool": "token"}'."""
    first = config.get("first_conv")
    stem = f"{first if isinstance(first, str) or not first else first[0]}.weight"
    if adding and stem in off.shapes:
        have, need = off.shapes[stem]
        if len(have) == len(need) and have[1] != need[1] and have[1] in (1, 3):
            if have[1] == 1:
                return " Its first convolution takes one channel: give one mean and one std."
            return " Its first convolution takes three channels: give three numbers for mean and three for std."
    if extra and not missing:
        return hint_to_drop(off.unexpected, network, file, adding=adding)
    return ""
