"""The weights of a network in network order, and what two networks have in common."""

from __future__ import annotations

from dataclasses import dataclass

import torch

KINDS = {
    "weight": "weights of convolutions and linear layers",
    "scale": "scales of normalisation",
    "shift": "shifts of normalisation",
    "running mean": "running means of normalisation",
    "running variance": "running variances of normalisation",
    "bias": "biases",
    "other": "other values, such as tables of positions",
}


@dataclass(frozen=True)
class LayerTensor:
    """A tensor of a network.

    Args:
        name: of the tensor in the network.
        layer: of the module that holds it.
        kind: a key of KINDS.
        values: on the CPU, float64.
    """

    name: str
    layer: str
    kind: str
    values: torch.Tensor

    @property
    def shape(self) -> str:
        """The shape as text, for example `64 x 3 x 7 x 7`."""
        return " x ".join(map(str, self.values.shape)) or "1"


@dataclass(frozen=True)
class CommonLayers:
    """What two networks have in common.

    Args:
        pairs: tensors with the same name and shape in both, in the order of the first network.
        other_shape: tensors with the same name and another shape.
        only_first: names that only the first has.
        only_second: names that only the second has.
    """

    pairs: tuple[tuple[LayerTensor, LayerTensor], ...]
    other_shape: tuple[tuple[LayerTensor, LayerTensor], ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def layer_tensors(network: torch.nn.Module) -> list[LayerTensor]:
    """The tensors of a network that its weights file stores, in network order; counters and tables of indices are left out.

    Args:
        network: any.

    >>> from torch import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4))
    >>> [(one.name, one.kind) for one in layer_tensors(net)][:3]
    [('0.weight', 'weight'), ('1.weight', 'scale'), ('1.bias', 'shift')]
    """
    stored = network.state_dict()
    found = []
    for layer, module in network.named_modules():
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, values in own:
            full = f"{layer}.{name}" if layer else name
            if full in stored and values.is_floating_point():
                found.append(
                    LayerTensor(full, layer or name, _kind(module, name, values), values.detach().cpu().double())
                )
    return found


def _kind(module: torch.nn.Module, name: str, values: torch.Tensor) -> str:
    """The kind of a tensor, from its name and from the dimensions of its module's weight."""
    running = {"running_mean": "running mean", "running_var": "running variance"}
    if name in running:
        return running[name]
    weight = getattr(module, "weight", None)
    norm = isinstance(weight, torch.Tensor) and weight.ndim == 1
    if name == "weight":
        return "scale" if norm else "weight" if values.ndim in (2, 4) else "other"
    if name == "bias":
        return "shift" if norm else "bias"
    return "other"


def common_layers(first: list[LayerTensor], second: list[LayerTensor]) -> CommonLayers:
    """Match the tensors of two networks by name and shape.

    Args:
        first: of `layer_tensors`.
        second: of `layer_tensors`.
    """
    others = {one.name: one for one in second}
    both = [(one, others[one.name]) for one in first if one.name in others]
    names = {one.name for one in first}
    return CommonLayers(
        tuple(pair for pair in both if pair[0].values.shape == pair[1].values.shape),
        tuple(pair for pair in both if pair[0].values.shape != pair[1].values.shape),
        tuple(one.name for one in first if one.name not in others),
        tuple(one.name for one in second if one.name not in names),
    )


def weight_layers(tensors: list[LayerTensor]) -> list[LayerTensor]:
    """The weights of convolutions and linear layers, in network order.

    Args:
        tensors: of `layer_tensors`.
    """
    return [one for one in tensors if one.kind == "weight"]


def distance_and_cosine(first: torch.Tensor, second: torch.Tensor) -> tuple[float | None, float | None]:
    """The length of `second - first` over the length of `first`, and the cosine of both; None where a length is zero.

    Args:
        first: any shape.
        second: the same shape.

    >>> distance_and_cosine(torch.tensor([3.0, 4.0]), torch.tensor([0.0, 4.0]))
    (0.6, 0.8)
    """
    start, end = first.flatten().double(), second.flatten().double()
    length, other = float(start.norm()), float(end.norm())
    if length == 0:
        return None, None
    moved = float((end - start).norm()) / length
    return moved, None if other == 0 else float(start @ end) / (length * other)


def dead_filters(weights: torch.Tensor, share: float = 1e-6) -> int:
    """How many outputs of a layer have weights that are zero, or smaller than a tiny share of the layer's median.

    Args:
        weights: (out, ...).
        share: of the median length of the layer's filters, below which a filter counts as dead.

    >>> dead_filters(torch.tensor([[0.0, 0.0], [1e-9, 0.0], [1.0, 1.0], [1.0, 2.0], [2.0, 1.0]]))
    2
    """
    lengths = weights.flatten(1).norm(dim=1)
    return int((lengths <= share * lengths.median()).sum())
