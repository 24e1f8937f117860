"""A checkpoint as the encoder of a segmentation network, with the decoders of segmentation_models_pytorch."""

from __future__ import annotations

import os
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

from medzoo.errors import MissingExtraError, UsageError

Decoder = Literal["auto", "unet", "upernet", "dpt"]
UNET_CHANNELS = (256, 128, 64, 32, 16)  # of smp's U-Net, coarse to fine
UPERNET_CHANNELS = 256
DPT_LEVELS = 4  # Source: https://arxiv.org/abs/2103.13413, section 3
DPT_STRIDE = 16  # pixels per token for which the decoder's resizing steps are designed


class Segmenter(nn.Module):
    """A pre-trained encoder with a fresh decoder; `medzoo.segmenter` creates it.

    Args:
        encoder: gives the inputs of the decoder.
        decoder: of segmentation_models_pytorch.
        head: from the decoder's maps to classes.
    """

    def __init__(self, encoder: _Pyramid | _Tokens, decoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder, self.segmentation_head = encoder, decoder, head
        self.pretrained_cfg = encoder.model.pretrained_cfg
        self.load_receipt = encoder.model.load_receipt

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes, H, W) of normalised images (N, channels, H, W)."""
        side = self.encoder.side
        if side is not None and tuple(x.shape[-2:]) != (side, side):
            raise UsageError(
                f"This encoder takes {side} x {side} pixels, and the images have {x.shape[-2]} x {x.shape[-1]}. "
                "Build it for that size: segmenter(..., size=...).",
                code="image-size-mismatch",
            )
        features = self.encoder(x)
        maps = self.decoder(*features) if isinstance(features, tuple) else self.decoder(features)
        logits: torch.Tensor = self.segmentation_head(maps)
        if logits.shape[-2:] != x.shape[-2:]:  # a patch of 14, or a stem without padding
            logits = functional.interpolate(logits, x.shape[-2:], mode="bilinear", align_corners=False)
        return logits


class _Pyramid(nn.Module):
    """Feature maps from fine to coarse, the image first: the input of smp's U-Net and UPerNet."""

    def __init__(self, model: nn.Module, channels: int, side: int | None) -> None:
        super().__init__()
        self.model, self.side = model, side
        info: Any = model.feature_info
        reductions = info.reduction()
        self.lacks_half = reductions[0] == 4  # the first maps of ConvNeXt and Swin have a quarter of the resolution
        self.out_channels = [channels, *([0] if self.lacks_half else []), *info.channels()]

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        maps: list[torch.Tensor] = self.model(x)
        widths = self.out_channels[-len(maps) :]
        maps = [
            row if row.shape[1] == width else row.permute(0, 3, 1, 2) for row, width in zip(maps, widths, strict=True)
        ]
        half = [x.new_empty((x.shape[0], 0, x.shape[2] // 2, x.shape[3] // 2))] if self.lacks_half else []
        return [x, *half, *maps]


class _Tokens(nn.Module):
    """Token maps and class tokens of four depths: the input of smp's DPT."""

    def __init__(self, model: nn.Module, side: int | None) -> None:
        super().__init__()
        self.model, self.side = model, side
        info: Any = model.feature_info
        self.out_channels = info.channels()

    def forward(self, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        getter: Any = self.model
        rows = getter.model.forward_intermediates(
            x, indices=getter.out_indices, intermediates_only=True, return_prefix_tokens=True
        )
        return [row[0] for row in rows], [row[1] for row in rows]


def segmenter(
    name: str,
    classes: int,
    *,
    decoder: Decoder = "auto",
    size: int | None = None,
    in_chans: int | None = None,
    hub: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
    accept_license: bool = False,
) -> Segmenter:
    """A checkpoint as the encoder of a segmentation network, with a decoder initialised from torch's generator.

    Convolutional networks, ConvNeXt and Swin get a U-Net; plain vision transformers, which have one resolution, get a DPT.

    Args:
        name: as for `medzoo.load`.
        classes: channels of the output.
        decoder: "unet", "upernet" or "dpt"; "auto" chooses the usual one.
        size: side of the images, pixels; None is the checkpoint's (for a transformer the next below that its decoder takes).
            Networks whose input is fixed get their position tables resized; the others take any size.
        in_chans: as for `medzoo.load`.
        hub: directory that plays the Hub; by default MEDZOO_HUB.
        cache_dir: instead of MEDZOO_HOME and the Hugging Face cache.
        local_files_only: contact nothing.
        token: of the Hub.
        accept_license: accept non-commercial or contested terms.

    Returns:
        A network from normalised images (N, channels, H, W) to logits (N, classes, H, W), in eval mode. `.encoder` has the
        pre-trained weights, `.load_receipt` names them; `medzoo.transform` accepts the network.

    Raises:
        UsageError: for a decoder that does not fit the network, or a size that does not fit the decoder.

    Source: https://github.com/qubvel-org/segmentation_models.pytorch

    >>> import torch
    >>> segmenter("resnet18-random", classes=2)(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 2, 64, 64])
    """
    from medzoo.zoo.loading.load import load

    if isinstance(classes, bool) or not isinstance(classes, int) or not 1 <= classes <= 10_000:
        raise UsageError(f"classes is {classes!r}; give a number of classes, at least 1.", code="classes-below-one")
    # the network decides the decoder: plain transformers have one resolution, all others several
    where: dict[str, Any] = {"hub": hub, "cache_dir": cache_dir, "local_files_only": local_files_only, "token": token}
    whole = load(name, in_chans=in_chans, accept_license=accept_license, **where)
    plain = hasattr(whole, "patch_embed") and hasattr(whole, "pos_drop") and hasattr(whole, "cls_token")
    chosen = ("dpt" if plain else "unet") if decoder == "auto" else decoder
    if chosen not in ("unet", "upernet", "dpt"):
        raise UsageError(f"decoder is {decoder!r}; choose auto, unet, upernet or dpt.", code="decoder-unknown")
    if (chosen == "dpt") != plain:
        fitting = "dpt" if plain else "unet or upernet"
        kind = "one resolution throughout" if plain else "several resolutions"
        raise UsageError(f"{name} has {kind}, so its decoder is {fitting}, not {chosen}.", code="decoder-does-not-fit")
    # networks with a fixed input size are built for the given size
    config: Any = whole.pretrained_cfg
    channels, stored = int(config["input_size"][0]), int(config["input_size"][-1])
    side = _side(name, whole, size, stored, plain) if config.get("fixed_input_size") else None
    keywords: dict[str, Any] = {"img_size": side} if side not in (None, stored) else {}
    if plain:
        depth = len(whole.blocks)  # type: ignore[arg-type]
        keywords["out_indices"] = [depth * level // DPT_LEVELS - 1 for level in range(1, DPT_LEVELS + 1)]
    del whole
    model = load(name, in_chans=in_chans, features_only=True, accept_license=accept_license, **where, **keywords)
    return _joined(_Tokens(model, side) if plain else _Pyramid(model, channels, side), chosen, classes).eval()


def _side(name: str, model: nn.Module, size: int | None, stored: int, plain: bool) -> int:
    """The side for which a network with a fixed input size is built."""
    if not plain:
        return size or stored
    patch = int(model.patch_embed.patch_size[0])  # type: ignore[union-attr,index]
    step = 2 * patch  # the coarsest map has half as many tokens per side
    side = size or stored // step * step
    if side % step:
        raise UsageError(
            f"size is {side}; the DPT decoder of {name} needs a multiple of {step}, twice the patch size.",
            code="size-not-a-multiple",
        )
    return side


def _joined(encoder: _Pyramid | _Tokens, decoder: str, classes: int) -> Segmenter:
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
    # the decoder and the head that belongs to it
    if decoder == "unet":
        blocks = UNET_CHANNELS[-(len(widths) - 1) :]
        network = UnetDecoder(encoder_channels=widths, decoder_channels=blocks, n_blocks=len(blocks))
        head = SegmentationHead(blocks[-1], classes, kernel_size=3)
    elif decoder == "upernet":
        network = UPerNetDecoder(
            encoder_channels=widths, encoder_depth=len(widths) - 1, decoder_channels=UPERNET_CHANNELS
        )
        head = SegmentationHead(UPERNET_CHANNELS, classes, kernel_size=1, upsampling=4)
    else:
        network = DPTDecoder(encoder_out_channels=widths, encoder_output_strides=[DPT_STRIDE] * DPT_LEVELS)
        head = DPTSegmentationHead(256, classes)
    # the initial weights that segmentation_models_pytorch uses
    initialization.initialize_decoder(network)
    initialization.initialize_head(head)
    return Segmenter(encoder, network, head)
