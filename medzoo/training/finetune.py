"""Fine-tune all layers of a loaded model on a task; this module does not use the test split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.decode_cache.device import Placing, place
from medzoo.data.transforms.apply import Augmentation
from medzoo.training.inputs.batches import Batches, evaluate_rows
from medzoo.training.inputs.device_placement import place_rows
from medzoo.training.inputs.input_transform import convention_of
from medzoo.training.loop import Fitted, TrainingPlan, fit, make_accelerator
from medzoo.training.objectives.supervised import Objective, Options
from medzoo.training.options.protocol_options import Protocol
from medzoo.training.run_state.run_folder import RunFolder

Score = Callable[[np.ndarray, np.ndarray], float]


def probabilities(logits: np.ndarray, kind: str) -> np.ndarray:
    """Softmax over classes, or a sigmoid per label: (N, K) in float64."""
    tensor = torch.from_numpy(logits).double()
    return (tensor.sigmoid() if kind == "multilabel" else tensor.softmax(1)).numpy()


class FineTuner:
    """One fine-tuning: fit on train, select on validation, then predict any split.

    Args:
        model: a timm model with a fresh head.
        kind: the task's kind.
        protocol: resolved options.
        size: side of the input, pixels.
        device: "auto" or "cpu".
        data_on_device: whether rows are kept on the device: "auto", "never" or "always".
    """

    def __init__(
        self,
        model: torch.nn.Module,
        kind: str,
        protocol: Protocol,
        *,
        size: int,
        device: str,
        data_on_device: Placing = "auto",
    ) -> None:
        self.model, self.kind, self.protocol, self.size = model, kind, protocol, size
        self.data_on_device: Placing = data_on_device
        self.convention = convention_of(model)
        self.accelerator = make_accelerator(protocol.precision, device)

    def predict(self, data: Decoded) -> np.ndarray:
        """Probabilities (N, K) for every row of a split."""
        self.model.eval()
        with self.accelerator.autocast():
            logits = evaluate_rows(self.model, data, self.convention, size=self.size, device=self.accelerator.device)
        return probabilities(logits, self.kind)

    def fit(
        self,
        train: Decoded,
        validation: Decoded,
        run: RunFolder,
        *,
        seed: int,
        num_workers: int,
        score: Score | None,
        worded: Callable[[float], str] = "score {:.4f}".format,
    ) -> Fitted:
        """Train to the end of the protocol and load the selected epoch's weights into the model.

        Args:
            train: decoded training rows.
            validation: decoded rows that choose the epoch.
            run: the open run folder.
            seed: of order, augmentation and noise.
            num_workers: processes that make batches.
            score: (labels, probabilities) → the higher, the better; None for no selection.
            worded: formats a score, with the name of its metric.
        """
        protocol = self.protocol
        world, device = self.accelerator.num_processes, self.accelerator.device
        # rows and batches; augmentation and optimizer come from the protocol
        train = place_rows(train, device, self.data_on_device, run)
        validation = place(validation, device, self.data_on_device)
        augmentation = Augmentation(
            min_area=protocol.min_area,
            flip=protocol.flip,
            brightness=protocol.brightness,
            contrast=protocol.contrast,
            rotation=protocol.rotation,
        )
        batches = Batches(
            train,
            augmentation,
            self.convention,
            size=self.size,
            batch_size=protocol.batch_size,
            seed=seed,
            rank=self.accelerator.process_index,
            world=world,
        )
        plan = TrainingPlan(
            epochs=protocol.epochs,
            optimizer=protocol.optimizer,
            learning_rate=protocol.learning_rate,
            weight_decay=protocol.weight_decay,
            warmup_epochs=protocol.warmup_epochs,
            gradient_clip=protocol.gradient_clip,
            seed=seed,
            num_workers=num_workers,
        )
        objective = Objective(self.model, Options(label_smoothing=protocol.label_smoothing), self.kind)
        # train, and score each epoch on validation
        labels = np.asarray(validation.labels)
        validate = None if score is None else (lambda: score(labels, self.predict(validation)))
        fitted = fit(objective, batches, plan, run, self.accelerator, score=validate, worded=worded)
        if protocol.selection == "best" and fitted.best:
            self.model.load_state_dict(fitted.best)
        return fitted
