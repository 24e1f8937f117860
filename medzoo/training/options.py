"""The options that every recipe shares, and what they open: a task with its decoded splits."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from medzoo.errors import UsageError

if TYPE_CHECKING:
    from medzoo.data.task import Task
    from medzoo.training.streaming import StreamTask


def option(help: str, default: Any = None) -> Any:  # noqa: ANN401 - argparse's word
    """A dataclass field with a help line."""
    return field(default=default, metadata={"help": help})


@dataclass(kw_only=True)
class SharedOptions:
    """Options of pre-training, fine-tuning and probing alike."""

    task: str = option("task name (`medzoo tasks list`), folder:PATH, parquet:PATH or shards:PATH", "")
    root: str | None = option("folder of the data set, where the task needs one")
    groups: str | None = option("column that says which images belong together (patients), or none")
    split_file: str | None = option("JSON or CSV file that says which image is in which split")
    fold: int | None = option("which fold of a cross-validation by group")
    fraction: float = option("share of the training patients to use", 1.0)
    label_policy: str | None = option(
        "uncertain labels, where a task has them: mask (default), zero, one, soft or soft:LOW:HIGH"
    )
    seed: int = option("of head, order, augmentation and noise", 0)
    epochs: int | None = option("passes over the training split")
    size: int | None = option("side of the input, pixels (default: the checkpoint's)")
    batch_size: int | None = option("images a step, over all processes")
    learning_rate: float | None = option("peak of the schedule")
    precision: Literal["auto", "fp32", "bf16"] | None = option(
        "auto: bf16 (autocast) where the device computes it natively, else fp32; a run that goes on keeps what it began with"
    )
    num_workers: int = option("processes that prepare batches; never changes a result", 0)
    data_on_device: Literal["auto", "never", "always"] = option(
        "keep the decoded training images on the device: auto if they fit into half of its free memory", "auto"
    )
    resume: str = option("auto, never, or the path of a run or state", "auto")
    device: str = option("auto or cpu", "auto")
    hub: str | None = option("directory that plays the Hub (also MEDZOO_HUB)")
    accept_license: bool = option("accept the terms of non-commercial or contested weights", False)

    def check(self) -> None:
        """Refuse values that no run could use, before anything is loaded.

        Raises:
            UsageError: naming the option.
        """
        if not self.task:
            raise UsageError("--task is missing: a name (`medzoo tasks list`), folder:PATH or parquet:PATH.")
        if not 0 < self.fraction <= 1:
            raise UsageError(f"--fraction is {self.fraction}; it is a share above 0 and at most 1.")
        if self.size is not None and not 8 <= self.size <= 4096:
            raise UsageError(f"--size is {self.size}; it should be between 8 and 4096 pixels.")
        if self.epochs is not None and self.epochs < 1:
            raise UsageError(f"--epochs is {self.epochs}; it should be at least 1.")
        if self.data_on_device not in ("auto", "never", "always"):
            raise UsageError(f"--data-on-device is {self.data_on_device!r}; choose auto, never or always.")
        if self.device not in ("auto", "cpu"):
            raise UsageError(
                f"--device is {self.device!r}; choose auto or cpu (CUDA_VISIBLE_DEVICES chooses among GPUs)."
            )

    def as_dict(self) -> dict[str, Any]:
        """All options by name."""
        return asdict(self)


def open_task(options: SharedOptions, *, unlabelled: bool = False) -> Task:
    """The task that the options name, checked for leaks.

    Args:
        options: of a recipe.
        unlabelled: labels are not used, so that data of one's own need none.
    """
    from medzoo.data.task import load_task

    return load_task(
        options.task, root=options.root, split_file=options.split_file, fold=options.fold, fraction=options.fraction,
        seed=0,  # which patients a fraction or a made split holds is the same for every seed of a cell
        label_policy=options.label_policy, groups=options.groups, unlabelled=unlabelled,
    )  # fmt: skip


def task_identity(task: Task | StreamTask, options: SharedOptions, size: int) -> dict[str, Any]:
    """What of the data may change a number."""
    return {
        "id": task.name, "version": task.version, "fingerprint": task.fingerprint, "split_hash": task.split_hash,
        "fold": options.fold, "fraction": options.fraction, "label_policy": task.label_policy, "size": size,
    }  # fmt: skip


def slug(text: str) -> str:
    """A word for a checkpoint's name: small letters, digits and `_`.

    >>> slug("parquet:some/BUSI-224")
    'busi_224'
    """
    last = re.split(r"[/\\:]", text.rstrip("/\\"))[-1]
    return re.sub(r"[^a-z0-9]+", "_", last.lower()).strip("_") or "data"


def trained_name(base: str, methods: list[str], method: str, data: str) -> str:
    """The name of what grows out of a base: its tokens, the method where it changes, and the data.

    Args:
        base: name of the base checkpoint.
        methods: methods of its lineage, oldest first.
        method: of the new step; supervised has no token.
        data: the new data set.

    >>> trained_name("resnet18-random", [], "simclr", "phantom_ct")
    'resnet18-simclr-phantom_ct'
    >>> trained_name("resnet18-simclr-phantom_ct", ["simclr"], "simclr", "oct")
    'resnet18-simclr-phantom_ct-oct'
    """
    tokens = [token for token in base.rstrip("/").split("/")[-1].split("-") if token != "random"]
    if method != "supervised" and (not methods or methods[-1] != method):
        tokens.append(method)
    return "-".join([*tokens, slug(data)])
