"""The decoders of a segmentation network: those of segmentation_models_pytorch, and a linear head on the last features."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from medzoo.errors import MissingExtraError, UsageError
from medzoo.training.layers.fixed_order_pool import fix_order_of_pools
from medzoo.training.segmentation.encoders import Pyramid, Tokens

Decoder = Literal["auto", "unet", "upernet", "dpt", "linear"]
UNET_CHANNELS = (256, 128, 64, 32, 16)  # of smp's U-Net, coarse to fine
UPERNET_CHANNELS = 256
DPT_LEVELS = 4  # Source: https://arxiv.org/abs/2103.13413, section 3
DPT_STRIDE = 16  # pixels per token for which the decoder's resizing steps are designed


class LastFeatures(nn.Module):
    """The last feature map unchanged: a 1x1 convolution on it is a linear classifier of its positions."""

    def forward(self, features: list[torch.Tensor], prefix: list[torch.Tensor] | None = None) -> torch.Tensor:
        """The coarsest map (N, channels, H, W)."""
        return features[-1]


def chosen_decoder(name: str, decoder: str, plain: bool) -> str:
    """The decoder for a network.

    Args:
        name: of the checkpoint, for the message.
        decoder: "auto", "unet", "upernet", "dpt" or "linear".
        plain: whether the network is a plain transformer, which has one resolution.

    Raises:
        UsageError: for an unknown decoder, or one that does not fit the network.

    >>> chosen_decoder("resnet18-random", "auto", plain=False)
    'unet'
    """
    chosen = ("dpt" if plain else "unet") if decoder == "auto" else decoder
    if chosen not in ("unet", "upernet", "dpt", "linear"):
        raise UsageError(f"decoder is {decoder!r}; choose auto, unet, upernet, dpt or linear.", code="decoder-unknown")
    if chosen != "linear" and (chosen == "dpt") != plain:
        fitting = "dpt or linear" if plain else "unet, upernet or linear"
        kind = "one resolution throughout" if plain else "several resolutions"
        raise UsageError(f"{name} has {kind}, so its decoder is {fitting}, not {chosen}.", code="decoder-does-not-fit")
    return chosen


def make_decoder(encoder: Pyramid | Tokens, decoder: str, outputs: int) -> tuple[nn.Module, nn.Module]:
    """A fresh decoder and its head, with the initial weights that segmentation_models_pytorch uses.

    Args:
        encoder: gives the inputs of the decoder.
        decoder: "unet", "upernet", "dpt" or "linear".
        outputs: channels of the head.

    Raises:
        UsageError: if segmentation_models_pytorch is not installed.
    """
    try:
        from segmentation_models_pytorch.base import SegmentationHead, initialization
        from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder, DPTSegmentationHead
        from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
        from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder
    except ImportError as error:
        raise MissingExtraError("segmentation-models-pytorch", "recipes", "Segmentation") from error
    widths = encoder.out_channels
    network: nn.Module
    head: nn.Module
    if decoder == "unet":
        blocks = UNET_CHANNELS[-(len(widths) - 1) :]
        network = UnetDecoder(encoder_channels=widths, decoder_channels=blocks, n_blocks=len(blocks))
        head = SegmentationHead(blocks[-1], outputs, kernel_size=3)
    elif decoder == "upernet":
        network = UPerNetDecoder(
            encoder_channels=widths, encoder_depth=len(widths) - 1, decoder_channels=UPERNET_CHANNELS
        )
        head = SegmentationHead(UPERNET_CHANNELS, outputs, kernel_size=1, upsampling=4)
    elif decoder == "linear":
        network, head = LastFeatures(), SegmentationHead(widths[-1], outputs, kernel_size=1)
    else:
        network = DPTDecoder(encoder_out_channels=widths, encoder_output_strides=[DPT_STRIDE] * DPT_LEVELS)
        head = DPTSegmentationHead(256, outputs)
    initialization.initialize_decoder(network)
    initialization.initialize_head(head)
    return fix_order_of_pools(network), head
