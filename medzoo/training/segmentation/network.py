"""A checkpoint as the encoder of a segmentation network; a trained run folder as the whole network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from medzoo.errors import IntegrityError, UsageError
from medzoo.training.segmentation.decoders import DPT_LEVELS, Decoder, chosen_decoder, make_decoder
from medzoo.training.segmentation.encoders import Pyramid, Tokens
from medzoo.training.segmentation.losses import outputs_of

if TYPE_CHECKING:
    from medzoo.zoo.folder.facts import TrainedDecoder

HEAD = ("decoder", "segmentation_head")  # the modules that are not the checkpoint's


class Segmenter(nn.Module):
    """A pre-trained encoder with a decoder; `medzoo.segmenter` creates it.

    Args:
        encoder: gives the inputs of the decoder.
        decoder: from feature maps to finer maps.
        head: from the decoder's maps to classes.
        decoder_name: "unet", "upernet", "dpt" or "linear".
        size: side of the usual input, pixels.
    """

    def __init__(
        self, encoder: Pyramid | Tokens, decoder: nn.Module, head: nn.Module, decoder_name: str, size: int
    ) -> None:
        super().__init__()
        self.encoder, self.decoder, self.segmentation_head = encoder, decoder, head
        self.decoder_name, self.size = decoder_name, size
        self.classes: tuple[str, ...] = ()  # names, without the background; empty for a fresh decoder
        # the decoder takes the place of a classifier: frozen epochs train it alone
        self.pretrained_cfg = {**encoder.model.pretrained_cfg, "classifier": HEAD}  # type: ignore[dict-item]
        self.load_receipt = encoder.model.load_receipt

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, outputs, H, W) of normalised images (N, channels, H, W)."""
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
        if logits.shape[-2:] != x.shape[-2:]:  # a patch of 14, a stem without padding, or a linear head
            logits = functional.interpolate(logits, x.shape[-2:], mode="bilinear", align_corners=False)
        return logits


def segmenter(
    name: str,
    classes: int | None = None,
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
    The folder of a segmentation run gives the whole trained network, if `classes` is not given.

    Args:
        name: as for `medzoo.load`, or the run folder of a segmentation.
        classes: channels of the output; None restores the trained decoder of a run folder.
        decoder: "unet", "upernet", "dpt" or "linear" (a 1x1 convolution on the last features); "auto" chooses the usual one.
        size: side of the images, pixels; None is the checkpoint's (for a transformer the next below that its decoder takes).
            Networks whose input is fixed get their position tables resized; the others take any size.
        in_chans: as for `medzoo.load`.
        hub: directory that plays the Hub; by default MEDZOO_HUB.
        cache_dir: instead of MEDZOO_HOME and the Hugging Face cache.
        local_files_only: contact nothing.
        token: of the Hub.
        accept_license: accept non-commercial or contested terms.

    Returns:
        A network from normalised images (N, channels, H, W) to logits (N, outputs, H, W), in eval mode. `.encoder` has the
        pre-trained weights, `.load_receipt` names them; `medzoo.transform` accepts the network. A trained network has `.classes`;
        for one class it has one output (a sigmoid gives the probability), for more also one for the background, the first.

    Raises:
        UsageError: for a decoder that does not fit the network, a size that does not fit the decoder, or a checkpoint without
            a trained decoder and without `classes`.
        IntegrityError: if the file of the trained decoder is missing or changed.

    Source: https://github.com/qubvel-org/segmentation_models.pytorch

    >>> import torch
    >>> segmenter("resnet18-random", classes=2)(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 2, 64, 64])
    """
    from medzoo.zoo.loading.load import load

    if classes is not None and (
        isinstance(classes, bool) or not isinstance(classes, int) or not 1 <= classes <= 10_000
    ):
        raise UsageError(f"classes is {classes!r}; give a number of classes, at least 1.", code="classes-below-one")
    # the network decides the decoder: plain transformers have one resolution, all others several
    where: dict[str, Any] = {"hub": hub, "cache_dir": cache_dir, "local_files_only": local_files_only, "token": token}
    whole = load(name, in_chans=in_chans, accept_license=accept_license, **where)
    trained = _trained_decoder(name, whole) if classes is None else None
    if trained is not None:
        decoder, size, classes = trained.name, trained.size, outputs_of(len(trained.classes))
    assert classes is not None
    plain = hasattr(whole, "patch_embed") and hasattr(whole, "pos_drop") and hasattr(whole, "cls_token")
    chosen = chosen_decoder(name, decoder, plain)
    # networks with a fixed input size are built for the given size
    config: Any = whole.pretrained_cfg
    channels, stored = int(config["input_size"][0]), int(config["input_size"][-1])
    side = _side(name, whole, size, stored, chosen, plain) if config.get("fixed_input_size") else None
    keywords: dict[str, Any] = {"img_size": side} if side not in (None, stored) else {}
    if plain:
        depth = len(whole.blocks)  # type: ignore[arg-type]
        keywords["out_indices"] = [depth * level // DPT_LEVELS - 1 for level in range(1, DPT_LEVELS + 1)]
    folder = Path(str(whole.load_receipt.folder))  # type: ignore[union-attr]
    del whole
    model = load(name, in_chans=in_chans, features_only=True, accept_license=accept_license, **where, **keywords)
    encoder = Tokens(model, side) if plain else Pyramid(model, channels, side)
    network = Segmenter(encoder, *make_decoder(encoder, chosen, classes), chosen, side or size or stored)
    if trained is not None:
        _fill_decoder(network, folder, trained)
        network.classes = trained.classes
    return network.eval()


def _fill_decoder(network: Segmenter, folder: Path, trained: TrainedDecoder) -> None:
    """Copy the tensors of a trained decoder into a network; names and shapes must be the same in both."""
    from medzoo.zoo.folder.read_write import read_decoder
    from medzoo.zoo.models.weights import differences, shapes

    state, need = read_decoder(folder, trained), decoder_state(network)
    if off := differences(shapes(state.items()), shapes(need.items())):
        raise IntegrityError(
            f"The decoder in {folder} does not fit this version of segmentation-models-pytorch: {off}. Install the version that "
            "wrote it, or train the network again.",
            code="decoder-does-not-match",
        )
    network.load_state_dict({**network.state_dict(), **state})


def decoder_state(network: Segmenter) -> dict[str, torch.Tensor]:
    """The tensors of the decoder and the head.

    Args:
        network: trained.
    """
    return {name: value for name, value in network.state_dict().items() if name.partition(".")[0] in HEAD}


def fill_encoder(whole: nn.Module, network: Segmenter) -> None:
    """Copy the trained encoder into timm's network of the same checkpoint, whose last norm may have no place in the encoder.

    Args:
        whole: the network without a head, built for the same size.
        network: trained.
    """
    names = {_flat(name): name for name in whole.state_dict()}
    state: Any = network.encoder.model.state_dict()
    renamed = {names[_flat(name.removeprefix("model."))]: value for name, value in state.items()}
    whole.load_state_dict({**whole.state_dict(), **renamed})


def _flat(name: str) -> str:
    return name.replace(".", "_")  # timm's lists of feature maps write stem_0 for stem.0


def _trained_decoder(name: str, whole: nn.Module) -> TrainedDecoder:
    """The decoder that config.json of a loaded folder names."""
    from medzoo.zoo.folder.config import read_config

    folder: str | None = whole.load_receipt.folder  # type: ignore[union-attr,assignment]
    facts = read_config(Path(folder)).facts if folder else None
    if facts is None or facts.decoder is None:
        raise UsageError(
            f"{name} has no trained decoder. Give the number of outputs for a fresh one: segmenter(..., classes=2).",
            code="classes-missing",
        )
    return facts.decoder


def _side(name: str, model: nn.Module, size: int | None, stored: int, decoder: str, plain: bool) -> int:
    """The side for which a network with a fixed input size is built."""
    if not plain:
        return size or stored
    patch = int(model.patch_embed.patch_size[0])  # type: ignore[union-attr,index]
    step = 2 * patch if decoder == "dpt" else patch  # the coarsest map of a DPT has half as many tokens per side
    side = size or stored // step * step
    if side % step:
        times = "twice the patch size" if decoder == "dpt" else "the patch size"
        raise UsageError(
            f"size is {side}; the {decoder} decoder of {name} needs a multiple of {step}, {times}.",
            code="size-not-a-multiple",
        )
    return side
