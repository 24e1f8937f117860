"""The tokens of a frozen network: the patch tokens of a transformer, or the positions of the last feature map of other networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from medzoo.errors import UsageError
from medzoo.zoo.registry.class_token import class_token_counts


class TokenNetwork(nn.Module):
    """Images → the tokens of the last layer, with the class token first where the network has one. Registers are left out.

    Args:
        network: from `medzoo.load`; frozen, in eval mode.

    Raises:
        UsageError: if the network has no feature map and no tokens.

    >>> import medzoo
    >>> TokenNetwork(medzoo.load("resnet18-random"))(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 4, 512])
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        if not callable(getattr(network, "forward_features", None)):
            raise _without_tokens(network, "it has no forward_features")
        self.network: Any = network.eval()
        # positions before the patches: the class token and registers
        self.prefix = int(getattr(network, "num_prefix_tokens", 0) or 0)
        self.has_class_token = self.prefix > 0 and getattr(network, "cls_token", None) is not None

    @property
    def class_token_counts(self) -> bool:
        """Whether a probe reads the class token; see `medzoo.zoo.registry.class_token`."""
        lineage: Sequence[dict[str, Any]] = getattr(getattr(self.network, "load_receipt", None), "lineage", ())
        pool = getattr(self.network, "global_pool", None)
        return self.has_class_token and class_token_counts(lineage, output_is_class_token=pool == "token")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, T, D) tokens of normalised images (B, channels, H, W); patches row by row."""
        given = self.network.forward_features(images)
        patches = patch_tokens(self.network, given)
        return torch.cat([given[:, :1], patches], 1) if self.has_class_token else patches


def patch_tokens(network: nn.Module, features: object) -> torch.Tensor:
    """The patch tokens of a transformer, or the positions of a feature map, row by row.

    Args:
        network: a timm model.
        features: from its `forward_features`.

    Returns:
        (B, T, D).

    Raises:
        UsageError: if the features are neither tokens nor maps.
    """
    if not isinstance(features, torch.Tensor) or features.ndim not in (3, 4):
        shape = tuple(features.shape) if isinstance(features, torch.Tensor) else type(features).__name__
        raise _without_tokens(network, f"its features are {shape}")
    if features.ndim == 4:
        last = getattr(network, "output_fmt", "NCHW") == "NHWC"
        return features.flatten(1, 2) if last else features.flatten(2).transpose(1, 2)
    return features[:, int(getattr(network, "num_prefix_tokens", 0) or 0) :]


class LayerNetwork(nn.Module):
    """Images → one vector with the readouts of the last layers: class tokens, or the mean of each map of other networks.

    A network with a class token gives those of its last blocks, oldest first, and then the mean of the last patch tokens.

    Args:
        network: from `medzoo.load`; frozen, in eval mode.
        layers: how many of the last blocks (transformers) or stages (other networks).

    Raises:
        UsageError: if the network does not give its layers, or has fewer.
    """

    def __init__(self, network: nn.Module, layers: int) -> None:
        super().__init__()
        self.network: Any = network.eval()
        self.layers = layers
        self.has_class_token = getattr(network, "cls_token", None) is not None
        self.widths: tuple[int, ...] = ()  # of each readout, known after the first images
        if not callable(getattr(network, "forward_intermediates", None)):
            raise UsageError(
                f"{_name_of(network)} does not give its layers, which this probe reads. Use another probe (--probe linear).",
                code="network-without-layers",
            )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, sum of widths) of normalised images (B, channels, H, W)."""
        prefixed = {"return_prefix_tokens": True} if self.has_class_token else {}
        try:
            layers = self.network.forward_intermediates(
                images, indices=self.layers, norm=True, output_fmt="NCHW", intermediates_only=True, **prefixed
            )
        except (AssertionError, IndexError) as error:  # timm's answers to more layers than there are
            raise UsageError(
                f"{_name_of(self.network)} has fewer than {self.layers} layers. Give other values of `last_layers`.",
                code="layers-too-many",
            ) from error
        if self.has_class_token:
            parts = [prefix[:, 0] for _, prefix in layers] + [layers[-1][0].mean((2, 3))]
        else:
            parts = [layer.mean((2, 3)) for layer in layers]
        self.widths = tuple(part.shape[1] for part in parts)
        return torch.cat([part.float() for part in parts], 1)

    def widths_at(self, size: int) -> tuple[int, ...]:
        """The width of each readout, from one empty image.

        Args:
            size: side of the input, pixels.
        """
        first = next(self.network.parameters())
        channels = int(self.network.pretrained_cfg["input_size"][0])
        with torch.inference_mode():
            self(torch.zeros(1, channels, size, size, dtype=first.dtype, device=first.device))
        return self.widths


def layer_inputs(widths: Sequence[int], last: Sequence[int], *, class_token: bool) -> list[tuple[str, slice]]:
    """The inputs of a grid of heads as names and column ranges of `LayerNetwork`.

    Args:
        widths: of the readouts, as `LayerNetwork.widths`.
        last: numbers of last layers.
        class_token: whether the readouts are class tokens and a mean; each number of layers then has two inputs.

    >>> layer_inputs([4, 4, 4], [1, 2], class_token=True)[1:3]
    [('1 layer and patch mean', slice(4, 12, None)), ('2 layers', slice(0, 8, None))]
    """
    ends = [sum(widths[:k]) for k in range(len(widths) + 1)]
    layers = len(widths) - class_token
    found = []
    for count in last:
        name, first = f"{count} layer{'s' * (count != 1)}", ends[layers - count]
        found.append((name, slice(first, ends[layers])))
        if class_token:
            found.append((f"{name} and patch mean", slice(first, ends[-1])))
    return found


def _without_tokens(network: nn.Module, why: str) -> UsageError:
    return UsageError(
        f"{_name_of(network)} gives no tokens: {why}. Use a probe on its pooled features (--probe linear).",
        code="network-without-tokens",
    )


def _name_of(network: nn.Module) -> str:
    return str(getattr(getattr(network, "load_receipt", None), "name", type(network).__name__))
