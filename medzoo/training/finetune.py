"""Fine-tune a loaded model on a task, as its protocol says; this module does not use the test split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.decode_cache.device import Placing, place
from medzoo.errors import UsageError
from medzoo.progress import say_part
from medzoo.training.accelerator import make_accelerator
from medzoo.training.distributed import mean_over_processes
from medzoo.training.inputs.augmentation import augmentation_of
from medzoo.training.inputs.batches import Batches
from medzoo.training.inputs.device_placement import place_rows
from medzoo.training.inputs.evaluate import evaluate_rows
from medzoo.training.inputs.evaluation_views import View, evaluation_views
from medzoo.training.inputs.input_transform import convention_of
from medzoo.training.layers.head import add_dropout, rescale_output, start_head
from medzoo.training.layers.lora import add_lora, merge_lora
from medzoo.training.layers.solved_head import PooledFeatures, solve_head
from medzoo.training.layers.trained_layers import is_transformer
from medzoo.training.loop import Loop, Validate
from medzoo.training.losses import Mixed, TaskLoss, class_weights, mix, probabilities_of
from medzoo.training.optimization.plan import Fitted, TrainingPlan
from medzoo.training.options.protocol_options import Protocol
from medzoo.training.run_state.run_folder import RunFolder
from medzoo.training.trainable import Trainable

Score = Callable[[np.ndarray, np.ndarray], float]


class FineTuneObjective(Trainable):
    """The loss of a task on the outputs of a network.

    Args:
        backbone: a timm model whose head has one output per class.
        loss: of the task.
        mixup: alpha, or 0.
        cutmix: alpha, or 0.
        target: (mean, std) of the training targets of a regression; the network learns (y - mean) / std.
    """

    def __init__(
        self,
        backbone: nn.Module,
        loss: TaskLoss,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        target: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        super().__init__(backbone)
        self.loss, self.mixup, self.cutmix, self.target = loss, mixup, cutmix, target

    def terms(self, batch: dict[str, Any]) -> torch.Tensor:
        """What the summed loss of this process is divided by, so that the mean over the processes is that of the whole batch."""
        return mean_over_processes(self.loss.terms(batch["label"]))

    def before_pieces(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Mix the images before a batch is cut into pieces, since the partner of an image may be any of the batch."""
        images, mixed = self._mix(batch["image"])
        if mixed is None:
            return batch
        share = torch.full(
            (len(images),), mixed.share, dtype=torch.float64
        )  # on the CPU, where reading it costs nothing
        labels = {"partner": mixed.partner, "partner_label": batch["label"][mixed.partner]}
        return {**batch, "image": images, "share": share, **labels}

    def _mix(self, images: torch.Tensor) -> tuple[torch.Tensor, Mixed | None]:
        # the global generator is seeded by (seed, step) before each step
        return mix(images, self.mixup, self.cutmix, torch.Generator().manual_seed(torch.initial_seed()))

    def _scaled(self, label: torch.Tensor) -> torch.Tensor:
        """The labels as the network learns them."""
        return (label.float() - self.target[0]) / self.target[1] if self.loss.kind == "regression" else label

    def forward(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """The loss of a batch with "image" (N,C,H,W) and "label"; "terms" if it is a part of a batch."""
        label = self._scaled(batch["label"])
        if "partner" in batch:
            images, other = batch["image"], self._scaled(batch["partner_label"])
            mixed: Mixed | None = Mixed(float(batch["share"][0]), batch["partner"], other)
        else:
            images, mixed = self._mix(batch["image"])
        logits = self.backbone(images).float()
        terms = batch["terms"] if "terms" in batch else self.terms({"label": label})
        values = {"loss": self.loss(logits, label, terms, mixed)}
        if self.loss.kind in ("binary", "multiclass"):
            values["accuracy"] = (logits.argmax(1) == label).float().mean()
        return values


class FineTuner:
    """One fine-tuning: fit on train, select on validation, then predict any split.

    Args:
        model: a timm model with a fresh head.
        kind: the task's kind.
        classes: names of the outputs.
        protocol: resolved options.
        size: side of the input, pixels.
        device: "auto" or "cpu".
        data_on_device: whether rows are kept on the device: "auto", "never" or "always".
        micro_batch_size: images of one forward pass; 0 computes a batch in one.
        compiled: whether the network is compiled (torch.compile).
    """

    def __init__(
        self,
        model: torch.nn.Module,
        kind: str,
        classes: list[str],
        protocol: Protocol,
        *,
        size: int,
        device: str,
        data_on_device: Placing = "auto",
        micro_batch_size: int = 0,
        compiled: bool = False,
    ) -> None:
        self.model, self.kind, self.classes, self.protocol, self.size = model, kind, classes, protocol, size
        self.data_on_device: Placing = data_on_device
        self.micro_batch_size, self.compiled = micro_batch_size, compiled
        self.loss, self.target = TaskLoss(kind, protocol.loss), (0.0, 1.0)
        self._dropout: RemovableHandle | None = None
        self.convention = convention_of(model)
        self.accelerator = make_accelerator(protocol.precision, device)

    def predict(self, data: Decoded) -> np.ndarray:
        """Probabilities (N, K), or numbers (N, 1) of a regression: the mean over the views that the protocol tests."""
        protocol = self.protocol
        views = evaluation_views(self.size, protocol.crop_share, protocol.augmented_test)
        return np.mean([self.outputs(self._logits(data, view)) for view in views], axis=0)

    def outputs(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities of logits (N, K), in float64; the logits themselves for a regression."""
        tensor = torch.from_numpy(logits).double()
        if self.kind == "regression":
            return tensor.numpy()
        return probabilities_of(tensor, self.kind, sigmoid=self.loss.is_sigmoid).numpy()

    def _logits(self, data: Decoded, view: View, network: nn.Module | None = None) -> np.ndarray:
        """The outputs of the model, or of another network, for one view of every row."""
        network = network or self.model
        network.eval()
        with self.accelerator.autocast():
            return evaluate_rows(
                network, data, self.convention, size=self.size, device=self.accelerator.device, view=view
            )

    def fit(self, loop: Loop) -> Fitted:
        """Train to the end of the protocol and load the selected epoch's weights into the model.

        Args:
            loop: from `loop`.
        """
        fitted = loop.fit()
        if self.protocol.selection == "best" and fitted.best:
            self.model.load_state_dict(fitted.best)
        if self._dropout is not None:
            self._dropout.remove()
        if self.protocol.lora_rank:
            merge_lora(self.model)
        if self.kind == "regression":
            rescale_output(self.model, *self.target)
        return fitted

    def loop(
        self,
        train: Decoded,
        validation: Decoded,
        run: RunFolder,
        *,
        seed: int,
        num_workers: int,
        score: Score | None = None,
        worded: Callable[[float], str] = "score {:.4f}".format,
    ) -> Loop:
        """The training loop of this task, not started; it prepares the network's head and trained layers.

        Args:
            train: decoded training rows.
            validation: decoded rows that choose the epoch.
            run: the open run folder.
            seed: of order, augmentation and noise.
            num_workers: processes that make batches.
            score: (labels, probabilities) → the higher, the better; None if the metric is undefined.
            worded: formats a score, with the name of its metric.
        """
        device = self.accelerator.device
        validation = place(validation, device, self.data_on_device)
        objective, validate = self._objective(train, validation, score, seed)
        batches = self._batches(place_rows(train, device, self.data_on_device, run), seed)
        plan = self._plan(seed, num_workers)
        return Loop(objective, batches, plan, run, self.accelerator, validate=validate, worded=worded)

    def _objective(
        self, train: Decoded, validation: Decoded, score: Score | None, seed: int
    ) -> tuple[Trainable, Validate]:
        """The loss, with the head and the trained layers prepared, and the function that validates an epoch."""
        protocol = self.protocol
        # the loss, with weights and targets from the training labels
        weights = class_weights(protocol.class_weights, train.labels, self.kind, self.classes)
        balanced = isinstance(
            protocol.class_weights, str
        )  # of labels: a list counts for both answers, as torch's `weight`
        self.loss = TaskLoss(self.kind, protocol.loss, protocol.label_smoothing, weights, of_positives=balanced)
        if self.kind == "regression":
            self.target = (float(train.labels.mean()), float(train.labels.std()) or 1.0)
        objective = FineTuneObjective(self.model, self.loss, protocol.mixup, protocol.cutmix, self.target)
        labels, view = np.asarray(validation.labels), evaluation_views(self.size, protocol.crop_share)[0]

        def validate() -> tuple[float | None, float | None]:
            logits = self._logits(validation, view)
            loss = self._validation_loss(objective, logits, labels)
            if self.kind == "regression":  # in the unit of the targets
                logits = logits * self.target[1] + self.target[0]
            return None if score is None else score(labels, self.outputs(logits)), loss

        # the head and the trained layers
        start_head(self.model, protocol.head_std)
        if protocol.head_start == "solved":
            self._solve_head(train, validation, score)
        if protocol.lora_rank:
            torch.manual_seed(seed)
            add_lora(self.model, protocol.lora_rank)
        self._dropout = add_dropout(self.model, protocol.dropout)
        return objective, validate

    def _solve_head(self, train: Decoded, validation: Decoded, score: Score | None) -> None:
        """Start from the logistic regression on the frozen features of the training split."""
        if score is None:
            raise UsageError(
                'head_start = "solved" selects a penalty on validation, where the metric of this task is undefined. Use "random".',
                code="head-cannot-be-solved",
            )
        network, view = PooledFeatures(self.model), evaluation_views(self.size, self.protocol.crop_share)[0]
        network.to(self.accelerator.device)
        splits = [(self._logits(rows, view, network), np.asarray(rows.labels)) for rows in (train, validation)]
        chosen = solve_head(
            self.model, *splits, kind=self.kind, regularisation=self.protocol.regularisation, score=score
        )
        say_part(f"the head starts from the logistic regression on frozen features, C = {chosen:g}")

    def _batches(self, rows: Decoded, seed: int) -> Batches:
        protocol = self.protocol
        balanced = protocol.sampling == "balanced"
        if balanced and self.kind not in ("binary", "multiclass"):
            raise UsageError(
                f"sampling = 'balanced' needs one class per image; this task is {self.kind}.",
                code="sampling-needs-classes",
            )
        return Batches(
            rows,
            augmentation_of(protocol),
            self.convention,
            size=self.size,
            batch_size=protocol.batch_size,
            seed=seed,
            rank=self.accelerator.process_index,
            world=self.accelerator.num_processes,
            balanced=balanced,
        )

    def _plan(self, seed: int, num_workers: int) -> TrainingPlan:
        """The protocol as a plan; layer decay is for transformers only."""
        protocol = self.protocol
        names = set(TrainingPlan.__dataclass_fields__) & set(Protocol.__dataclass_fields__)
        values: dict[str, Any] = {name: getattr(protocol, name) for name in names}
        if not is_transformer(self.model):
            values["layer_decay"] = 1.0
        values |= {"micro_batch_size": self.micro_batch_size, "compiled": self.compiled}
        return TrainingPlan(**values, seed=seed, num_workers=num_workers)

    def _validation_loss(self, objective: FineTuneObjective, logits: np.ndarray, labels: np.ndarray) -> float | None:
        """The training loss, without label smoothing, on validation; None if no label is annotated, or if it is not finite."""
        loss = replace(self.loss, label_smoothing=0.0)
        target = torch.from_numpy(labels)
        if self.kind == "regression":
            target = (target.float() - objective.target[0]) / objective.target[1]
        if float(loss.terms(target)) == 0:
            return None
        value = float(loss(torch.from_numpy(logits).double(), target))
        return value if np.isfinite(value) else None
