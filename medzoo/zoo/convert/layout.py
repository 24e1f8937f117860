"""The layout of a user's file: its format, the prefix of its names, and the order of its input channels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from medzoo import store
from medzoo.errors import ConversionError, UsageError, listed
from medzoo.zoo.convert.convert import Converted, convert_file
from medzoo.zoo.convert.formats import FORMATS
from medzoo.zoo.convert.recognise import look
from medzoo.zoo.models import build
from medzoo.zoo.registry.checkpoint import Checkpoint
from medzoo.zoo.registry.locations import WEIGHTS

ChannelOrder = Literal["rgb", "bgr"]
ORDERS: tuple[ChannelOrder, ...] = ("rgb", "bgr")
CANDIDATES = 6  # the most formats that are tried for one file


def check_channel_order(given: object, channels: int) -> None:
    """Refuse an order that is unknown, or of a network with one channel.

    Args:
        given: by the user; None if nothing was given.
        channels: of the input.

    Raises:
        UsageError: for both.
    """
    if given is not None and given not in ORDERS:
        raise UsageError(
            f"channel_order is {given!r}. Give 'rgb' or 'bgr': the order of the colours in training.",
            code="channel-order-unknown",
        )
    if given is not None and channels != 3:
        raise UsageError(
            f"channel_order is {given!r}, but mean and std are for {channels} channel. Leave the order out, or give three numbers.",
            code="channel-order-without-colour",
        )


def check_patterns(drop: Sequence[str]) -> tuple[str, ...]:
    """Regular expressions of names to leave out, after a check that each is one.

    Args:
        drop: given by the user.

    Raises:
        UsageError: with the first that is not a regular expression.
    """
    for pattern in drop:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(
                f"drop: {pattern!r} is not a regular expression: {error}.", code="drop-not-a-regular-expression"
            ) from error
    return tuple(drop)


def convert_any(
    entry: Checkpoint, path: Path, work: Path, format: str | None, prefix: str | None, drop: tuple[str, ...]
) -> tuple[Converted, str]:
    """The converted folder and the format of the file; if several formats fit, all must give the same weights.

    Args:
        entry: of the checkpoint; its upstream has the order of the channels, if the user gave one.
        path: the file.
        work: folder for the conversions.
        format: of the file; None detects it.
        prefix: of the network's names in the file; None detects it.
        drop: regular expressions of names to leave out.

    Raises:
        ConversionError: if the file does not have the network's weights.
        UsageError: if several formats give different weights, or the order of the channels is missing.
    """
    assert entry.upstream is not None
    given = format or prefix is not None
    candidates = [(format or "timm", prefix or "")] if given else _candidates(entry, path, drop)
    converted: dict[tuple[str, str], Converted] = {}
    errors: list[ConversionError] = []
    for number, (name, start) in enumerate(candidates):
        tried = replace(entry, upstream=replace(entry.upstream, format=name))
        try:
            converted[name, start] = convert_file(tried, path, work / str(number), prefix=start, drop=drop, adding=True)
        except ConversionError as error:
            errors.append(error)
    # one must fit, and all that fit must agree
    if not converted:
        raise errors[-1]
    _require_channel_order(entry, path, [name for name, _ in converted])
    if len({store.sha256_file(result.folder / WEIGHTS) for result in converted.values()}) > 1:
        options = listed([f"--format {name}" + (f" --prefix {start}" if start else "") for name, start in converted], 8)
        raise UsageError(
            f"{path} can be read in several ways that give different weights: {options}. Choose one.",
            code="format-ambiguous",
        )
    chosen = min(converted, key=lambda candidate: (candidate[0] != "timm", candidate))
    return converted[chosen], chosen[0]


def _require_channel_order(entry: Checkpoint, path: Path, formats: Sequence[str]) -> None:
    """Ask for the order of the channels where the layout does not show it: others use the layout of a network that takes BGR."""
    assert entry.upstream is not None
    unclear = [name for name in formats if FORMATS[name].bgr]
    if unclear and entry.upstream.channel_order is None and entry.input.channels == 3:
        raise UsageError(
            f"{path} has the layout {unclear[0]}, which does not show the order of the input channels. Add the order of the "
            "training, --channel-order rgb or --channel-order bgr (channel_order). Of Keras's own weights, ResNet50 takes bgr, "
            "DenseNet and Inception take rgb; the files of RadImageNet take bgr.",
            code="channel-order-required",
        )


def _candidates(entry: Checkpoint, path: Path, drop: tuple[str, ...]) -> list[tuple[str, str]]:
    """Candidate formats and prefixes of a file: published layouts, and every prefix with all of timm's names."""
    seen = look(path, drop=drop)
    known = [(name, "") for name in seen.looks_like if name != "timm"][:CANDIDATES]
    # the names that timm's network needs, except counters
    arguments = {**entry.model.kwargs, "in_chans": entry.input.channels, "num_classes": 0}
    config = build.timm_config(entry.architecture, entry.input, num_classes=0)
    state = build.twin(entry.architecture, config, arguments).state_dict()
    needed = [name for name in state if not name.endswith("num_batches_tracked")]
    # prefixes with all of them; otherwise the nearest one, for its error message
    names = set(seen.names)
    starts = [name.removesuffix(needed[0]) for name in seen.names if f".{name}".endswith(f".{needed[0]}")]
    complete = [start for start in starts if all(start + name in names for name in needed)]
    nearest = max(starts, key=lambda start: sum(start + name in names for name in needed), default="")
    return [*known, *(("timm", start) for start in complete)] or [("timm", nearest)]
