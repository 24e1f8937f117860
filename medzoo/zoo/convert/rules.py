"""What each upstream format calls its tensors, as data: which are kept under which name, and which are dropped and why.

A key that no rule names, or a tensor of the network that no key fills, is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Keep:
    """Keys that start with `prefix` are kept; the rest of the key is the name in timm, after `rename`.

    Args:
        prefix: start of the key, up to and with a dot; "" for all.
        rename: pairs of (first token or tokens, timm's), tried in order on what follows the prefix.
    """

    prefix: str = ""
    rename: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Drop:
    """Keys that the regular expression matches from their start are left out; `why` says what they are."""

    pattern: str
    why: str


@dataclass(frozen=True)
class Format:
    """An upstream format.

    Args:
        keep: tried in order, after the drops.
        drop: tried in order, first.
        optional: prefixes that some files of the format carry before everything (DDP's `module.`).
        bgr: the first convolution takes BGR; its input channels are turned round.
        counters: whether files may lack BatchNorm's num_batches_tracked (then 0; eval mode does not use it).
        head: whether the classifier belongs to the network, not to a training objective.
        source: where the format is defined.
    """

    keep: tuple[Keep, ...]
    drop: tuple[Drop, ...] = ()
    optional: tuple[str, ...] = ()
    bgr: bool = False
    counters: bool = False
    head: bool = False
    source: str = ""


FORMATS: dict[str, Format] = {
    "timm": Format(
        keep=(Keep(),),
        counters=True,
        head=True,
        source="https://github.com/huggingface/pytorch-image-models",
    ),
    "moco-v2": Format(
        drop=(
            Drop(r"optimizer(\.|$)", "state of the optimiser"),
            Drop(r"state_dict\.(module\.)?encoder_q\.fc\.", "projection head of the contrastive loss, no classifier"),
            Drop(r"state_dict\.(module\.)?encoder_k\.", "momentum (key) encoder"),
            Drop(r"state_dict\.(module\.)?queue(_ptr)?$", "queue of negatives"),
        ),
        keep=(Keep("state_dict.module.encoder_q."), Keep("state_dict.encoder_q.")),
        source="https://github.com/facebookresearch/moco/blob/main/main_moco.py (save_checkpoint)",
    ),
    "radimagenet-torch-resnet50": Format(
        keep=(
            Keep(
                "backbone.",
                rename=(
                    ("0", "conv1"),
                    ("1", "bn1"),
                    ("4", "layer1"),
                    ("5", "layer2"),
                    ("6", "layer3"),
                    ("7", "layer4"),
                ),
            ),
        ),
        optional=("module.",),
        bgr=True,
        source="https://github.com/BMEII-AI/RadImageNet (acl/acl_pytorch_train.ipynb, class Backbone)",
    ),
}


def strip_optional(keys: Iterable[str], prefixes: tuple[str, ...]) -> dict[str, str]:
    """The keys without a prefix that all of them carry, and what each was called.

    >>> strip_optional(["module.a", "module.b"], ("module.",))
    {'a': 'module.a', 'b': 'module.b'}
    """
    names = {key: key for key in keys}
    for prefix in prefixes:
        if names and all(name.startswith(prefix) for name in names):
            names = {name[len(prefix) :]: key for name, key in names.items()}
    return names


def translate(key: str, rules: Format) -> str | Drop | None:
    """A key's name in timm, the rule that drops it, or None if no rule names it.

    >>> translate("state_dict.module.encoder_q.conv1.weight", FORMATS["moco-v2"])
    'conv1.weight'
    >>> translate("backbone.4.0.conv1.weight", FORMATS["radimagenet-torch-resnet50"])
    'layer1.0.conv1.weight'
    """
    for drop in rules.drop:
        if re.match(drop.pattern, key):
            return drop
    for keep in rules.keep:
        if key.startswith(keep.prefix):
            rest = key[len(keep.prefix) :]
            if not keep.rename:
                return rest
            for old, new in keep.rename:
                if rest == old or rest.startswith(f"{old}."):  # whole tokens: "1" is not the start of "10"
                    return new + rest[len(old) :]
    return None
