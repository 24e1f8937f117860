"""The training loop of pre-training and fine-tuning: steps with Accelerate, exact resume, selection on validation."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from accelerate import Accelerator

from medzoo import store
from medzoo.data.rng import noise_seed
from medzoo.errors import DivergedError
from medzoo.training.distributed import check_same_step, of_first_process, share_buffers
from medzoo.training.inputs.batches import Batches, to_device
from medzoo.training.layers.trained_layers import freeze_modes, set_trained
from medzoo.training.optimization.compiled import compile_modules, undo_compilation
from medzoo.training.optimization.ema import Ema
from medzoo.training.optimization.micro_batches import MicroBatches
from medzoo.training.optimization.optimizer import make_optimizer, set_rate, set_weight_decay
from medzoo.training.optimization.plan import Fitted, TrainingPlan
from medzoo.training.optimization.stopping import History
from medzoo.training.run_state import saved_state
from medzoo.training.run_state.progress import TrainingProgress
from medzoo.training.run_state.run_folder import DIVERGED, RunFolder
from medzoo.training.trainable import Trainable, half_cosine

LOG_EVERY = 10
Validate = Callable[[], tuple[float | None, float | None]]


class Loop:
    """One training: its network, optimizer and history, and the step that it has reached; `fit` runs it.

    Args:
        objective: gives the loss of a batch; its `.backbone` is the result.
        batches: the training split.
        plan: epochs, optimizer, layers.
        run: the open run folder.
        accelerator: device, precision, processes.
        validate: called after each epoch; gives the score (the higher, the better) and the loss of validation, each a number
            or None.
        keep_best: keep the best epoch's backbone in `Fitted.best`; without it the values are only logged.
        worded: formats a score, with the name of its metric.
        watch: called in the main process with the number of a finished epoch; gives values to log, which change nothing.
    """

    def __init__(
        self,
        objective: Trainable,
        batches: Batches,
        plan: TrainingPlan,
        run: RunFolder,
        accelerator: Accelerator,
        *,
        validate: Validate | None = None,
        keep_best: bool = True,
        worded: Callable[[float], str] = "score {:.4f}".format,
        watch: Callable[[int], dict[str, float]] | None = None,
    ) -> None:
        self.objective, self.batches, self.plan, self.run = objective, batches, plan, run
        self.accelerator, self.validate, self.keep_best, self.worded = accelerator, validate, keep_best, worded
        self.main, self.watch = accelerator.is_main_process, watch
        self.epoch_steps = len(batches)
        self.schedule = plan.schedule_of(self.epoch_steps)
        self.steps, self.step = self.epoch_steps * plan.epochs, 0
        self.checks_each_loss = accelerator.device.type == "cpu"  # there it costs nothing to read one
        objective.start(steps=self.steps, epoch_steps=self.epoch_steps, seed=plan.seed)
        self.fitted = Fitted(0, 0, History(plan.monitor, plan.patience, frozen_epochs=plan.frozen_epochs), None, {})
        objective.to(accelerator.device).to(memory_format=torch.channels_last)
        self.micro = MicroBatches(plan.micro_batch_size, objective, accelerator)
        compile_modules(objective.compiled_modules() if plan.compiled else ())
        self.ema = Ema(objective.backbone, plan.ema) if plan.ema else None

    def fit(self) -> Fitted:
        """Train from the last saved state of the run folder to the end of the plan.

        Raises:
            Interrupted: after a signal; the state is saved.
            DivergedError: when the loss is not finite.
            DeviceMemoryError: when a step does not fit into memory.
        """
        self.restore()
        check_same_step(self.step)
        progress = TrainingProgress(
            self.run.title,
            step=self.step,
            epoch_steps=self.epoch_steps,
            epochs=self.plan.epochs,
            batch_size=self.batches.batch_size,
            scores=self.fitted.scores,
            worded=self.worded,
        )
        while self.step < self.steps and not self.fitted.history.stops:
            epoch = self._start_epoch()
            # a resumed epoch continues at the batch after the saved step
            first = self.step - epoch * self.epoch_steps
            made = self.batches.from_step(first, self.plan.num_workers, self.accelerator.device)
            for batch in progress.batches(made):
                progress.step(self._train(batch, epoch))
                if self.step % self.epoch_steps == 0:
                    break  # validate the epoch before a stop, so that no epoch is validated twice
                self._stop_or_save()
            # the end of an epoch: validate it, then allow a stop
            if self.step % self.epoch_steps == 0:
                self._validate(epoch)
                progress.epoch(epoch)
                self._stop_or_save()
        progress.close()
        if self.ema is not None:  # the averaged weights are the result
            self.objective.backbone.load_state_dict(self.ema.tensors)
        share_buffers(self.objective)
        undo_compilation(self.objective.compiled_modules())
        self.fitted.steps, self.fitted.micro_batch_size = self.step, self.micro.size
        return self.fitted

    def train_next(self) -> torch.Tensor:
        """Train one step, without validation or saved states; returns its loss."""
        epoch = self._start_epoch()
        first = self.step - epoch * self.epoch_steps
        return self._train(next(self.batches.from_step(first, 0)), epoch)

    # --- the steps of the loop ---

    def _start_epoch(self) -> int:
        """Prepare the network and the batches for the epoch of the present step; returns its number."""
        epoch = self.step // self.epoch_steps
        if self.frozen != (epoch < self.plan.frozen_epochs):
            self._enter(frozen=not self.frozen)
        self.batches.set_epoch(epoch)
        self.objective.train()
        if self.frozen or self.plan.train_blocks >= 0:
            freeze_modes(self.objective.backbone)
        return epoch

    def _enter(self, *, frozen: bool) -> None:
        """Choose the trained layers and start their optimizer: for the frozen epochs, and again after them."""
        plan, self.frozen = self.plan, frozen
        backbone: Any = self.objective.backbone
        if frozen or plan.train_blocks >= 0:
            set_trained(backbone, 0 if frozen else plan.train_blocks)
        elif plan.frozen_epochs:
            set_trained(backbone)
        if not plan.head_bias and (bias := getattr(backbone.get_classifier(), "bias", None)) is not None:
            bias.requires_grad_(False)
        rate, layer_decay = (plan.frozen_learning_rate, 1.0) if frozen else (plan.learning_rate, plan.layer_decay)
        self.optimizer = make_optimizer(
            self.objective, plan.optimizer, rate, plan.weight_decay, layer_decay=layer_decay
        )
        self.parameters = list(self.objective.parameters())
        self.model = self.objective
        if self.accelerator.num_processes > 1:
            self.model = self.accelerator.prepare_model(self.objective)

    def _rate(self) -> float:
        """The learning rate of the present step."""
        plan, history = self.plan, self.fitted.history
        first = plan.frozen_epochs * self.epoch_steps
        if self.step < first:
            return plan.frozen_learning_rate
        # a plateau depends on the validation losses since the frozen epochs; the other schedules on the step alone
        used = history.losses[plan.frozen_epochs :] if plan.schedule == "plateau" else ()
        return self.schedule.rate(self.step - first, [loss for loss in used if loss is not None])

    def _train(self, batch: dict[str, Any], epoch: int) -> torch.Tensor:
        """One step of the optimizer; returns the loss of the batch."""
        rate = self._rate()
        set_rate(self.optimizer, rate)
        if self.plan.final_weight_decay is not None:
            decay = half_cosine(self.plan.weight_decay, self.plan.final_weight_decay, self.step, self.steps)
            set_weight_decay(self.optimizer, decay)
        # noise is a function of (seed, step), so no generator needs to be saved
        seed = noise_seed(self.plan.seed, self.step, self.accelerator.process_index)
        batch = to_device(batch, self.accelerator.device)
        values = self.micro.backward(self.model, batch, self.step, seed)
        self._log(values, batch, epoch, rate)
        self.objective.before_update(self.step)
        if self.plan.gradient_clip:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.plan.gradient_clip)
        self.micro.update(self.optimizer)
        self.optimizer.zero_grad(set_to_none=True)
        self.objective.after_update(self.step)
        if self.ema is not None:
            self.ema.update()
        self.step += 1
        self.loss = values["loss"]
        return self.loss

    def _log(self, values: dict[str, torch.Tensor], batch: dict[str, Any], epoch: int, rate: float) -> None:
        """Log the values of a step, and stop at a loss that is not finite."""
        # reading a value waits for the device, so it is read only when it is logged, and before a validation
        done = self.step + 1
        due = done % LOG_EVERY == 0 or done == self.steps
        if not (due or self.checks_each_loss or done % self.epoch_steps == 0):
            return
        if self.accelerator.num_processes > 1:  # means over the batch, so that all processes stop at the same step
            values = {key: self.accelerator.reduce(value.clone(), "mean") for key, value in values.items()}
        loss = float(values["loss"])
        if not math.isfinite(loss):
            self._diverged(loss, batch, epoch, rate)
        if self.main and due:
            logged = {key: float(value) for key, value in values.items()}
            self.run.log({"step": done, "epoch": epoch, "learning_rate": rate, **logged})

    def _diverged(self, loss: float, batch: dict[str, Any], epoch: int, rate: float) -> None:
        """Write down the step and its images, keep a state for --replay, and stop."""
        ids = self.batches.ids_of(batch["index"])
        if self.main:
            # on the CPU every loss is checked before it changes the weights: this state replays the very step
            if all(bool(value.isfinite().all()) for value in self.objective.parameters()):
                self._save()
            facts = {"step": self.step + 1, "epoch": epoch, "learning_rate": rate, "ids": ids}
            store.write_json(self.run.path / DIVERGED, {**facts, "identity": self.run.identity})
        self.accelerator.wait_for_everyone()  # the launcher ends all processes soon after the first one
        raise DivergedError(
            f"The loss is {loss} at step {self.step + 1} of epoch {epoch} (learning rate {rate:.2g}, images {ids[:8]} ...). Try a "
            "lower --learning-rate, or --precision fp32. The same command with --replay repeats this step and reports every layer.",
            code="loss-not-finite",
        )

    def _validate(self, epoch: int) -> None:
        """Validate after an epoch, and of the best epoch so far, copy the backbone's weights."""
        if self.watch is not None:
            share_buffers(self.objective)
            if self.main and (measured := self.watch(epoch)):
                self.run.log({"step": self.step, "epoch": epoch, **measured})
        if self.validate is None:
            return
        backbone: Any = self.objective.backbone
        with self.ema.applied() if self.ema is not None else nullcontext():
            share_buffers(self.objective)  # of the network that is validated: also the averages are a process's own
            score, loss = of_first_process(self.validate())  # the processes must decide the same
            is_best = self.fitted.history.add(score, loss)
            if is_best:
                self.fitted.best_step = self.step
            if is_best and self.keep_best:
                weights = backbone.state_dict()
                self.fitted.best = {key: value.detach().to("cpu", copy=True) for key, value in weights.items()}
        if self.main:
            values = {"score": score, "validation_loss": loss}
            known = {key: value for key, value in values.items() if value is not None}
            self.run.log({"step": self.step, "epoch": epoch, **known})

    # --- saved states ---

    def _stop_or_save(self) -> None:
        """Save a state if it is due or the run has to stop; then stop, in all processes at the same step."""
        stop = self.run.stop_reason(self.step) is not None
        if self.accelerator.num_processes > 1:
            if not self.checks_each_loss and self.step % LOG_EVERY and self.step % self.epoch_steps:
                return  # the answer of the other processes waits for the device
            flag = torch.tensor([float(stop)], device=self.accelerator.device)
            stop = bool(self.accelerator.reduce(flag, reduction="sum").item() > 0)
        due = stop or (self.run.save_due() and self.step < self.steps)
        # a GPU may have diverged since the last look at the loss
        if self.main and due and math.isfinite(float(self.loss)):
            self._save()
        if stop:
            self.accelerator.wait_for_everyone()
            raise self.run.interrupted()

    def _save(self) -> None:
        history = self.fitted.history
        facts: dict[str, Any] = {"scores": history.scores, "losses": history.losses, "frozen": self.frozen}
        facts |= {"best_epoch": history.best_epoch, "best_step": self.fitted.best_step, "resumes": self.fitted.resumes}
        facts |= {"micro_batch_size": self.micro.size, "identity": self.run.identity}
        saved_state.save_state(
            self.run.states, self.step, model=self.objective, optimizer=self.optimizer, best=self.fitted.best,
            ema={} if self.ema is None else self.ema.tensors, facts=facts,
        )  # fmt: skip
        self.run.saved(self.step, self.steps)

    def restore(self) -> None:
        """Continue from the newest saved state, or start."""
        run = self.run
        state, skipped = saved_state.load_state(run.source) if run.resume != "never" else (None, [])
        # log rows after the state will be written again
        if self.main:
            run.rewind(state.step if state else 0)
            for line in skipped:
                run.log({"step": 0, "skipped": line})
        if state is None:
            self._enter(frozen=self.plan.frozen_epochs > 0)
            return
        facts = state.facts
        saved_state.check_identity(facts["identity"], run)
        self._enter(frozen=facts.get("frozen", False))
        saved_state.restore(state, self.objective, self.optimizer)
        if self.ema is not None:
            self.ema.restore(state.tensors["ema"])
        history = self.fitted.history
        history.scores = facts["scores"]  # states of version 0.1.0 have no losses
        history.losses = facts.get("losses") or [None] * len(history.scores)
        self.fitted = Fitted(0, facts["resumes"] + 1, history, facts["best_step"], state.tensors["best"])
        self.micro.size = facts.get("micro_batch_size", self.plan.micro_batch_size)
        self.step = state.step
