"""The losses of classification and regression: class weights, labels that are not annotated, and mixed images.

Each loss is a sum of terms divided by the number of terms of the whole batch, so that a batch that is computed in parts, or by
several processes, gives the same loss as in one piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F

from medzoo.errors import UsageError

LossName = Literal["auto", "softmax", "sigmoid"]


@dataclass(frozen=True)
class TaskLoss:
    """The loss of a task: cross-entropy over classes, binary cross-entropy per label, or the squared error of a number.

    Args:
        kind: of the task: "binary", "multiclass", "multilabel" or "regression".
        name: "softmax" (one of K classes) or "sigmoid" (K separate outputs); "auto" takes sigmoid for several labels per image.
        label_smoothing: share of the target spread over all classes.
        weights: one factor per class, or empty.
        of_positives: whether the factors of several labels per image are those of positive answers only; without it, of both
            answers.

    >>> loss = TaskLoss("multiclass")
    >>> round(float(loss(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]))), 4)
    0.6931
    """

    kind: str
    name: LossName = "auto"
    label_smoothing: float = 0.0
    weights: tuple[float, ...] = ()
    of_positives: bool = True

    @property
    def is_sigmoid(self) -> bool:
        """Whether each output is a separate yes or no."""
        return self.name == "sigmoid" or (self.name == "auto" and self.kind == "multilabel")

    def terms(self, label: torch.Tensor) -> torch.Tensor:
        """The number of terms of a batch, each counted with its weight: what the sum of the loss is divided by.

        Args:
            label: as for the call.
        """
        if self.kind == "multilabel":
            return (~label.isnan()).sum()
        if self.weights and not self.is_sigmoid:
            return self._weights(label.device)[label.long()].sum()
        return torch.full((), label.shape[0], device=label.device)  # torch.tensor would wait for the device

    def __call__(
        self, logits: torch.Tensor, label: torch.Tensor, terms: torch.Tensor | None = None, mixed: Mixed | None = None
    ) -> torch.Tensor:
        """The loss of a batch.

        Args:
            logits: (N, K) float32; (N, 1) for regression.
            label: (N,) class numbers, (N, K) of 0, 1 and NaN for "not annotated", or (N,) numbers.
            terms: of the whole batch, if this is a part of it; by default of this batch.
            mixed: how the images of this batch were mixed, or None.
        """
        count = (self.terms(label) if terms is None else terms).clamp_min(torch.finfo(torch.float32).tiny)
        total = self._sum(logits, label)
        if mixed is not None:
            other = label[mixed.partner] if mixed.label is None else mixed.label
            total = mixed.share * total + (1 - mixed.share) * self._sum(logits, other)
        return total / count

    def _sum(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        if self.kind == "regression":
            return F.mse_loss(logits[:, 0], label.to(logits.dtype), reduction="sum")
        weights = self._weights(logits.device).to(logits.dtype) if self.weights else None
        if not self.is_sigmoid:
            return F.cross_entropy(logits, label, weight=weights, label_smoothing=self.label_smoothing, reduction="sum")
        target = label if self.kind == "multilabel" else F.one_hot(label, logits.shape[1])
        known = ~torch.isnan(target.float())
        smooth = (
            torch.where(known, target, 0.0).to(logits.dtype) * (1 - self.label_smoothing) + self.label_smoothing / 2
        )
        of_both = self.kind == "multilabel" and not self.of_positives
        each = F.binary_cross_entropy_with_logits(
            logits,
            smooth,
            weight=weights if of_both else None,
            pos_weight=None if of_both else weights,
            reduction="none",
        )
        summed = (each * known).sum()
        return summed if self.kind == "multilabel" else summed / logits.shape[1]

    def _weights(self, device: torch.device) -> torch.Tensor:
        return weights_on(tuple(self.weights), device)


@lru_cache(maxsize=64)
def weights_on(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """The weights of classes as float32; cached, because each transfer would wait for the device.

    Args:
        values: of the classes.
        device: of the tensor.

    >>> weights_on((1.0, 2.5), torch.device("cpu")).tolist()
    [1.0, 2.5]
    """
    with torch.inference_mode(False):  # the first call may be in an evaluation, a later one in training
        return torch.tensor(values, dtype=torch.float32, device=device)


def probabilities_of(logits: torch.Tensor, kind: str, *, sigmoid: bool) -> torch.Tensor:
    """Probabilities of the classes (N, K).

    Args:
        logits: (N, K).
        kind: "binary", "multiclass" or "multilabel".
        sigmoid: whether each output is a separate yes or no, as `TaskLoss.is_sigmoid`. Those of classes that exclude each other
            are divided by their sum.

    >>> probabilities_of(torch.zeros(1, 2), "binary", sigmoid=True).tolist()
    [[0.5, 0.5]]
    """
    if not sigmoid:
        return logits.softmax(1)
    separate = logits.sigmoid()
    return separate if kind == "multilabel" else separate / separate.sum(1, keepdim=True).clamp_min(1e-30)


@dataclass(frozen=True)
class Mixed:
    """How the images of a batch were mixed: image i is `share` of itself and the rest of image `partner[i]`.

    In a part of a mixed batch, `label` has the labels of the partners, which may be in other parts.
    """

    share: float
    partner: torch.Tensor
    label: torch.Tensor | None = None


def mix(
    images: torch.Tensor, mixup: float, cutmix: float, generator: torch.Generator
) -> tuple[torch.Tensor, Mixed | None]:
    """Blend each image with another one of its batch (mixup), or paste a box of the other into it (CutMix).

    Args:
        images: (N, C, H, W).
        mixup: alpha of the Beta distribution of the share; 0 is off.
        cutmix: alpha of the Beta distribution of the box's area; 0 is off. With both, each batch uses one of them at random.
        generator: of the random numbers, on the CPU; seeded by (seed, step), so that a resumed run repeats them.

    Source: https://arxiv.org/abs/1710.09412 (mixup), https://arxiv.org/abs/1905.04899 (CutMix)

    >>> images, mixed = mix(torch.rand(4, 1, 8, 8), 1.0, 0.0, torch.Generator().manual_seed(0))
    >>> images.shape, 0 <= mixed.share <= 1
    (torch.Size([4, 1, 8, 8]), True)
    """
    if not mixup and not cutmix:
        return images, None
    draws = torch.rand(3, generator=generator, dtype=torch.float64)
    pasted = bool(cutmix) and (not mixup or bool(draws[0] < 0.5))
    share = _beta(cutmix if pasted else mixup, generator)
    partner = torch.randperm(len(images), generator=generator).to(images.device, non_blocking=True)
    if not pasted:
        return share * images + (1 - share) * images[partner], Mixed(share, partner)
    # a box with the other image's share of the area around a random centre; parts outside the image are cut off
    height, width = images.shape[-2:]
    side = (1 - share) ** 0.5
    top, bottom = _edges(float(draws[1]), side, height)
    left, right = _edges(float(draws[2]), side, width)
    result = images.clone()
    result[..., top:bottom, left:right] = images[partner][..., top:bottom, left:right]
    return result, Mixed(1 - (bottom - top) * (right - left) / (height * width), partner)


def _beta(alpha: float, generator: torch.Generator) -> float:
    """A number from Beta(alpha, alpha), as the ratio of two Gamma numbers."""
    pair = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64), generator=generator)
    return float(pair[0] / pair.sum()) if float(pair.sum()) > 0 else 0.5


def _edges(centre: float, side: float, length: int) -> tuple[int, int]:
    middle, half = int(centre * length), int(side * length) // 2
    return max(0, middle - half), min(length, middle + half)


def class_weights(
    given: str | Sequence[float], labels: np.ndarray, kind: str, classes: Sequence[str]
) -> tuple[float, ...]:
    """The factors of the classes in the loss.

    Args:
        given: "none", "balanced" (all classes count the same in total; of several labels per image, both answers of each
            label), or one factor per class.
        labels: of the training split: (N,) class numbers, or (N, K) of 0, 1 and NaN.
        kind: of the task.
        classes: their names.

    Raises:
        UsageError: if there is not one factor per class, or the task has no classes.

    >>> class_weights("balanced", np.array([0, 0, 0, 1]), "binary", ["no", "yes"])
    (0.6666666666666666, 2.0)
    """
    if isinstance(given, str) and given == "none":
        return ()
    if kind == "regression":
        raise UsageError(
            "class_weights needs classes, and the labels of this task are numbers.", code="task-without-classes"
        )
    if not isinstance(given, str):
        if len(given) != len(classes):
            raise UsageError(
                f"class_weights has {len(given)} numbers, but the task has {len(classes)} classes ({', '.join(classes)[:200]}). "
                "Give one number for each class.",
                code="class-weights-count",
            )
        return tuple(given)
    if kind == "multilabel":  # negatives per positive, so that both sides of each label have the same total
        positive, known = np.nansum(labels, axis=0), (~np.isnan(labels)).sum(axis=0)
        return tuple(float(x) for x in (known - positive) / np.maximum(positive, 1))
    counts = np.bincount(labels.astype(int), minlength=len(classes))
    return tuple(float(x) for x in len(labels) / (len(classes) * np.maximum(counts, 1)))
