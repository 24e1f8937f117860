"""The rules of a format: which tensors of a file are kept under which name, and which are dropped and why.

A key that matches no rule is an error, and so is a tensor of the network that no key fills.
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
    """Keys whose start matches the regular expression are kept; `to` replaces the match.

    Args:
        pattern: start of the key.
        to: the replacement; may use groups of the pattern.
    """

    pattern: str = ""
    to: str = ""


@dataclass(frozen=True)
class Drop:
    """Keys whose start matches the regular expression are left out; `why` says what they are."""

    pattern: str
    why: str


@dataclass(frozen=True)
class Rename:
    """`to` replaces the first match in a name.

    Args:
        pattern: regular expression.
        to: the replacement; may use groups of the pattern.
        when: apply the rule only to files with a key that matches this regular expression somewhere.
    """

    pattern: str
    to: str
    when: str | None = None


@dataclass(frozen=True)
class Rank:
    """Layers that are numbered in the order of their creation, from any first number, get the names in `order`.

    Args:
        pattern: regular expression with one group, the number; an empty group counts as 0.
        order: the names, in the order of creation.
        to: the replacement of the match; {} is the name.
    """

    pattern: str
    order: tuple[str, ...]
    to: str = "{}"


@dataclass(frozen=True)
class Format:
    """An upstream format: how the keys of a training framework's file become timm's names.

    Args:
        keep: tried in order, after the drops.
        drop: tried in order, first.
        prepare: renames of the file's keys before the other rules, in order.
        rank: for the kept keys, before `rename`.
        rename: for the kept keys, all in order.
        needs: regular expressions that must each match a key; they distinguish similar formats.
        shapes: (regular expression, shape) of keys whose shape distinguishes similar formats; 0 is any, -n at most n.
        steps: functions that change the renamed tensors, in order.
        bgr: whether the first convolution takes BGR in the published files of this layout; its input channels are then reversed.
        counters: whether files may lack BatchNorm's num_batches_tracked (then 0; eval mode does not use it).
        head: whether the classifier belongs to the network, not to a training objective.
        adapt: gives the network's keywords that depend on the tensors, not on the checkpoint's name.
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

    def takes_bgr(self, order: str | None) -> bool:
        """Whether the first convolution of a file takes BGR.

        Args:
            order: "rgb" or "bgr", if it is known for this file; None is the order of the published files.
        """
        return self.bgr if order is None else order == "bgr"


@dataclass(frozen=True)
class KeyPlan:
    """What happens to a file's keys: the stored key for each timm name, the dropped keys, and the keys without a rule."""

    names: dict[str, str]
    dropped: dict[str, str]
    foreign: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether the rules match every key and keep at least one."""
        return bool(self.names) and not self.foreign


def plan(keys: Iterable[str], rules: Format) -> KeyPlan:
    """Sort the keys of a file by a format's rules.

    Args:
        keys: of the file, dotted paths.
        rules: the format.

    Raises:
        ConversionError: if two keys get the same name, or the number of numbered layers is not the format's.

    >>> plan(["net.a", "net.b", "head.w"], Format(keep=(Keep("net."),), drop=(Drop("head.", "head"),)))
    KeyPlan(names={'a': 'net.a', 'b': 'net.b'}, dropped={'head.w': 'head'}, foreign=())
    """
    # every key is dropped, kept or foreign
    keys = list(keys)
    kept, dropped, foreign = {}, {}, []
    for stored in keys:
        drop, new = _sorted(stored, rules, keys)
        if drop is not None:
            dropped[stored] = drop.why
        elif new is not None:
            kept[stored] = new
        else:
            foreign.append(stored)
    # the kept keys get timm's names, each once
    for rank in rules.rank:
        kept = _ranked(kept, rank)
    names: dict[str, str] = {}
    for stored, key in kept.items():
        name = _renamed(key, rules.rename, keys)
        if name in names:
            raise ConversionError(f"The keys {names[name]} and {stored} both become {name}.", code="keys-collide")
        names[name] = stored
    return KeyPlan(names, dropped, tuple(foreign))


def apply(tensors: Mapping[str, Tensor], rules: Format) -> State:
    """The tensors under timm's names, after the format's steps.

    Args:
        tensors: of the file, by dotted path.
        rules: the format.

    Raises:
        ConversionError: if the file is not of this format: a key matches no rule, or a key or shape of the format is missing.
    """
    key_plan = plan(tensors, rules)
    if not key_plan.fits:
        raise ConversionError(
            f"{len(key_plan.foreign)} keys match no rule: {listed(key_plan.foreign, 6)}. {len(key_plan.names)} keys match a "
            f"keep rule, {len(key_plan.dropped)} a drop rule.",
            code="keys-without-rule",
        )
    if wrong := _difference({key: tuple(tensor.shape) for key, tensor in tensors.items()}, rules):
        raise ConversionError(wrong, code="other-format")
    state = {name: tensors[stored] for name, stored in key_plan.names.items()}
    for step in rules.steps:
        state = step(state)
    return state


def fits(shapes: Mapping[str, tuple[int, ...]], rules: Format) -> bool:
    """Whether the keys and shapes of a file match a format; tensors that the network needs are not checked."""
    keys = list(shapes)
    if any(_sorted(key, rules, keys) == (None, None) for key in keys):  # most formats differ in the first key
        return False
    try:
        return plan(keys, rules).fits and not _difference(shapes, rules)
    except ConversionError:
        return False


def _difference(shapes: Mapping[str, tuple[int, ...]], rules: Format) -> str | None:
    """Why the file has a similar format but not this one, or None."""
    for pattern in rules.needs:
        if not any(re.search(pattern, key) for key in shapes):
            return f"No key matches {pattern}; every file of this format has such a key."
    for pattern, expected in rules.shapes:
        for key, shape in shapes.items():
            if re.search(pattern, key) and not _same(shape, expected):
                return f"{key} has shape {list(shape)}; in this format it is {list(expected)} (0: any, -n: at most n)."
    return None


def _same(shape: Sequence[int], expected: Sequence[int]) -> bool:
    return len(shape) == len(expected) and all(
        need in (0, have) or have <= -need for have, need in zip(shape, expected, strict=True)
    )


def _sorted(stored: str, rules: Format, keys: Sequence[str]) -> tuple[Drop | None, str | None]:
    """The rule that drops a key, or else the name under which it is kept, if a rule keeps it."""
    key = _renamed(stored, rules.prepare, keys)
    if drop := next((drop for drop in rules.drop if re.match(drop.pattern, key)), None):
        return drop, None
    return None, _new_name(key, rules.keep)


def _new_name(key: str, keep: tuple[Keep, ...]) -> str | None:
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
    matches = {stored: match for stored, key in kept.items() if (match := re.match(rank.pattern, key))}
    numbers = sorted({int(match[1] or 0) for match in matches.values()})
    if len(numbers) != len(rank.order):
        raise ConversionError(
            f"{len(numbers)} layers match {rank.pattern}; this format has {len(rank.order)}.",
            code="layer-count-differs",
        )
    names = dict(zip(numbers, rank.order, strict=True))
    return kept | {
        stored: rank.to.format(names[int(match[1] or 0)]) + kept[stored][match.end() :]
        for stored, match in matches.items()
    }
