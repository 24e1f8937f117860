"""The activations of layers of several networks on the same images, batch by batch: nothing is stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from medzoo.analysis.inputs.networks import OpenedNetwork
from medzoo.data.decode_cache.decoded import Decoded
from medzoo.training.inputs.evaluate import evaluate_batches


@contextmanager
def captured(module: torch.nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A dict that holds the outputs of some layers after each forward pass of the network.

    The outputs are copies: a later operation in place, such as an activation or the addition of a shortcut, does not change them.

    Args:
        module: the network.
        layers: names of its modules.

    >>> import timm
    >>> network = timm.create_model("resnet18").eval()
    >>> with captured(network, ["layer1"]) as held:
    ...     _ = network(torch.zeros(1, 3, 32, 32))
    >>> held["layer1"].shape
    torch.Size([1, 64, 8, 8])
    """
    held: dict[str, Any] = {}
    known = dict(module.named_modules())
    with ExitStack() as stack:
        for name in dict.fromkeys(layers):

            def keep(_module: torch.nn.Module, _inputs: object, output: Any, name: str = name) -> None:  # noqa: ANN401
                held[name] = output.clone() if isinstance(output, torch.Tensor) else output

            stack.callback(known[name].register_forward_hook(keep).remove)
        yield held


def batches(
    networks: Sequence[OpenedNetwork],
    layers: Sequence[Sequence[str]],
    images: Decoded,
    *,
    size: int,
    device: torch.device,
    batch_size: int,
) -> Iterator[tuple[list[torch.Tensor], list[dict[str, Any]]]]:
    """For each batch of images, the outputs of every network, and the activations of its layers.

    Args:
        networks: see the same images, each in its own input convention.
        layers: names of modules, for each network.
        images: the decoded rows.
        size: side of the input, pixels.
        device: where to compute.
        batch_size: images of one forward pass.

    Yields:
        Outputs (B, D) on the CPU, and dicts of activations on the device, for each network.
    """
    with ExitStack() as stack:
        held = [stack.enter_context(captured(one.module, names)) for one, names in zip(networks, layers, strict=True)]
        passes = [
            evaluate_batches(one.module, images, one.convention, size=size, device=device, batch_size=batch_size)
            for one in networks
        ]
        for outputs in zip(*passes, strict=True):
            yield list(outputs), held
