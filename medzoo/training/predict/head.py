"""What the outputs of a stored head mean: classes, labels or a value; calibrated probabilities, decisions, and their columns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from medzoo.errors import UsageError, listed
from medzoo.training.losses import probabilities_of
from medzoo.zoo.folder.config import FolderConfig
from medzoo.zoo.folder.facts import FolderCalibration

Kind = Literal["binary", "multiclass", "multilabel", "regression"]
ColumnType = Literal["text", "int", "float", "floats"]
Columns = dict[str, ColumnType]
BOTH = "|"  # between the labels of an image


@dataclass(frozen=True)
class PredictionHead:
    """A stored head.

    Args:
        kind: of its outputs.
        classes: names of the outputs, all different.
        temperature: T; a probability p becomes p^(1/T), divided by the sum over the classes (see `probabilities`).
        thresholds: a probability of at least this value is a positive decision; one per label, or one for the second of two
            classes.
        sigmoid: whether the probabilities of classes that exclude each other are sigmoids divided by their sum, not a softmax.

    >>> head = PredictionHead("binary", ("normal", "pneumonia"), thresholds=(0.3,))
    >>> head.cells(head.probabilities(np.array([[1.0, 0.5]]))[0])[0]
    'pneumonia'
    """

    kind: Kind
    classes: tuple[str, ...]
    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()
    sigmoid: bool = False

    @property
    def columns(self) -> Columns:
        """Names and types of the columns of `cells`."""
        if self.kind == "regression":
            names = ["value"] if len(self.classes) == 1 else [f"value_{name}" for name in self.classes]
            return dict.fromkeys(names, "float")
        columns: Columns = {"label": "text"}
        columns |= dict.fromkeys((f"probability_{name}" for name in self.classes), "float")
        return columns | dict.fromkeys((f"decision_{name}" for name in self._decided), "int")

    @property
    def _decided(self) -> tuple[str, ...]:
        """The classes with a decision."""
        return {"binary": self.classes[1:], "multilabel": self.classes}.get(self.kind, ())

    def probabilities(self, *views: np.ndarray) -> np.ndarray:
        """Probabilities of the classes, or values of a regression: (N, K) float64, the mean over views of the same images.

        The temperature T is applied after the mean, because it was chosen for the mean: p becomes p^(1/T), divided by the sum over
        the classes, or for labels that do not exclude each other by p^(1/T) + (1 - p)^(1/T). For one view of a softmax or a
        sigmoid, this is the same as dividing the logits by T.

        Args:
            views: logits (N, K) of each view.
        """
        rows = [torch.from_numpy(logits).double() for logits in views]
        if self.kind == "regression":
            return torch.stack(rows).mean(0).numpy()
        if len(rows) == 1 and not self.sigmoid:
            return self._outputs(rows[0] / self.temperature).numpy()
        mean = torch.stack([self._outputs(logits) for logits in rows]).mean(0)
        if self.temperature == 1:
            return mean.numpy()
        powers = mean ** (1 / self.temperature)
        others = (1 - mean) ** (1 / self.temperature) if self.kind == "multilabel" else None
        total = powers.sum(1, keepdim=True) if others is None else powers + others
        return (powers / total).numpy()

    def _outputs(self, logits: torch.Tensor) -> torch.Tensor:
        """Probabilities of logits (N, K) without a temperature."""
        return probabilities_of(logits, self.kind, sigmoid=self.sigmoid or self.kind == "multilabel")

    def cells(self, row: np.ndarray) -> list[Any]:
        """The cells of one image, in the order of `columns`.

        Args:
            row: (K,) as `probabilities` gives it.
        """
        numbers = [float(value) for value in row]
        if self.kind == "regression":
            return numbers
        decided = numbers[1:] if self.kind == "binary" else numbers
        decisions = [int(value >= limit) for value, limit in zip(decided, self.limits, strict=False)]
        return [self._label(row, decisions), *numbers, *(decisions if self._decided else [])]

    @property
    def limits(self) -> tuple[float, ...]:
        """The thresholds of the decisions; 0.5 where the folder has none."""
        return self.thresholds or (0.5,) * len(self._decided)

    def _label(self, row: np.ndarray, decisions: list[int]) -> str:
        if self.kind == "multilabel":
            return BOTH.join(name for name, positive in zip(self.classes, decisions, strict=True) if positive)
        return self.classes[decisions[0] if self.kind == "binary" else int(row.argmax())]

    def explained(self, row: np.ndarray) -> int:
        """The output that a heat map explains: the predicted class, the most probable label, or the first value.

        Args:
            row: (K,) as `probabilities` gives it.
        """
        if self.kind == "binary":
            return int(row[1] >= self.limits[0])
        return 0 if self.kind == "regression" else int(row.argmax())

    def index(self, name: str) -> int:
        """The output of a class that the user names.

        Raises:
            UsageError: lists the classes.
        """
        if name not in self.classes:
            raise UsageError(
                f"The network has no class {name!r}. It has {listed(self.classes, 20)}.", code="class-unknown"
            )
        return self.classes.index(name)


def read_head(config: FolderConfig) -> PredictionHead:
    """The stored head of a folder.

    Args:
        config: of a folder with a head.

    Raises:
        UsageError: if its single output has no meaning: the folder does not state a regression or a label.
    """
    count = config.num_classes
    if config.problem_type == "multi_label_classification":
        kind: Kind = "multilabel"
    elif config.problem_type == "regression":
        kind = "regression"
    elif count == 1:
        raise UsageError(
            f"{config.name} has one output, and its config.json does not state what it means. Set problem_type to 'regression' or "
            "'multi_label_classification' in config.json, or save it again with medzoo.save(model, folder, card={..., "
            "'problem_type': ...}).",
            code="problem-type-missing",
        )
    else:
        kind = "binary" if count == 2 else "multiclass"
    named = config.label_names if len(config.label_names) == count else tuple(f"class_{k}" for k in range(count))
    repeated = {name for name, times in Counter(named).items() if times > 1}  # ImageNet has two classes "crane"
    names = tuple(f"{name}_{k}" if name in repeated else name for k, name in enumerate(named))
    calibration = (config.facts.calibration if config.facts else None) or FolderCalibration()
    evaluation = config.facts.evaluation if config.facts else None
    sigmoid = evaluation is not None and evaluation.sigmoid
    return PredictionHead(kind, names, calibration.temperature, calibration.thresholds, sigmoid)
