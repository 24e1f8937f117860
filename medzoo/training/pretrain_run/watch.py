"""What a pre-training is worth while it runs: the health of its features, and kNN and linear probes on a named task."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch

from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.task import Task
from medzoo.data.transforms.apply import Augmentation, InputConvention, augment, normalise, to_unit, whole_in_window
from medzoo.errors import UsageError
from medzoo.training.inputs.batches import to_device
from medzoo.training.inputs.evaluate import evaluate_rows
from medzoo.training.pretrain_run.health import feature_spread, lidar, rank_me
from medzoo.training.probes.knn import vote
from medzoo.training.probes.logistic import Problem, fit_logistic

SAMPLE = 1024  # training images whose features are measured
LIDAR_IMAGES, LIDAR_VIEWS = 64, 10
TRAIN, VALIDATION = 2000, 1000  # the most images of a watched task
SHARE = 0.05  # of the training's time
NEIGHBOURS, STRENGTH = 20, 0.1


@dataclass(frozen=True)
class Watched:
    """A task that probes read while a network is trained.

    Args:
        name: of the task.
        kind: "binary", "multiclass" or "multilabel".
        classes: number of classes.
        train: rows that the probes are fitted to.
        validation: rows that they are scored on; never test images.
    """

    name: str
    kind: str
    classes: int
    train: Decoded
    validation: Decoded


class Watch:
    """Measures a network after some epochs. Everything is a function of the weights and of (seed, sample).

    Args:
        network: the one that the checkpoint keeps: the backbone that is trained, or its teacher.
        sample: gives some training images; called before the first measurement, in the main process only.
        convention: of its input.
        augmentation: of the first view, for LiDAR; the other values are of whole images, in its first CT window if it has some.
        size: side of the input, pixels.
        seed: of the run.
        every: epochs between two measurements.
        epochs: of the training; the last one is always measured.
        watched: the task for the probes, if there is one.
    """

    def __init__(
        self,
        network: Any,  # noqa: ANN401 - a timm model
        sample: Callable[[], Sequence[Decoded]],
        convention: InputConvention,
        augmentation: Augmentation,
        *,
        size: int,
        seed: int,
        every: int,
        epochs: int,
        watched: Watched | None = None,
    ) -> None:
        self.network, self._sample, self.convention, self.augmentation = network, sample, convention, augmentation
        self.size, self.seed = size, seed
        self.device = torch.device("cpu")  # the loop moves the network after this is made
        self.every, self.epochs, self.watched = every, epochs, watched

    @cached_property
    def sample(self) -> Sequence[Decoded]:
        """The training images that are measured."""
        return self._sample()

    def __call__(self, epoch: int) -> dict[str, float]:
        """The values after an epoch; empty if it is not measured.

        Args:
            epoch: from 0.
        """
        if (epoch + 1) % self.every and epoch + 1 != self.epochs:
            return {}
        self.network.eval()
        self.device = next(self.network.parameters()).device
        whole = partial(whole_in_window, size=self.size, augmentation=self.augmentation)
        features = np.concatenate([self._features(rows, whole) for rows in self.sample])
        values = {
            "feature_spread": feature_spread(features),
            "rank_me": rank_me(features),
            "lidar": lidar(self._views()),
        }
        return values if self.watched is None else values | self._probes(self.watched)

    def _pooled(self, images: torch.Tensor) -> torch.Tensor:
        """The pooled features, also of a network with a head."""
        if not hasattr(self.network, "forward_head"):
            outputs: torch.Tensor = self.network(images)
        else:
            outputs = self.network.forward_head(self.network.forward_features(images), pre_logits=True)
        return outputs

    def _features(self, rows: Decoded, view: Callable[[torch.Tensor], torch.Tensor] | None = None) -> np.ndarray:
        return evaluate_rows(self._pooled, rows, self.convention, size=self.size, device=self.device, view=view)

    def _views(self) -> np.ndarray:
        """(images, views, D): features of random views of some images."""
        made = []
        for rows in self.sample:
            few = rows.some(max(2, LIDAR_IMAGES // len(self.sample)), self.seed)
            unit = to_unit(few.images[:], few.scale, self.convention.rule)
            views = []
            for number in range(LIDAR_VIEWS):
                view = augment(
                    unit.clone(), self.augmentation, self.size, seed=self.seed, epoch=number,
                    indices=np.arange(len(few.ids)), stream="lidar",
                )  # fmt: skip
                images = to_device({"image": normalise(view, self.convention)}, self.device)["image"]
                with torch.inference_mode():
                    views.append(self._pooled(images).float().cpu())
            made.append(torch.stack(views, 1).numpy())
        return np.concatenate(made)

    def _probes(self, task: Watched) -> dict[str, float]:
        """The macro AUROC of two probes on validation images of the watched task."""
        train, validation = self._features(task.train), self._features(task.validation)
        shared: dict[str, Any] = {"kind": task.kind, "classes": task.classes}
        count = min(NEIGHBOURS, len(train))
        near = vote(train, task.train.labels, validation, counts=[count], **shared)[count].numpy()
        (model,) = fit_logistic(train, task.train.labels, [Problem(STRENGTH)], tolerance=1e-4, **shared)
        linear = model.probabilities(validation).numpy()
        labels = np.asarray(task.validation.labels)
        return {f"{task.name}_knn": macro_auroc(labels, near), f"{task.name}_linear": macro_auroc(labels, linear)}


def epochs_between(images: int, views: int, watched: Watched | None, sample: int) -> int:
    """The epochs between two measurements, so that they take about 5 % of the time of the training.

    A training step of an image costs about three forward passes for each view.

    Args:
        images: of an epoch.
        views: of an image.
        watched: the task for the probes.
        sample: training images whose features are measured.

    >>> epochs_between(100_000, 2, None, 1024), epochs_between(1_000, 2, None, 1024)
    (1, 6)
    """
    passes = sample + LIDAR_IMAGES * LIDAR_VIEWS
    passes += 0 if watched is None else len(watched.train.ids) + len(watched.validation.ids)
    return max(1, math.ceil(passes / (SHARE * 3 * views * images)))


def watched_task(task: Task, size: int, seed: int) -> Watched:
    """Some images of a task for the probes: of its training and validation splits, never of its test split.

    Args:
        task: with class labels.
        size: side of the input, pixels.
        seed: of the run.

    Raises:
        UsageError: if it has no class labels or no validation split.
    """
    from medzoo.data.decode_cache.cache import decoded

    if task.kind not in ("binary", "multiclass", "multilabel"):
        raise UsageError(
            f"--watch {task.name}: it is {task.kind}; the probes need classes.", code="task-without-classes"
        )
    if "validation" not in task.splits:
        raise UsageError(f"--watch {task.name}: it has no validation split.", code="watch-without-validation")
    train, validation = (
        decoded(task, split, size=size).some(count, seed)
        for split, count in (("train", TRAIN), ("validation", VALIDATION))
    )
    return Watched(task.name, task.kind, len(task.classes), train, validation)


def macro_auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """The mean AUROC over the classes for which it is defined; NaN if there are none.

    Args:
        labels: class numbers (N,), or (N, L) of 0, 1 and NaN.
        scores: (N, classes).

    >>> macro_auroc(np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]))
    1.0
    """
    from sklearn.metrics import roc_auc_score

    table = labels if labels.ndim == 2 else np.eye(scores.shape[1])[labels.astype(int)]
    found = []
    for truth, score in zip(table.T, scores.T, strict=True):
        known = ~np.isnan(truth)
        if len(np.unique(truth[known])) == 2:
            found.append(roc_auc_score(truth[known], score[known]))
    return float(np.mean(found)) if found else float("nan")
