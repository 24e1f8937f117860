"""The layers that are compared: named by the user, or five over the depth of a network as in the studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from medzoo.errors import UnknownNameError, UsageError

FIVE = 5


@dataclass(frozen=True)
class LayerPair:
    """A layer of the first network and one of the second.

    Args:
        first: module name in the first network.
        second: module name in the second.
        title: of both.
    """

    first: str
    second: str
    title: str


def five_layers(module: nn.Module) -> list[str]:
    """Five layers over the depth of a network: the ends of its stages, as timm lists them.

    For a ResNet these are the layers of Juodelyte 2023: conv1 (after batch norm and ReLU) and the four blocks. A network with
    fewer stages has fewer layers; of a network with more, such as a vision transformer, five at equal distances are taken.

    Args:
        module: a timm network.

    Raises:
        UsageError: if timm lists no layers of this network.

    >>> import timm
    >>> five_layers(timm.create_model("resnet18"))
    ['act1', 'layer1', 'layer2', 'layer3', 'layer4']
    >>> five_layers(timm.create_model("vit_tiny_patch16_224"))
    ['blocks.0', 'blocks.3', 'blocks.6', 'blocks.8', 'blocks.11']
    """
    listed: Any = getattr(module, "feature_info", None)
    listed = [] if listed is None else [listed[place] for place in range(len(listed))]
    known = dict(module.named_modules())
    names = list(dict.fromkeys(str(one["module"]) for one in listed if one["module"] in known))
    if not names:
        raise UsageError(
            f"timm lists no layers of a {type(module).__name__}. Name them with --layers; for example "
            f"{', '.join(name for name, _ in module.named_children())}.",
            code="layers-not-listed",
        )
    places = np.linspace(0, len(names) - 1, min(FIVE, len(names))).round().astype(int)
    return [names[place] for place in places]


def layer_pairs(first: nn.Module, second: nn.Module, given: Sequence[str] | None) -> list[LayerPair]:
    """The layers of two networks that are compared with each other.

    Args:
        first: network.
        second: network.
        given: names of modules that both have, or NAME=OTHER for layers with different names; None takes `five_layers`.

    Raises:
        UnknownNameError: for a layer that does not exist, with the nearest names.
        UsageError: if the two networks list different numbers of layers.
    """
    if given:
        pairs = [(one.partition("=")[0], one.partition("=")[2] or one) for one in given]
        for module, names in ((first, [a for a, _ in pairs]), (second, [b for _, b in pairs])):
            for name in names:
                _check_name(module, name)
        return [LayerPair(a, b, a if a == b else f"{a} = {b}") for a, b in pairs]
    ones, others = five_layers(first), five_layers(second)
    if len(ones) != len(others):
        raise UsageError(
            f"The networks have {len(ones)} and {len(others)} stages ({', '.join(ones)}; {', '.join(others)}). Say which layers "
            f"belong together: --layers {ones[0]}={others[0]} {ones[-1]}={others[-1]}.",
            code="layers-do-not-pair",
        )
    return [LayerPair(a, b, a if a == b else f"{a} = {b}") for a, b in zip(ones, others, strict=True)]


def _check_name(module: nn.Module, name: str) -> None:
    known = [one for one, _ in module.named_modules() if one]
    if name not in known:
        top = ", ".join(one for one in known if "." not in one)
        raise UnknownNameError(
            "layer", name, known, f"{type(module).__name__} has {top} and the layers inside of them."
        )
