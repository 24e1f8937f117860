"""Pre-train from random weights, or continue from any checkpoint, and write a checkpoint folder with a card."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from medzoo.data.files.downloads import no_downloads
from medzoo.data.task_registry import load_task
from medzoo.data.transforms.apply import InputConvention, whole_in_window
from medzoo.errors import MedzooError, UsageError
from medzoo.precision import checked, resolve
from medzoo.progress import is_main_process, warn
from medzoo.training import compute
from medzoo.training.inputs.input_transform import convention_of, load_at_size
from medzoo.training.objectives import method as find_method
from medzoo.training.options.fields import check_values, options_in_use, worded
from medzoo.training.options.names import slug, trained_name
from medzoo.training.pretrain_options import CHANGE_WEIGHTS, NOT_FROM_CHECKPOINT, NOT_FROM_RANDOM, PretrainOptions
from medzoo.training.pretrain_run.ct_windows import in_ct_windows
from medzoo.training.pretrain_run.images import TrainingImages, open_images
from medzoo.training.run_state.run_folder import RunFolder
from medzoo.training.run_state.tracker import Tracker

__all__ = ["DEFAULTS", "PretrainOptions", "default_words", "pretrain"]

if TYPE_CHECKING:
    from collections.abc import Callable

    from accelerate import Accelerator

    from medzoo.data.task import Task
    from medzoo.training.objectives import Objective
    from medzoo.zoo.models.receipt import LoadReceipt


# values for small experiments; a study should choose its own
DEFAULTS: dict[str, Any] = {"epochs": 100, "batch_size": 256, "learning_rate": 1e-3, "precision": "auto"}


def default_words() -> dict[str, str]:
    """The text in `--help` for the options whose defaults are in DEFAULTS."""
    return {key: worded(value) for key, value in DEFAULTS.items()}


def pretrain(options: PretrainOptions, method_options: Any = None) -> Path:  # noqa: ANN401 - the method's own Options
    """Train a backbone with an objective and write it as a folder that `medzoo.load` reads.

    Args:
        options: the method, the data and the training.
        method_options: the objective's Options; None uses its defaults.

    Returns:
        The run folder; the checkpoint is in its `checkpoint/`.

    Raises:
        UsageError: before anything is loaded, if options cannot be combined.
        Interrupted: after a signal; the same call continues the run.
    """
    from medzoo.zoo.registry.locations import is_folder

    options.check()
    module = find_method(options.method)
    check_values(method_options if method_options is not None else module.Options())
    images = open_images(options, labels=module.SUPERVISED)
    if module.SUPERVISED and images.kind not in ("binary", "multiclass", "multilabel"):
        raise UsageError(
            f"Method {options.method} needs class labels; task {images.name} is {images.kind}.",
            code="task-without-classes",
        )
    watched = None if options.watch is None else load_task(options.watch, root=options.watch_root)
    job = _PretrainJob(options, module, method_options if method_options is not None else module.Options(), images)
    run = job.run_folder()
    if options.resume == "never" or not run.done or not is_folder(run.checkpoint):
        run.check()
        site = compute.settle(run, job.settings["precision"], options.device, deterministic=options.deterministic)
        job.announce(run, site)
        job.decode()  # an unreadable image raises before the run folder is claimed
        with run.open(), site.applied(run):
            job.train(run, watched)
            job.save(run)
    return run.path


def is_done(options: PretrainOptions, method_options: Any = None) -> bool:  # noqa: ANN401 - the method's own Options
    """Whether this pre-training is complete in its folder, with its checkpoint; nothing is trained or downloaded.

    Args:
        options: the method, the data and the training.
        method_options: the objective's Options; None uses its defaults.
    """
    from medzoo.zoo.loading.identify import identify
    from medzoo.zoo.registry.locations import is_folder

    run = RunFolder(Path(options.out), "pretrain", {}, {})
    if not is_folder(run.checkpoint) or (run.status() or {}).get("state") != "done":
        return False
    module = find_method(options.method)
    try:
        with no_downloads():
            if options.checkpoint is not None:
                identify(options.checkpoint, hub=options.hub)  # raises if the checkpoint is not on this machine
            images = open_images(options, labels=module.SUPERVISED)
            return _PretrainJob(options, module, method_options or module.Options(), images).run_folder().done
    except MedzooError:
        return False


class _PretrainJob:
    """One pre-training: its base model, its resolved options, and its output."""

    def __init__(self, options: PretrainOptions, module: Objective, chosen: Any, images: TrainingImages) -> None:  # noqa: ANN401
        self.options, self.module, self.chosen, self.images = options, module, chosen, images
        given = {key: getattr(options, key) for key in DEFAULTS}
        self.settings = {key: DEFAULTS[key] if value is None else value for key, value in given.items()}
        self.precision_choice = checked(self.settings["precision"])
        self.settings["precision"] = resolve(
            self.precision_choice, options.device, began=compute.precision_to_keep(options.out, options.resume)
        )
        self.base = options.checkpoint or f"{options.architecture}-random"
        classes = len(images.classes) if module.SUPERVISED else 0
        self.model, self.size = load_at_size(
            self.base, num_classes=classes, size=options.size, seed=options.seed, hub=options.hub,
            accept_license=options.accept_license,
        )  # fmt: skip
        self.receipt: Any = self.model.load_receipt
        if options.architecture and options.input_rule:  # training and checkpoint read the rule from the receipt
            self.receipt = replace(cast("LoadReceipt", self.receipt), input_rule=options.input_rule)
            self.model.load_receipt = self.receipt
        if options.recompute:
            from medzoo.training.layers.recompute import recompute_layers

            recompute_layers(self.model)
        module.check(self.model, chosen, self.size, self._batch_size)
        self.views = in_ct_windows(module.views(chosen), options, convention_of(self.model))

    @property
    def training(self) -> dict[str, Any]:
        """Every resolved option that can change the weights, except the seed and the data."""
        own = {name: value for name, value in options_in_use(self.options).items() if name in CHANGE_WEIGHTS}
        return {**own, **self.settings, **options_in_use(self.chosen), "size": self.size}

    @property
    def name(self) -> str:
        """The result's name: --name, or base, method and data joined."""
        methods = [str(step["method"]) for step in self.receipt.lineage if step.get("method")]
        data = self.options.data_name or self.images.name
        return self.options.name or trained_name(self.receipt.name, methods, self.options.method, data)

    def run_folder(self) -> RunFolder:
        """The run folder with this job's identity."""
        identity = {
            "name": self.name,
            "base": self.receipt.sha256 or self.base,
            "seed": self.options.seed,
            "task": self.images.identity(self.size),
            **self.training,
            **compute.identity_of_processes(),
            **self.options.last_bits(),
        }
        unused = NOT_FROM_RANDOM if self.options.architecture else NOT_FROM_CHECKPOINT
        given = {key: value for key, value in self.options.as_dict().items() if key not in unused}
        resolved = {**given, **self.settings, **asdict(self.chosen)}
        run = RunFolder(Path(self.options.out), "pretrain", identity, resolved, self.options.resume, self.name)
        run.tracker = Tracker(self.options.tracker, run.path, self.name, resolved)
        return run

    def announce(self, run: RunFolder, site: compute.Compute) -> None:
        """Write the first line of the run.

        Args:
            run: its folder.
            site: its computing resources.
        """
        settings = self.settings
        epochs = f"{settings['epochs']} epoch{'s' * (settings['epochs'] != 1)}"
        compute.announce(
            run, site, checkpoint=compute.checkpoint_label(self.receipt), counts={"train": self.images.count},
            notes=[*self.images.notes, *self._input_note()],
            how=f"method {self.options.method} ({epochs}, batch {settings['batch_size']}, {self.size} px)",
        )  # fmt: skip
        for text in compute.precision_warnings(site, kept=self.precision_choice == "auto"):
            warn(text)

    def _input_note(self) -> list[str]:
        """The input convention, where it comes from a checkpoint and is not the usual one: images are prepared by it."""

        convention, given = convention_of(self.model), self.options.input_rule
        if self.options.architecture or (convention == InputConvention() and given in (None, convention.rule)):
            return []
        wins = f" (not --input-rule {given})" if given not in (None, convention.rule) else ""
        return [
            f"input convention of the checkpoint, which training keeps{wins}: mean {list(convention.mean)}, "
            f"std {list(convention.std)}, rule {convention.rule}"
        ]

    def decode(self) -> None:
        """Decode the training images, unless they are streamed."""
        self.images.decode(self.options.stored_size or self.size)

    def train(self, run: RunFolder, watched: Task | None) -> None:
        """Run the loop and keep the last epoch; a supervised method also logs its validation accuracy.

        Args:
            run: its folder.
            watched: the task that probes read, if there is one.
        """
        from medzoo.training.accelerator import make_accelerator
        from medzoo.training.layers.joint_batch_norm import joint_batch_norm
        from medzoo.training.loop import Loop
        from medzoo.training.optimization.plan import TrainingPlan
        from medzoo.training.pretrain_run.gram import GramAnchored
        from medzoo.training.pretrain_run.observe import draw_what_was_seen, make_watch

        options, settings = self.options, self.settings
        accelerator = make_accelerator(settings["precision"], options.device)
        convention = convention_of(self.model)
        batches = self.images.batches(
            self.views, convention, accelerator, run, size=self.size, batch_size=settings["batch_size"]
        )
        plan = TrainingPlan(
            epochs=settings["epochs"],
            optimizer=options.optimizer,
            learning_rate=settings["learning_rate"],
            weight_decay=options.weight_decay,
            warmup_epochs=options.warmup_epochs,
            gradient_clip=options.gradient_clip,
            final_learning_rate=options.final_learning_rate,
            final_weight_decay=options.final_weight_decay,
            seed=options.seed,
            num_workers=options.num_workers,
            compiled=options.compile,
        )
        objective = self.module.Objective(self.model, self.chosen, self.images.kind)
        if options.gram_weight:
            objective = GramAnchored(objective, options.gram_weight, options.gram_start)
        joint_batch_norm(objective)
        validate, worded = self._score(accelerator), "accuracy {:.4f}".format
        watch = make_watch(
            objective, batches, options, watched, size=self.size, images=self.images.count, epochs=plan.epochs
        )
        loop = Loop(
            objective, batches, plan, run, accelerator, validate=validate, keep_best=False, worded=worded, watch=watch
        )
        loop.fit()
        if accelerator.is_main_process:
            draw_what_was_seen(objective, batches, run.path / "pictures.png")
        objective.finish()

    def _score(self, accelerator: Accelerator) -> Callable[[], tuple[float, None]] | None:
        if not self.module.SUPERVISED or self.images.kind == "multilabel":
            return None
        validation = self.images.validation(self.size)
        if validation is None:
            return None
        from medzoo.data.decode_cache.device import place
        from medzoo.training.inputs.evaluate import evaluate_rows

        rows = place(validation, accelerator.device, self.options.data_on_device)
        whole = partial(whole_in_window, size=self.size, augmentation=self.views[0].augmentation)

        def accuracy() -> tuple[float, None]:
            self.model.eval()
            with accelerator.autocast():
                logits = evaluate_rows(
                    self.model, rows, convention_of(self.model), size=self.size, device=accelerator.device, view=whole
                )
            return float((logits.argmax(1) == rows.labels).mean()), None

        return accuracy

    @property
    def _batch_size(self) -> int:
        """Images per step over all processes: a batch is never larger than the data."""
        return min(self.settings["batch_size"], self.images.count)

    def save(self, run: RunFolder) -> None:
        """Write the checkpoint folder and the curves of the run."""
        if not is_main_process():
            return
        from medzoo.training.pretrain_run.result import save_checkpoint
        from medzoo.training.run_state.plot_curves import draw_curves

        step = {
            "method": self.options.method,
            "data": self.options.data_name or slug(self.images.name),
            "images": self.images.count,
            "epochs": self.settings["epochs"],
        }
        classes = list(self.images.classes) if self.module.SUPERVISED else []
        last = {key: value for row in run.rows() for key, value in row.items() if key in ("feature_spread", "rank_me")}
        save_checkpoint(
            self.model, run.checkpoint, name=self.name, license=self.options.license, size=self.size, step=step,
            hyperparameters={**self.training, "seed": self.options.seed}, classes=classes, kind=self.images.kind,
            measured=last,
        )  # fmt: skip
        draw_curves(run)
