"""The steps of a run that differ for a segmentation: load the network, compute the scores of masks, and save both parts."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medzoo.bench import metrics
from medzoo.bench.cell_options import CellOptions
from medzoo.bench.results.record import mask_predictions
from medzoo.bench.segmentation.scores import MaskRows, mask_scores
from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.task import Task
from medzoo.training.options.protocol_options import Protocol

if TYPE_CHECKING:
    import torch

    from medzoo.training.segmentation.network import Segmenter
    from medzoo.training.segmentation.tune import Segmented
    from medzoo.zoo.folder.facts import TrainedDecoder

FIELD = "fov"  # the column with the mask of the field of view, where a task has one


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
    network = segmenter(
        options.checkpoint, outputs_of(len(task.classes)), decoder=protocol.decoder, size=size, hub=options.hub,
        accept_license=options.accept_license,
    )  # fmt: skip
    network.classes = tuple(task.classes)
    return network, size


class MaskPredictor(typing.Protocol):
    """A fitted segmentation: a fine-tuned network or a dense probe."""

    def segment(self, data: Decoded) -> Iterator[Segmented]:
        """The logits of a split, some images at a time."""


def evaluate_masks(task: Task, data: Decoded, tuner: MaskPredictor) -> tuple[list[dict[str, Any]], Any]:
    """The metrics of the test split and the table of its rows.

    Args:
        task: of segmentation.
        data: the decoded test split.
        tuner: after its training.

    Returns:
        Rows of metrics, and an Arrow table.
    """
    from medzoo.training.segmentation.counts import pixel_counts
    from medzoo.training.segmentation.losses import NOT_ANNOTATED
    from medzoo.training.segmentation.tune import check_masks

    check_masks(data, list(task.classes), "test")
    fields = field_masks(task, "test", data.images[:1].shape[1]) if len(task.classes) == 1 else None
    counts: list[np.ndarray] = []
    areas: list[float | None] = []
    pixels: list[int] = []
    for part in tuner.segment(data):
        counts.append(pixel_counts(part.logits, part.masks, len(task.classes)))
        pixels += (part.masks != NOT_ANNOTATED).sum((1, 2)).tolist()
        if fields is not None:
            areas += [_pixel_auroc(part.masks[k], part.logits[k, 0], fields[row]) for k, row in enumerate(part.rows)]
    rows = MaskRows(
        tuple(task.classes),
        np.concatenate(counts),
        np.array(pixels),
        tuple(data.groups),
        tuple(areas) if areas else None,
    )
    table = mask_predictions(rows.classes, data.ids, data.groups, rows.counts, rows.pixels, rows.areas)
    return mask_scores(rows), table


def field_masks(task: Task, split: str, side: int) -> np.ndarray | None:
    """The field of view of every image at the side of the stored rows: (N, side, side) bool; None where the task has none.

    Args:
        task: with a column `fov` of mask files.
        split: of the images.
        side: pixels.
    """
    from medzoo.data.decode_cache.rows import to_mask_row

    if FIELD not in task.tables[split].column_names:
        return None
    return np.stack([to_mask_row(task.reader.read_mask(key), side) for key in task.column(split, FIELD)]).astype(bool)


def _pixel_auroc(mask: torch.Tensor, logits: torch.Tensor, field: np.ndarray) -> float | None:
    """The AUROC of the pixels of one image inside its field of view; None if they have one class."""
    from medzoo.training.segmentation.losses import NOT_ANNOTATED

    truth = mask.cpu().numpy()
    inside = field & (truth != NOT_ANNOTATED)
    labels = (truth[inside] == 1).astype(int)
    return metrics.auroc(labels, logits.cpu().numpy()[inside]) if 0 < labels.sum() < len(labels) else None


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
