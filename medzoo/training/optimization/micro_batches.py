"""The forward and backward pass of a batch: in one piece, or in smaller pieces if the memory is too small for it."""

from __future__ import annotations

from typing import Any

import torch
from accelerate import Accelerator

from medzoo.errors import DeviceMemoryError, UsageError, is_out_of_memory
from medzoo.progress import warn
from medzoo.training.layers.trained_layers import has_batch_norm
from medzoo.training.optimization.deterministic import allow_all, is_deterministic, refused_operation

_WHY_NOT = {
    "batch-norm": "its BatchNorm layers compute statistics over a whole batch",
    "views": "its loss compares the images of a whole batch",
    "processes": "several processes train together, and all would have to use the same pieces",
}


def seed_noise(seed: int, device: torch.device) -> None:
    """Seed torch's generators of the CPU and of one device.

    `torch.manual_seed` does more: for every kind of device that is not in use it formats a stack trace and keeps it.

    Args:
        seed: of the step.
        device: that computes.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


class MicroBatches:
    """Computes the gradient of a batch, in pieces of `size` images whose gradients are added.

    The sum of the pieces is the gradient of the whole batch, up to rounding; layers with noise, such as dropout, draw it anew in
    each piece. Images are mixed (mixup, CutMix) before the batch is cut. If a step does not fit into memory, the pieces are halved,
    and the run's result records their size. Objectives with a method `terms(batch)` can be computed in pieces.

    If torch refuses an operation because it has no deterministic algorithm, the step is computed again with the usual one, and the
    run's result records that it is not deterministic.

    Args:
        size: images of one forward pass; 0 computes the whole batch in one.
        objective: the trained module, a Trainable.
        accelerator: device, precision, processes.
    """

    def __init__(self, size: int, objective: torch.nn.Module, accelerator: Accelerator) -> None:
        self.size, self.objective, self.accelerator = size, objective, accelerator
        self._tried = False  # whether a step has succeeded

    def backward(self, model: torch.nn.Module, batch: dict[str, Any], step: int, seed: int) -> dict[str, torch.Tensor]:
        """Add the gradient of a batch to the parameters; returns the detached values of its forward pass.

        Args:
            model: the objective, or its wrapper for several processes.
            batch: on the device.
            step: of the optimizer.
            seed: of the noise in this step, such as dropout.

        Raises:
            DeviceMemoryError: if the batch does not fit into memory and cannot be made smaller.
            UsageError: if the network is to be compiled, and cannot be.
        """
        images = len(batch["label"])
        # a refused operation shows in the first step, whose forward pass has moved the running statistics
        kept = [] if self._tried or not is_deterministic() else [value.clone() for value in self.objective.buffers()]
        while True:
            try:
                seed_noise(seed, self.accelerator.device)
                values = self._accumulate(model, batch, step, images)
                self._tried = True
                return values
            except RuntimeError as error:
                if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                    why = str(error).strip().partition("\n")[0][:300]
                    text = f"torch.compile cannot compile this network here ({why}). Start again without --compile."
                    raise UsageError(text, code="network-not-compilable") from error
                if is_deterministic() and (operation := refused_operation(error)):
                    if self.accelerator.num_processes > 1:  # some gradients are with the other processes already
                        raise UsageError(
                            f"This network needs {operation}, which has no deterministic algorithm on this device. With several "
                            "processes the step cannot be repeated: start again with --no-deterministic, in another --out.",
                            code="deterministic-not-possible",
                        ) from error
                    self._allow(operation, kept)
                    continue
                if not is_out_of_memory(error):
                    raise
                self._halve(images, step, error)
                self.objective.zero_grad(set_to_none=True)

    def update(self, optimizer: torch.optim.Optimizer) -> None:
        """Change the weights by their gradients.

        Args:
            optimizer: of the weights; its state is created in the first step.

        Raises:
            DeviceMemoryError: if that state does not fit into memory.
        """
        try:
            optimizer.step()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise DeviceMemoryError(
                "The state of the optimizer does not fit into memory; AdamW keeps two numbers for each weight. Start again with "
                "--optimizer sgd (one number), a smaller network, or a smaller --batch-size, in another --out.",
                code="optimizer-out-of-memory",
            ) from error

    def _accumulate(
        self, model: torch.nn.Module, batch: dict[str, Any], step: int, images: int
    ) -> dict[str, torch.Tensor]:
        size = self.size or images
        if size >= images:
            return self._one(model, batch, step)
        if reason := self._why_not():
            raise UsageError(
                f"micro_batch_size is {self.size}, but this training cannot be computed in pieces: {_WHY_NOT[reason]}.",
                code="micro-batches-not-possible",
            )
        terms = self.objective.terms(batch)  # type: ignore[operator]
        batch = self.objective.before_pieces(batch)  # type: ignore[operator]
        total: dict[str, torch.Tensor] = {}
        for first in range(0, images, size):
            part = {key: value[first : first + size] for key, value in batch.items()}
            values = self._one(model, {**part, "terms": terms}, step)
            share = len(part["label"]) / images
            for key, value in values.items():  # losses are parts of a sum, all other values are means
                value = value if key == "loss" else value * share
                total[key] = value if key not in total else total[key] + value
        return total

    def _one(self, model: torch.nn.Module, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        with self.accelerator.autocast():
            values = model(batch, step)
        values["loss"].backward()  # as accelerator.backward, which only adds scaling for fp16 and other engines
        return {key: value.detach() for key, value in values.items()}

    def _allow(self, operation: str, kept: list[torch.Tensor]) -> None:
        """Compute operations without a deterministic algorithm from now on, and start the step again."""
        allow_all()
        self.objective.zero_grad(set_to_none=True)
        with torch.no_grad():
            for value, before in zip(self.objective.buffers(), kept, strict=False):
                value.copy_(before)
        warn(
            f"This network needs {operation}, which has no deterministic algorithm on this device. If the run is stopped and "
            "resumed, its last digits differ from those of a run without a stop. The result records deterministic = false."
        )

    def _why_not(self) -> str:
        """Why the batch cannot be computed in pieces; empty if it can."""
        if has_batch_norm(self.objective):
            return "batch-norm"
        if not hasattr(self.objective, "terms"):
            return "views"
        return "processes" if self.accelerator.num_processes > 1 else ""

    def _halve(self, images: int, step: int, error: RuntimeError) -> None:
        """Halve the pieces, or explain why that would change the training."""
        size = min(self.size or images, images)
        reason = self._why_not()
        if reason or size < 2:
            why = f"It cannot be computed in smaller pieces: {_WHY_NOT[reason]}. " if reason else ""
            raise DeviceMemoryError(
                f"A step of {images} images does not fit into memory (step {step}). {why}Saved states are kept. Start again with "
                "a smaller --batch-size or --size, or --precision bf16, in another --out: that is another training with a "
                "separate result.",
                code="step-out-of-memory",
            ) from error
        self.size = size // 2
        warn(
            f"A step of {size} images does not fit into memory: from step {step} on, it is computed in pieces of {self.size}."
        )
        if self.accelerator.device.type == "cuda":
            torch.cuda.empty_cache()
