"""The steps of a run that differ for a segmentation: load the network, and save both of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from medzoo.bench.cell_options import CellOptions
from medzoo.data.task import Task
from medzoo.training.options.protocol_options import Protocol

if TYPE_CHECKING:
    import torch

    from medzoo.training.segmentation.network import Segmenter
    from medzoo.zoo.folder.facts import TrainedDecoder


PLAIN_UNET = ("unet-scratch", "unet-random")  # two names of one checkpoint


def load_network(options: CellOptions, protocol: Protocol, task: Task) -> tuple[Segmenter, int]:
    """The checkpoint as the encoder of a segmentation network, and the side of its input.

    Args:
        options: of the run.
        protocol: resolved.
        task: gives the classes.

    Raises:
        UsageError: if the network cannot have the decoder, or the size does not fit it.
    """
    import torch

    from medzoo.training.segmentation.losses import outputs_of
    from medzoo.training.segmentation.network import segmenter
    from medzoo.zoo.loading.load import describe

    torch.manual_seed(options.seed)  # of the decoder, and of all weights of a random checkpoint
    size = protocol.size or describe(options.checkpoint, hub=options.hub).size
    # the baseline stays a plain U-Net where a protocol gives pre-trained encoders another decoder
    decoder = "unet" if options.checkpoint in PLAIN_UNET else protocol.decoder
    network = segmenter(
        options.checkpoint, outputs_of(len(task.classes)), decoder=decoder, size=size, hub=options.hub,
        accept_license=options.accept_license,
    )  # fmt: skip
    network.classes = tuple(task.classes)
    return network, size


def saved_parts(
    options: CellOptions, network: Segmenter, classes: Sequence[str], size: int
) -> tuple[torch.nn.Module, tuple[TrainedDecoder, dict[str, torch.Tensor]]]:
    """The trained encoder as a plain timm network, and the decoder's facts and tensors.

    Args:
        options: of the run.
        network: trained.
        classes: names, without the background.
        size: side of the input, pixels.
    """
    from medzoo.training.inputs.input_transform import load_at_size
    from medzoo.training.segmentation.network import decoder_state, fill_encoder
    from medzoo.zoo.folder.facts import TrainedDecoder

    whole, _ = load_at_size(
        options.checkpoint, num_classes=0, size=size, seed=options.seed, hub=options.hub,
        accept_license=options.accept_license,
    )  # fmt: skip
    fill_encoder(whole, network.cpu().eval())
    facts = TrainedDecoder(network.decoder_name, tuple(classes), size, "0" * 64)  # type: ignore[arg-type]
    return whole.eval(), (facts, decoder_state(network))
