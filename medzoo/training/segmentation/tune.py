"""Fine-tune a segmentation network on the masks of a task; this module does not use the test split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.decode_cache.device import Placing, to_tensor
from medzoo.data.transforms.apply import normalise, to_unit, whole
from medzoo.errors import DataContractError, DivergedError, is_out_of_memory, listed
from medzoo.training.distributed import mean_over_processes
from medzoo.training.finetune import FineTuner, Score
from medzoo.training.inputs.batches import Batches
from medzoo.training.inputs.evaluate import too_large
from medzoo.training.loop import Validate
from medzoo.training.options.protocol_options import Protocol
from medzoo.training.segmentation.counts import dice_of, pixel_counts
from medzoo.training.segmentation.crops import CropBatches
from medzoo.training.segmentation.losses import NOT_ANNOTATED, SegmentationLoss
from medzoo.training.segmentation.masks import classes_of
from medzoo.training.segmentation.network import Segmenter
from medzoo.training.segmentation.protocol_checks import check_protocol
from medzoo.training.segmentation.sliding_window import slide
from medzoo.training.trainable import Trainable

IMAGES = 16  # that are segmented together in an evaluation


class SegmentationObjective(Trainable):
    """The loss of a task on the masks that a network predicts.

    Args:
        backbone: a segmentation network.
        loss: between logits and masks.
    """

    def __init__(self, backbone: nn.Module, loss: SegmentationLoss) -> None:
        super().__init__(backbone)
        self.loss = loss
        if loss.is_sum_over_images:  # the loop computes a batch in pieces only if the objective has `terms`
            self.terms = self._terms

    def _terms(self, batch: dict[str, Any]) -> torch.Tensor:
        """What the two sums of this process are divided by, so that the mean over the processes is that of the whole batch."""
        terms = self.loss.terms(batch["mask"])
        return torch.stack([mean_over_processes(value) for value in terms])

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The loss of a batch with "image" (N, C, H, W) and "mask" (N, H, W); "terms" if it is a part of a batch."""
        logits = self.backbone(batch["image"]).float()
        terms = batch["terms"] if "terms" in batch else self._terms(batch)
        return {"loss": self.loss(logits, batch["mask"], terms)}


@dataclass(frozen=True)
class Segmented:
    """Some images with their logits.

    Args:
        rows: numbers in the split.
        logits: (N, outputs, H, W) float32.
        masks: (N, H, W) uint8, on the device of the logits.
    """

    rows: range
    logits: torch.Tensor
    masks: torch.Tensor


class SegmentationTuner(FineTuner):
    """One fine-tuning with masks: fit on train, select on validation, then segment any split.

    Args:
        model: a segmentation network with `outputs_of(len(classes))` outputs.
        classes: names, without the background.
        protocol: resolved options.
        size: side of the network's input, pixels; stored rows may be larger.
        device: "auto" or "cpu".
        data_on_device: whether rows are kept on the device: "auto", "never" or "always".
        micro_batch_size: images of one forward pass; 0 computes a batch in one.
        structures: the mask values that each scored structure combines; by default each class is one.
        compiled: whether the network is compiled (torch.compile).

    Raises:
        UsageError: for options of the protocol that a segmentation cannot use.
    """

    def __init__(
        self,
        model: Segmenter,
        classes: list[str],
        protocol: Protocol,
        *,
        size: int,
        device: str,
        data_on_device: Placing = "auto",
        micro_batch_size: int = 0,
        structures: Sequence[Sequence[int]] | None = None,
        compiled: bool = False,
    ) -> None:
        check_protocol(protocol, classes)
        super().__init__(
            model, "segmentation", classes, protocol, size=size, device=device, data_on_device=data_on_device,
            micro_batch_size=micro_batch_size, compiled=compiled,
        )  # fmt: skip
        self.structures = [(number,) for number in range(1, len(classes) + 1)] if structures is None else structures
        weights = () if isinstance(protocol.class_weights, str) else protocol.class_weights
        self.mask_loss = SegmentationLoss(len(classes), protocol.segmentation_loss, protocol.dice_over, weights=weights)

    def _objective(
        self, train: Decoded, validation: Decoded, score: Score | None, seed: int
    ) -> tuple[Trainable, Validate]:
        """The loss of masks; the mean Dice per image on validation selects the epoch, so `score` is not used."""
        for split, rows in (("train", train), ("validation", validation)):
            check_masks(rows, self.classes, split)
        return SegmentationObjective(self.model, self.mask_loss), lambda: self._validate(validation)

    def segment(self, data: Decoded, *, flipped: bool | None = None) -> Iterator[Segmented]:
        """The logits of a split, some images at a time; images larger than the input are covered by overlapping windows.

        Args:
            data: decoded rows with masks.
            flipped: whether to average with the logits of the mirror image; None takes the protocol's `augmented_test`.

        Raises:
            DivergedError: if logits are not finite.
            DeviceMemoryError: if a single image does not fit into memory; before that, images and windows are halved.
        """
        flipped = self.protocol.augmented_test == "flip" if flipped is None else flipped
        masks = masks_of(data)
        self.model.eval()
        first, together = 0, IMAGES
        while first < len(data.ids):
            rows = range(first, min(first + together, len(data.ids)))
            try:
                logits = self._logits_of_rows(data, rows, flipped, together)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if together == 1:
                    raise too_large(1, self.size, self.accelerator.device) from error
                together //= 2
                continue
            first = rows.stop
            broken = int((~torch.isfinite(logits).flatten(1).all(1)).sum())
            if broken:
                names = listed(data.ids[rows.start : rows.stop], 3)
                raise DivergedError(
                    f"Predictions are NaN or infinite for {broken} of {len(logits)} images ({names}). Try a lower "
                    "--learning-rate, or --precision fp32.",
                    code="predictions-not-finite",
                )
            yield Segmented(rows, logits, _tensor(masks[rows.start : rows.stop]).to(logits.device))

    def _logits_of_rows(self, data: Decoded, rows: range, flipped: bool, together: int) -> torch.Tensor:
        images = self._images(data.images[rows.start : rows.stop], data.scale)
        with torch.inference_mode(), self.accelerator.autocast():
            logits = self._slide(images, together)
            return (logits + self._slide(images.flip(-1), together).flip(-1)) / 2 if flipped else logits

    def counts(self, data: Decoded, *, flipped: bool | None = None) -> np.ndarray:
        """The pixels (N, structures, 3) of a split, as in `pixel_counts`.

        Args:
            data: as for `segment`.
            flipped: as for `segment`.
        """
        parts = self.segment(data, flipped=flipped)
        return np.concatenate([self._counts(part) for part in parts])

    def _counts(self, part: Segmented) -> np.ndarray:
        return pixel_counts(classes_of(part.logits), part.masks, self.structures)

    def _validate(self, data: Decoded) -> tuple[float, float]:
        """The mean Dice per image, and the loss."""
        loss = replace(self.mask_loss, over="image")  # the batches of an evaluation are not those of the training
        counts, sums, terms = [], torch.zeros(2), torch.zeros(2)
        for part in self.segment(data, flipped=False):
            counts.append(self._counts(part))
            sums += loss.sums(part.logits, part.masks).cpu()
            terms += loss.terms(part.masks).cpu()
        return float(dice_of(np.concatenate(counts)).mean()), float((sums / terms.clamp_min(1)).sum())

    def _slide(self, images: torch.Tensor, together: int) -> torch.Tensor:
        return slide(self.model, images, self.size, overlap=self.protocol.window_overlap, batch_size=together)

    def _images(self, rows: np.ndarray | torch.Tensor, scale: float) -> torch.Tensor:
        device = self.accelerator.device
        if isinstance(rows, np.ndarray) and device.type != "cpu":
            rows = to_tensor(rows, device)
        unit = to_unit(rows, scale, self.convention.rule)
        unit = whole(unit, max(self.size, unit.shape[-1]))
        return normalise(unit, self.convention).to(device, memory_format=torch.channels_last)

    def _batches(self, rows: Decoded, seed: int) -> Batches:
        batches = super()._batches(rows, seed)
        larger = rows.images[:1].shape[1] > self.size
        return CropBatches.from_batches(batches) if larger else batches


def check_masks(data: Decoded, classes: list[str], split: str) -> None:
    """Check that all masks contain only the background, the classes, and pixels without annotation.

    Args:
        data: decoded rows.
        classes: names, without the background.
        split: for the message.

    Raises:
        DataContractError: if the rows have no masks, or with the images whose masks have other values.
    """
    masks = masks_of(data)
    wrong = []
    for first in range(0, len(data.ids), 256):
        block = _tensor(masks[first : first + 256])
        bad = ((block > len(classes)) & (block != NOT_ANNOTATED)).flatten(1).any(1)
        wrong += [
            f"{data.ids[first + row]}: {int(block[row][block[row] != NOT_ANNOTATED].max())}"
            for row in bad.nonzero()[:, 0].tolist()
        ]
    if wrong:
        raise DataContractError(
            f"{split}: {len(wrong)} masks have values outside 0 to {len(classes)} ({listed(classes)}): {listed(wrong)}. "
            f"0 is the background, and {NOT_ANNOTATED} is a pixel without annotation.",
            code="mask-value-outside-classes",
        )


def masks_of(data: Decoded) -> Any:  # noqa: ANN401 - a RowArray
    """The masks of decoded rows.

    Args:
        data: decoded rows.

    Raises:
        DataContractError: if the rows have no masks.
    """
    if data.masks is None:
        raise DataContractError(
            f"The images ({listed(data.ids, 3)}) have no masks. A segmentation needs a mask of every image.",
            code="task-without-masks",
        )
    return data.masks


def _tensor(rows: np.ndarray | torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(rows) if isinstance(rows, np.ndarray) else rows
