"""The training loop of pre-training and fine-tuning: steps with Accelerate, exact resume, selection on validation."""

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
        optimizer: timm's name.
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
    """The result of the loop: steps, scores by epoch, and the best epoch's weights (if it selects)."""

    steps: int
    resumes: int
    scores: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    best_step: int | None = None
    best: dict[str, torch.Tensor] = field(default_factory=dict)


def make_accelerator(precision: Precision, device: str | None = None) -> Accelerator:
    """An Accelerator for this process; each run of a process can have its own precision.

    Args:
        precision: "fp32", or "bf16" for autocast.
        device: "cpu" uses no accelerator; None or "auto" uses the one of this machine.

    Raises:
        UsageError: if fewer processes joined than the launcher started; they would train separate models.
    """
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=device == "cpu")
    try:
        accelerator = Accelerator(mixed_precision="bf16" if precision == "bf16" else "no", cpu=device == "cpu")
    except (ValueError, RuntimeError) as error:
        raise UsageError(
            f"Precision {precision} on device {device or 'auto'} is not possible here: {error}",
            code="precision-not-possible",
        ) from error
    if (launched := int(os.environ.get("WORLD_SIZE", "1"))) != accelerator.num_processes:
        raise UsageError(
            f"The launcher started {launched} processes, but {accelerator.num_processes} joined: they would train separate "
            "models. On CPU, launch with ACCELERATE_USE_CPU=1 accelerate launch --multi_gpu --num_processes N.",
            code="processes-not-joined",
        )
    return accelerator


def _save(
    run: RunFolder, step: int, steps: int, objective: torch.nn.Module, optimizer: torch.optim.Optimizer, fitted: Fitted
) -> None:
    facts: dict[str, Any] = {"scores": fitted.scores, "best_epoch": fitted.best_epoch, "best_step": fitted.best_step}
    facts |= {"resumes": fitted.resumes, "identity": run.identity}
    saved_state.save_state(run.states, step, model=objective, optimizer=optimizer, best=fitted.best, facts=facts)
    run.saved(step, steps)


def _restore(
    run: RunFolder, objective: torch.nn.Module, optimizer: torch.optim.Optimizer, main: bool
) -> tuple[int, Fitted]:
    state, skipped = saved_state.load_state(run.source) if run.resume != "never" else (None, [])
    # log rows after the state will be written again
    if main:
        run.rewind(state.step if state else 0)
        for line in skipped:
            run.log({"step": 0, "skipped": line})
    if state is None:
        return 0, Fitted(steps=0, resumes=0)
    if state.facts["identity"] != run.identity:
        if difference := other_processes(state.facts["identity"], run.identity):
            raise ResumeError(
                f"The state in {run.source} belongs to this run. {difference}", code="number-of-processes-changed"
            )
        raise ResumeError(
            f"The state in {run.source} belongs to other options. Repeat those, or start with another --out.",
            code="state-of-other-run",
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
    """Train an objective to the end of its plan, from the last saved state of the run folder.

    Args:
        objective: `forward(batch, step)` gives {"loss": ..., logged values}; its `.backbone` is the result.
        batches: the training split.
        plan: epochs and optimizer.
        run: the open run folder.
        accelerator: device, precision, processes.
        score: called after each epoch; the higher, the better.
        keep_best: keep the best epoch's backbone in `Fitted.best`; without it scores are only logged.
        worded: formats a score, with the name of its metric.

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
    epoch_steps = len(batches)
    steps, warmup = epoch_steps * plan.epochs, round(plan.warmup_epochs * epoch_steps)
    progress = TrainingProgress(
        run.title,
        step=step,
        epoch_steps=epoch_steps,
        epochs=plan.epochs,
        batch_size=batches.batch_size,
        scores=fitted.scores,
        worded=worded,
    )

    while step < steps:
        epoch = step // epoch_steps
        batches.set_epoch(epoch)
        objective.train()
        # a resumed epoch continues at the batch after the saved step
        for batch in batches.from_step(step - epoch * epoch_steps, plan.num_workers):
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
            progress.step(values["loss"])
            if step % epoch_steps == 0:
                break  # score the epoch before a stop, so that no epoch is scored twice
            _stop_or_save(run, step, steps, objective, optimizer, fitted, accelerator)
        # the end of an epoch: score it, then allow a stop
        if step % epoch_steps == 0:
            if score is not None:
                _share_buffers(objective, accelerator)
                value = score()
                _select(fitted, value, epoch, step, objective.backbone if keep_best else None)
                if main:
                    run.log({"step": step, "epoch": epoch, "score": value})
            progress.epoch(epoch)
            _stop_or_save(run, step, steps, objective, optimizer, fitted, accelerator)
    progress.close()
    _share_buffers(objective, accelerator)
    fitted.steps = steps
    return fitted


def _share_buffers(objective: torch.nn.Module, accelerator: Accelerator) -> None:
    """Copy the running statistics of the first process to all, so that all processes compute the same score."""
    if accelerator.num_processes > 1:
        for buffer in objective.buffers():
            torch.distributed.broadcast(buffer, 0)


@contextmanager
def _in_memory(batch_size: int, step: int) -> Iterator[None]:
    """Explain an out-of-memory error; the batch is never made smaller silently, because that changes the training."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator" not in str(error):
            raise
        raise DeviceMemoryError(
            f"A step of {batch_size} images does not fit into memory (step {step}). Saved states are kept. Start again with a "
            "smaller --batch-size or --size, or --precision bf16, in another --out: that is another training with a separate "
            "result.",
            code="step-out-of-memory",
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
    # reading a value waits for the device, so it is read only when it is logged; on the CPU it costs nothing
    due = step % LOG_EVERY == 0 or step == steps
    if values["loss"].device.type != "cpu" and not due:
        return
    if accelerator.num_processes > 1:  # means over the whole batch, so that all processes stop at the same step
        values = {key: accelerator.reduce(value.detach().clone(), "mean") for key, value in values.items()}
    loss = float(values["loss"].detach())
    if not math.isfinite(loss):
        rows = [int(index) for index in batch["index"][:8]]
        raise DivergedError(
            f"The loss is {loss} at step {step} of epoch {epoch} (learning rate {rate:.2g}, rows {rows} ...). "
            "Try a lower --learning-rate, or --precision fp32.",
            code="loss-not-finite",
        )
    if accelerator.is_main_process and due:
        logged = {key: float(value.detach()) for key, value in values.items()}
        run.log({"step": step, "epoch": epoch, "learning_rate": rate, **logged})


def _select(fitted: Fitted, value: float, epoch: int, step: int, backbone: Any) -> None:  # noqa: ANN401 - a network or None
    """Record an epoch's score; of the best epoch so far, copy the backbone's weights."""
    fitted.scores.append(value)
    if fitted.best_epoch is None or value > fitted.scores[fitted.best_epoch]:
        fitted.best_epoch, fitted.best_step = epoch, step
        if backbone is not None:
            weights = backbone.state_dict()
            fitted.best = {key: copy.deepcopy(tensor.detach().cpu()) for key, tensor in weights.items()}


def _stop_or_save(
    run: RunFolder,
    step: int,
    steps: int,
    objective: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    fitted: Fitted,
    accelerator: Accelerator,
) -> None:
    """Save a state if it is due or the run has to stop; then stop, in all processes at the same step."""
    stop = run.stop_reason(step) is not None
    if accelerator.num_processes > 1:  # all processes stop at the same step
        flag = torch.tensor([float(stop)], device=accelerator.device)
        stop = bool(accelerator.reduce(flag, reduction="sum").item() > 0)
    if accelerator.is_main_process and (stop or (run.save_due() and step < steps)):
        _save(run, step, steps, objective, optimizer, fitted)
    if stop:
        accelerator.wait_for_everyone()
        raise run.interrupted()
