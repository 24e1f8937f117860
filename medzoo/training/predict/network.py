"""The network of a prediction: loaded with its stored head, and run on batches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from medzoo import precision
from medzoo.errors import UsageError
from medzoo.training.inputs.evaluation_views import centre_place, evaluation_views, stored_side
from medzoo.training.inputs.input_transform import convention_of, input_size
from medzoo.training.predict.explain import Method, attention_rollout, check_method, grad_cam
from medzoo.training.predict.head import PredictionHead, read_head
from medzoo.zoo.folder.config import read_config
from medzoo.zoo.folder.facts import FolderEvaluation
from medzoo.zoo.loading.load import load
from medzoo.zoo.registry.registry import text_of

Views = Literal["as-tested", "one"]


@dataclass(frozen=True)
class NetworkOutputs:
    """The outputs for a batch.

    Args:
        probabilities: (N, K), or values of a regression; None without a head.
        embeddings: (N, D) float32, if requested; of the centre crop where several views are averaged.
        heat: (N, h, w) in [0, 1], if requested; of the centre crop.
        explained: the output that each heat map explains.
    """

    probabilities: np.ndarray | None
    embeddings: np.ndarray | None = None
    heat: np.ndarray | None = None
    explained: tuple[int, ...] = ()


class Network:
    """A checkpoint that predicts.

    Args:
        name: as for `medzoo.load`; of a run folder, its checkpoint is used.
        embeddings: whether to give the pooled features too; a checkpoint without a stored head gives nothing else.
        explain: "gradcam" or "attention" for heat maps.
        explain_class: the class to explain; by default the predicted one.
        views: "as-tested" averages the views that the folder names, "one" uses only the centre crop.
        device: "auto" or "cpu".
        precision_choice: "fp32", "bf16" or "auto".
        hub: directory hub.
        accept_license: accept non-commercial or contested terms.

    Raises:
        UsageError: if the checkpoint has no stored head and no embeddings are requested, or a heat map is not possible.
    """

    def __init__(
        self,
        name: Any,  # noqa: ANN401 - any input of a user
        *,
        embeddings: bool = False,
        explain: Method | None = None,
        explain_class: str | None = None,
        views: Views = "as-tested",
        device: str = "auto",
        precision_choice: precision.PrecisionChoice = "fp32",
        hub: Any = None,  # noqa: ANN401
        accept_license: bool = False,
    ) -> None:
        kind = precision.device_kind(device)
        self.device = torch.device(kind)
        self.precision = precision.resolve(precision.checked(precision_choice), device)
        self.embeddings, self.explain = embeddings, explain
        self.head: PredictionHead | None = None
        loading: dict[str, Any] = {"hub": hub, "accept_license": accept_license}
        try:
            self.model: nn.Module = load(name, num_classes="pretrained", **loading)
        except UsageError as error:
            if error.code != "no-stored-head":
                raise
            if not embeddings:
                raise UsageError(
                    f"{text_of(name)} has no stored head, so it cannot predict. Fine-tune it first (recipes/finetune.py) and give "
                    "the run folder; or ask for its features only: --embeddings (embeddings=True).",
                    code="no-stored-head",
                ) from None
            self.model = load(name, **loading)
        receipt: Any = self.model.load_receipt
        evaluation = FolderEvaluation()
        if receipt.folder is not None:
            config = read_config(Path(receipt.folder))
            self.head = read_head(config) if receipt.head == "stored" else None
            evaluation = (config.facts.evaluation if config.facts else None) or evaluation
        self.name, self.size = str(receipt.name), input_size(self.model)
        self.side, self.centre = (
            stored_side(self.size, evaluation.crop_share),
            centre_place(self.size, evaluation.crop_share),
        )
        self.views = evaluation_views(self.size, evaluation.crop_share, "none" if views == "one" else evaluation.views)
        self.model.to(self.device)
        if explain is not None and self.head is None:
            raise UsageError(
                "A heat map explains a prediction, and this checkpoint has no head.", code="no-stored-head"
            )
        if explain is not None:
            check_method(self.model, explain, self.size, convention_of(self.model).channels)
        self._chosen = self.head.index(explain_class) if self.head and explain_class is not None else None
        self._classifier = self._find_classifier() if embeddings and self.head else None

    def _find_classifier(self) -> nn.Module:
        """The last layer, whose input is the embedding."""
        last = self.model.get_classifier()  # type: ignore[operator]
        if not isinstance(last, nn.Linear):
            raise UsageError(
                f"The head of {self.name} is a {type(last).__name__}, not one linear layer, so its input is not the embedding. Use "
                "medzoo.embed(medzoo.load(NAME), ...).",
                code="embeddings-unsupported",
            )
        return last

    def __call__(self, batch: torch.Tensor) -> NetworkOutputs:
        """The outputs for normalised images.

        Args:
            batch: (N, channels, side, side) float32 on the CPU.
        """
        first, *others = (view(batch.to(self.device)).contiguous() for view in self.views)
        caught: list[torch.Tensor] = []
        handle = self._classifier and self._classifier.register_forward_pre_hook(
            lambda _, inputs: caught.append(inputs[0].detach().float().cpu())
        )
        try:
            kind, short = self.device.type, self.precision == "bf16"
            # without its cache: weights that inference mode has cast are of no use for the gradient of Grad-CAM
            rounded = torch.autocast(kind, torch.bfloat16, enabled=short, cache_enabled=False)
            with precision.full_float32(kind), rounded:
                logits, heat, explained = self._forward(first, others)
        finally:
            if handle:
                handle.remove()
        if self.head is None:
            return NetworkOutputs(None, logits[0])
        vectors = caught[-1 if self.explain else 0].numpy() if caught else None
        return NetworkOutputs(self.head.probabilities(*logits), vectors, heat, explained)

    def _forward(
        self, first: torch.Tensor, others: list[torch.Tensor]
    ) -> tuple[list[np.ndarray], np.ndarray | None, tuple[int, ...]]:
        """The logits of each view; the heat maps of the first one, and the outputs that they explain."""
        wanted = others if self.explain and self.head else [first, *others] if self.head else [first]
        with torch.inference_mode():
            logits = [_numbers(self.model(view)) for view in wanted]
        if self.explain is None or self.head is None:
            return logits, None, ()

        def choose(raw: torch.Tensor) -> list[int]:
            """The output to explain for each image, by the mean of all views."""
            assert self.head is not None
            if self._chosen is not None:
                return [self._chosen] * len(raw)
            return [self.head.explained(row) for row in self.head.probabilities(_numbers(raw), *logits)]

        if self.explain == "attention":
            raw, heat = attention_rollout(self.model, first)
        else:
            raw, heat = grad_cam(self.model, first, choose)
        return [_numbers(raw), *logits], heat.numpy(), tuple(choose(raw))


def _numbers(logits: torch.Tensor) -> np.ndarray:
    return logits.float().cpu().numpy()
