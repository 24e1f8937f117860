"""The one training loop: Accelerate steps, exact resume, selection on validation; pre-training and fine-tuning share it."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator

from medzoo.data.rng import noise_seed
from medzoo.errors import DeviceMemoryError, DivergedError, ResumeError, UsageError
from medzoo.precision import Precision
from medzoo.training.inputs.batches import Batches, to_device
from medzoo.training.optim import learning_rate_at, make_optimizer
from medzoo.training.run_state import saved_state
from medzoo.training.run_state.progress import TrainingProgress
from medzoo.training.run_state.run_folder import RunFolder, other_processes

LOG_EVERY = 10


@dataclass(frozen=True)
class TrainingPlan:
    """How long and how fast to train.

    Args:
        epochs: passes over the training split.
        optimizer: timm's name of it.
        learning_rate: the peak of a warmed-up cosine.
        weight_decay: on weights, not on biases and norms.
        warmup_epochs: linear warm-up; may be a fraction.
        gradient_clip: largest norm of the gradient; 0 does not clip.
        seed: of order, augmentation and noise.
        num_workers: processes that make batches.
    """

    epochs: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    warmup_epochs: float
    gradient_clip: float
    seed: int
    num_workers: int = 0


@dataclass
class Fitted:
    """What the loop leaves behind: steps, the scores by epoch, and the best epoch's weights (if selecting)."""

    steps: int
    resumes: int
    scores: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    best_step: int | None = None
    best: dict[str, torch.Tensor] = field(default_factory=dict)


def make_accelerator(precision: Precision, device: str | None = None) -> Accelerator:
    """An Accelerator for this process; a second run in one process may ask for another precision.

    Args:
        precision: "fp32", or "bf16" for autocast.
        device: "cpu" keeps an accelerator out of use; None or "auto" takes what is there.

    Raises:
        UsageError: if a launcher asked for more processes than joined, which would train separate copies.
    """
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=device == "cpu")
    try:
        accelerator = Accelerator(mixed_precision="bf16" if precision == "bf16" else "no", cpu=device == "cpu")
    except (ValueError, RuntimeError) as error:
        raise UsageError(f"Precision {precision} on device {device or 'auto'} is not possible here: {error}") from error
    if (wanted := int(os.environ.get("WORLD_SIZE", "1"))) != accelerator.num_processes:
        raise UsageError(
            f"The launcher asked for {wanted} processes and {accelerator.num_processes} joined: they would train apart. "
            "On CPU, launch with ACCELERATE_USE_CPU=1 accelerate launch --multi_gpu --num_processes N."
        )
    return accelerator


def _save(run: RunFolder, step: int, steps: int, objective: torch.nn.Module, optimizer: Any, fitted: Fitted) -> None:  # noqa: ANN401
    facts: dict[str, Any] = {"scores": fitted.scores, "best_epoch": fitted.best_epoch, "best_step": fitted.best_step}
    facts |= {"resumes": fitted.resumes, "identity": run.identity}
    saved_state.save_state(run.states, step, model=objective, optimizer=optimizer, best=fitted.best, facts=facts)
    run.saved(step, steps)


def _restore(
    run: RunFolder, objective: torch.nn.Module, optimizer: torch.optim.Optimizer, main: bool
) -> tuple[int, Fitted]:
    state, skipped = saved_state.load_state(run.source) if run.resume != "never" else (None, [])
    if main:
        run.rewind(state.step if state else 0)
        for line in skipped:
            run.log({"step": 0, "skipped": line})
    if state is None:
        return 0, Fitted(steps=0, resumes=0)
    if state.facts["identity"] != run.identity:
        said = other_processes(state.facts["identity"], run.identity)
        raise ResumeError(
            f"The state in {run.source} belongs to "
            + (f"this run. {said}" if said else "other options. Repeat those, or start with another --out.")
        )
    saved_state.restore(state, objective, optimizer)
    facts = state.facts
    fitted = Fitted(
        0, facts["resumes"] + 1, facts["scores"], facts["best_epoch"], facts["best_step"], state.tensors["best"]
    )
    return state.step, fitted


def fit(
    objective: torch.nn.Module,
    batches: Batches,
    plan: TrainingPlan,
    run: RunFolder,
    accelerator: Accelerator,
    *,
    score: Callable[[], float] | None = None,
    keep_best: bool = True,
    worded: Callable[[float], str] = "score {:.4f}".format,
) -> Fitted:
    """Train an objective to the end of its plan, from wherever the run folder stands.

    Args:
        objective: `forward(batch, step)` gives {"loss": ..., logged values}; `.backbone` is what is kept.
        batches: the training split.
        plan: epochs and optimizer.
        run: the open run folder.
        accelerator: device, precision, processes.
        score: called after each epoch; the higher, the better.
        keep_best: keep the best epoch's backbone in `Fitted.best`; without it scores are only logged.
        worded: a score for people, with the name of its metric.

    Raises:
        Interrupted: after a signal; the state is saved.
        DivergedError: when the loss is not finite.
        DeviceMemoryError: when a step does not fit into memory.
    """
    device, main = accelerator.device, accelerator.is_main_process
    objective.to(device).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(objective, plan.optimizer, plan.learning_rate, plan.weight_decay)
    step, fitted = _restore(run, objective, optimizer, main)
    model = objective
    if accelerator.num_processes > 1:
        model = accelerator.prepare_model(objective)
    an_epoch = len(batches)
    steps, warmup = an_epoch * plan.epochs, round(plan.warmup_epochs * an_epoch)
    shown = TrainingProgress(
        run.title, step=step, an_epoch=an_epoch, epochs=plan.epochs, batch_size=batches.batch_size, scores=fitted.scores,
        worded=worded,
    )  # fmt: skip

    while step < steps:
        epoch = step // an_epoch
        batches.set_epoch(epoch)
        objective.train()
        for batch in batches.from_step(step - epoch * an_epoch, plan.num_workers):
            # noise is a function of (seed, step), so no generator needs to be saved
            torch.manual_seed(noise_seed(plan.seed, step, accelerator.process_index))
            rate = learning_rate_at(step, peak=plan.learning_rate, steps=steps, warmup=warmup)
            for group in optimizer.param_groups:
                group["lr"] = rate
            with _in_memory(batches.batch_size, step):
                with accelerator.autocast():
                    values = model(to_device(batch, device), step)
                accelerator.backward(values["loss"])
                if plan.gradient_clip:
                    torch.nn.utils.clip_grad_norm_(objective.parameters(), plan.gradient_clip)
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            _log(run, values, step, epoch, rate, batch, steps, accelerator)
            shown.step(values["loss"])
            if step % an_epoch == 0:
                break  # the epoch's score comes before a stop, so that no epoch is scored twice
            _stop_or_save(run, step, steps, objective, optimizer, fitted, accelerator)
        if step % an_epoch == 0:
            if score is not None:
                _share_buffers(objective, accelerator)
                _select(fitted, score(), epoch, step, objective, run, main, keep_best)
            shown.epoch(epoch)
            _stop_or_save(run, step, steps, objective, optimizer, fitted, accelerator)
    shown.close()
    _share_buffers(objective, accelerator)
    fitted.steps = steps
    return fitted


def _share_buffers(objective: torch.nn.Module, accelerator: Accelerator) -> None:
    """Running statistics of the first process for all: each updated its own in the last step, and all have to choose alike."""
    if accelerator.num_processes > 1:
        for buffer in objective.buffers():
            torch.distributed.broadcast(buffer, 0)


@contextmanager
def _in_memory(batch_size: int, step: int) -> Iterator[None]:
    """Say what to do when a step does not fit; no batch is made smaller silently, which would be another training."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator" not in str(error):
            raise
        raise DeviceMemoryError(
            f"A step of {batch_size} images does not fit into memory (step {step}). What was saved stays. Start again with a "
            "smaller --batch-size or --size, or --precision bf16, in another --out: it is another training, so its result "
            "stands beside, not in place of, that of the larger batch."
        ) from error


def _log(
    run: RunFolder,
    values: dict[str, Any],
    step: int,
    epoch: int,
    rate: float,
    batch: dict[str, Any],
    steps: int,
    accelerator: Accelerator,
) -> None:
    # a device is asked for its numbers only when they are logged; on the CPU asking costs nothing
    due = step % LOG_EVERY == 0 or step == steps
    if values["loss"].device.type != "cpu" and not due:
        return
    if accelerator.num_processes > 1:  # of the whole batch, so that all processes see the same and end together
        values = {key: accelerator.reduce(value.detach().clone(), "mean") for key, value in values.items()}
    loss = float(values["loss"].detach())
    if not math.isfinite(loss):
        rows = [int(index) for index in batch["index"][:8]]
        raise DivergedError(
            f"The loss is {loss} at step {step} of epoch {epoch} (learning rate {rate:.2g}, rows {rows} ...). "
            "Try a lower --learning-rate, or --precision fp32."
        )
    if accelerator.is_main_process and due:
        logged = {key: float(value.detach()) for key, value in values.items()}
        run.log({"step": step, "epoch": epoch, "learning_rate": rate, **logged})


def _select(
    fitted: Fitted, value: float, epoch: int, step: int, objective: torch.nn.Module, run: RunFolder, main: bool,
    keep_best: bool,
) -> None:  # fmt: skip
    fitted.scores.append(value)
    if fitted.best_epoch is None or value > fitted.scores[fitted.best_epoch]:
        fitted.best_epoch, fitted.best_step = epoch, step
        if keep_best:
            weights = objective.backbone.state_dict()  # type: ignore[union-attr]
            fitted.best = {key: copy.deepcopy(tensor.detach().cpu()) for key, tensor in weights.items()}
    if main:
        run.log({"step": step, "epoch": epoch, "score": value})


def _stop_or_save(
    run: RunFolder, step: int, steps: int, objective: torch.nn.Module, optimizer: Any, fitted: Fitted, accelerator: Accelerator  # noqa: ANN401
) -> None:  # fmt: skip
    wanted = run.stop_wanted(step) is not None
    if accelerator.num_processes > 1:  # all processes stop at the same step
        flag = torch.tensor([float(wanted)], device=accelerator.device)
        wanted = bool(accelerator.reduce(flag, reduction="sum").item() > 0)
    if accelerator.is_main_process and (wanted or (run.save_due() and step < steps)):
        _save(run, step, steps, objective, optimizer, fitted)
    if wanted:
        accelerator.wait_for_everyone()
        raise run.interrupted()
