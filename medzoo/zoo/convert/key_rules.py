"""What a format's table says about a file's tensors: which are kept under which name, and which are dropped and why.

A key that no rule names, or a tensor of the network that no key fills, is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medzoo.errors import ConversionError, listed

if TYPE_CHECKING:
    from torch import Tensor

State = dict[str, "Tensor"]


@dataclass(frozen=True)
class Keep:
    """Keys that the regular expression matches from their start are kept; what it matched becomes `to`.

    Args:
        pattern: start of the key.
        to: what stands there instead; may name groups of the pattern.
    """

    pattern: str = ""
    to: str = ""


@dataclass(frozen=True)
class Drop:
    """Keys that the regular expression matches from their start are left out; `why` says what they are."""

    pattern: str
    why: str


@dataclass(frozen=True)
class Rename:
    """The first match in a name becomes `to`.

    Args:
        pattern: regular expression.
        to: may name groups of the pattern.
        when: only in a file with a key that this regular expression finds.
    """

    pattern: str
    to: str
    when: str | None = None


@dataclass(frozen=True)
class Rank:
    """Layers that are numbered in the order of their making, from any number on, get the names of `order`.

    Args:
        pattern: regular expression with one group, the number; none counts as 0.
        order: the names, first made first.
        to: what the match becomes; {} is the name.
    """

    pattern: str
    order: tuple[str, ...]
    to: str = "{}"


@dataclass(frozen=True)
class Format:
    """An upstream format: how the file of a training framework becomes timm's names.

    Args:
        keep: tried in order, after the drops.
        drop: tried in order, first.
        prepare: renames of the file's keys before all else, in order.
        rank: on the keys that are kept, before `rename`.
        rename: on the keys that are kept, all in order.
        needs: regular expressions that each find a key of the file: what tells it from its siblings.
        shapes: (regular expression, shape) of keys where the shape tells it from its siblings; 0 is any, -n at most n.
        steps: what is done to the renamed tensors, in order.
        bgr: the first convolution takes BGR; its input channels are turned round.
        counters: whether files may lack BatchNorm's num_batches_tracked (then 0; eval mode does not use it).
        head: whether the classifier belongs to the network, not to a training objective.
        adapt: keywords of the network that the tensors decide, not the checkpoint's name.
        source: where the format is defined.
    """

    keep: tuple[Keep, ...]
    drop: tuple[Drop, ...] = ()
    prepare: tuple[Rename, ...] = ()
    rank: tuple[Rank, ...] = ()
    rename: tuple[Rename, ...] = ()
    needs: tuple[str, ...] = ()
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    steps: tuple[Callable[[State], State], ...] = ()
    bgr: bool = False
    counters: bool = False
    head: bool = False
    adapt: Callable[[Mapping[str, Tensor]], dict[str, Any]] | None = None
    source: str = ""


@dataclass(frozen=True)
class KeyPlan:
    """What becomes of a file's keys: stored key by name in timm, what is dropped, and what no rule names."""

    names: dict[str, str]
    dropped: dict[str, str]
    foreign: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether the rules name every key, and keep some."""
        return bool(self.names) and not self.foreign


def plan(keys: Iterable[str], rules: Format) -> KeyPlan:
    """Sort the keys of a file by a format's rules.

    Args:
        keys: of the file, dotted paths.
        rules: the format.

    Raises:
        ConversionError: if two keys become one name, or numbered layers are not as many as the format has.

    >>> plan(["net.a", "net.b", "head.w"], Format(keep=(Keep("net."),), drop=(Drop("head.", "head"),)))
    KeyPlan(names={'a': 'net.a', 'b': 'net.b'}, dropped={'head.w': 'head'}, foreign=())
    """
    keys = list(keys)
    kept, dropped, foreign = {}, {}, []
    for stored in keys:
        key = _renamed(stored, rules.prepare, keys)
        if drop := next((drop for drop in rules.drop if re.match(drop.pattern, key)), None):
            dropped[stored] = drop.why
        elif (new := _kept(key, rules.keep)) is not None:
            kept[stored] = new
        else:
            foreign.append(stored)
    for rank in rules.rank:
        kept = _ranked(kept, rank)
    names: dict[str, str] = {}
    for stored, key in kept.items():
        name = _renamed(key, rules.rename, keys)
        if name in names:
            raise ConversionError(f"The keys {names[name]} and {stored} both become {name}.")
        names[name] = stored
    return KeyPlan(names, dropped, tuple(foreign))


def apply(tensors: Mapping[str, Tensor], rules: Format) -> State:
    """The tensors under timm's names, after the format's steps.

    Args:
        tensors: of the file, by dotted path.
        rules: the format.

    Raises:
        ConversionError: if the file is not of this format: a key that no rule names, or a mark of it that is missing.
    """
    sorted_ = plan(tensors, rules)
    if not sorted_.fits:
        raise ConversionError(
            f"{len(sorted_.foreign)} keys fit no rule: {listed(sorted_.foreign, 6)}. {len(sorted_.names)} keys are kept, "
            f"{len(sorted_.dropped)} are dropped by a rule."
        )
    if wrong := _marks({key: tuple(tensor.shape) for key, tensor in tensors.items()}, rules):
        raise ConversionError(wrong)
    state = {name: tensors[stored] for name, stored in sorted_.names.items()}
    for step in rules.steps:
        state = step(state)
    return state


def fits(shapes: Mapping[str, tuple[int, ...]], rules: Format) -> bool:
    """Whether the keys and shapes of a file are a format's; what the network needs is not looked at."""
    try:
        return plan(shapes, rules).fits and not _marks(shapes, rules)
    except ConversionError:
        return False


def _marks(shapes: Mapping[str, tuple[int, ...]], rules: Format) -> str | None:
    """What says that the file is a sibling format's, or None."""
    for pattern in rules.needs:
        if not any(re.search(pattern, key) for key in shapes):
            return f"No key matches {pattern}, which every file of this format has."
    for pattern, wanted in rules.shapes:
        for key, shape in shapes.items():
            if re.search(pattern, key) and not _same(shape, wanted):
                return f"{key} has shape {list(shape)}; in this format it is {list(wanted)} (0: any, -n: at most n)."
    return None


def _same(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(
        want in (0, have) or have <= -want for have, want in zip(shape, wanted, strict=True)
    )


def _kept(key: str, keep: tuple[Keep, ...]) -> str | None:
    for rule in keep:
        if match := re.match(rule.pattern, key):
            return match.expand(rule.to) + key[match.end() :]
    return None


def _renamed(key: str, rules: tuple[Rename, ...], keys: Sequence[str]) -> str:
    for rule in rules:
        if re.search(rule.pattern, key) and (rule.when is None or any(re.search(rule.when, other) for other in keys)):
            key = re.sub(rule.pattern, rule.to, key, count=1)
    return key


def _ranked(kept: dict[str, str], rank: Rank) -> dict[str, str]:
    found = {stored: match for stored, key in kept.items() if (match := re.match(rank.pattern, key))}
    numbers = sorted({int(match[1] or 0) for match in found.values()})
    if len(numbers) != len(rank.order):
        raise ConversionError(f"{len(numbers)} layers match {rank.pattern}; this format has {len(rank.order)}.")
    names = dict(zip(numbers, rank.order, strict=True))
    return kept | {
        stored: rank.to.format(names[int(match[1] or 0)]) + kept[stored][match.end() :]
        for stored, match in found.items()
    }
