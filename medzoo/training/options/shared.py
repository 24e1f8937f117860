"""The options that all recipes share, their checks, and the task that they name."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medzoo.data.splits.reduce_training import check_part
from medzoo.errors import UnknownNameError, UsageError
from medzoo.training.launcher import check_launcher
from medzoo.training.options.fields import check_values, option

if TYPE_CHECKING:
    from medzoo.data.task import Task, TaskLike

__all__ = ["SharedOptions", "check_place", "open_task", "option", "part_identity", "task_identity"]
RUN, DATA, TRAINING, DEVICE, OUTPUT = "what to run", "data", "training", "device", "output"  # sections of --help
LONGEST = 255  # bytes of a file name
SEEDS = 2**32 - 1  # largest seed that all generators accept


@dataclass(kw_only=True)
class SharedOptions:
    """Options of pre-training, fine-tuning and probing alike."""

    task: str = option(
        "a task (`medzoo tasks list`), or your own data: folder:PATH or parquet:PATH",
        "",
        section=RUN,
        metavar="NAME",
        required=True,
    )
    root: str | None = option("folder of the data set, where the task needs one", section=DATA, metavar="DIR")
    groups: str | None = option(
        "column with the patient of each image, or none (your own data only)",
        section=DATA,
        metavar="COLUMN",
        shown="the column patient_id, patient or group",
    )
    split_file: str | None = option(
        "JSON or CSV file with the split of each image, or a folder with one list per split",
        section=DATA,
        metavar="FILE",
        shown="the splits of the data, or new ones",
    )
    fold: int | None = option(
        "fold of a cross-validation by patient: 0 to 4, or one of the lists of --split-file",
        section=DATA,
        metavar="N",
        shown="no cross-validation",
        least=0,
    )
    fold_count: int | None = option(
        "number of folds that are made for --fold, where the data have none",
        section=DATA,
        metavar="K",
        shown="5",
        least=2,
    )
    fraction: float = option(
        "share of the training patients to use, such as 0.1", 1.0, section=DATA, metavar="SHARE", above=0, most=1
    )
    per_class: int | None = option(
        "training images per class (few-shot), from as many patients as possible; validation and test stay complete",
        section=DATA,
        metavar="N",
        shown="all",
        least=1,
        most=1_000_000,
    )
    draw: int | None = option(
        "number of the random part that --per-class or --fraction takes; equal for all checkpoints and seeds",
        section=DATA,
        metavar="N",
        shown="the first",
        least=0,
        most=SEEDS,
    )
    label_policy: str | None = option(
        "how to treat uncertain labels, where a task has them: mask, zero, one, soft or soft:LOW:HIGH",
        section=DATA,
        metavar="POLICY",
        shown="mask",
    )
    seed: int = option(
        "seed of all random values: weights, head, order, augmentation, noise",
        0,
        section=TRAINING,
        metavar="N",
        least=0,
        most=SEEDS,
    )
    epochs: int | None = option(
        "passes over the training split", section=TRAINING, metavar="N", least=1, most=1_000_000
    )
    size: int | None = option(
        "side of the input, pixels", section=TRAINING, metavar="PIXELS", shown="the checkpoint's", least=8, most=4096
    )
    batch_size: int | None = option(
        "images per step, over all processes", section=TRAINING, metavar="N", least=2, most=1_000_000
    )
    learning_rate: float | None = option("peak of the schedule", section=TRAINING, metavar="RATE", above=0)
    precision: Literal["auto", "fp32", "bf16"] | None = option(
        "bf16 is autocast; auto uses it where the device computes it natively, else fp32; a resumed run keeps its precision",
        section=TRAINING,
    )
    num_workers: int = option(
        "processes that prepare batches; results do not depend on it",
        0,
        section=DEVICE,
        metavar="N",
        least=0,
        most=512,
    )
    data_on_device: Literal["auto", "never", "always"] = option(
        "keep the decoded training images on the device: auto if they fit into half of its free memory",
        "auto",
        section=DEVICE,
    )
    resume: str = option(
        "auto: continue from the last state in the run folder; never: use an empty folder; PATH: continue from this run or state",
        "auto",
        section=OUTPUT,
        metavar="auto|never|PATH",
    )
    device: str = option("auto uses a GPU if there is one", "auto", section=DEVICE, metavar="auto|cpu")
    hub: str | None = option(
        "directory hub: a local directory of repositories, used instead of the Hub",
        section=RUN,
        metavar="DIR",
        shown="MEDZOO_HUB",
    )
    accept_license: bool = option("accept the terms of non-commercial or contested weights", False, section=RUN)

    def check(self) -> None:
        """Refuse values that no run can use, before anything is loaded.

        Raises:
            UsageError: names the option.
        """
        if not self.task:
            raise UsageError(
                "--task is missing. Give a name (`medzoo tasks list`), folder:PATH or parquet:PATH.",
                code="task-missing",
            )
        check_launcher()
        check_values(self)
        check_part(self.fraction, self.per_class, self.draw)
        check_device(self.device)
        check_folder(self.root, "--root")
        check_folder(self.hub, "--hub")
        if self.split_file is not None and not Path(self.split_file).expanduser().exists():
            raise UsageError(
                f"--split-file is {self.split_file!r}; there is no such file or folder.", code="split-file-missing"
            )
        if self.resume not in ("auto", "never") and not (self.resume and Path(self.resume).expanduser().is_dir()):
            raise UsageError(
                f"--resume is {self.resume!r}; give auto, never, or the folder of a run or of one of its states.",
                code="resume-folder-missing",
            )

    def as_dict(self) -> dict[str, Any]:
        """The options that define the run, by name: all except how this call starts it."""
        return {key: value for key, value in asdict(self).items() if key not in ("resume", "resolved")}


def check_device(device: str) -> None:
    """Refuse a device that runs do not support.

    Args:
        device: "auto" or "cpu".

    Raises:
        UsageError: names both choices.
    """
    if device not in ("auto", "cpu"):
        raise UsageError(
            f"--device is {device!r:.80}; choose auto or cpu (CUDA_VISIBLE_DEVICES chooses among GPUs).",
            code="device-invalid",
        )


def check_folder(path: str | None, name: str) -> None:
    """Refuse an input folder that does not exist; None and an empty path mean no folder.

    Args:
        path: as it was given.
        name: of the option.

    Raises:
        UsageError: names the option.
    """
    if path and not Path(path).expanduser().is_dir():
        raise UsageError(f"{name} is {path!r:.200}; there is no such folder.", code="folder-missing")


def check_place(path: str, name: str) -> None:
    """Refuse an output folder that cannot be created or written; this check creates nothing.

    Args:
        path: as it was given.
        name: of the option.

    Raises:
        UsageError: names the cause.
    """
    # the path itself
    if not path:
        raise UsageError(f"{name} is empty; give a folder, or leave the option out.", code="output-path-empty")
    if any(0xD800 <= ord(char) < 0xE000 for char in path):
        raise UsageError(
            f"{name} is {path!r:.200}; it is not text in UTF-8. Choose another folder.", code="option-not-utf8"
        )
    folder = Path(path).expanduser()
    if any(len(os.fsencode(part)) > LONGEST for part in folder.parts):
        raise UsageError(
            f"{name} is {path!r:.80}...; each name may have at most {LONGEST} bytes.", code="file-name-too-long"
        )
    # the folder, or the nearest parent that exists
    existing = next(parent for parent in (folder, *folder.absolute().parents) if os.path.lexists(parent))
    if not existing.is_dir():
        what = "a file" if existing.is_file() else "not a folder"
        raise UsageError(
            f"{name} is {path!r}; {existing} is {what}. Give a folder; a new one is created.",
            code="output-not-a-folder",
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(f"{name} is {path!r}; {existing} is not writable.", code="output-not-writable")


def check_terms(license: str) -> None:
    """Refuse an unknown licence before the training starts.

    Args:
        license: an SPDX or Hub id, or "unknown".

    Raises:
        UnknownNameError: with the nearest ids.
    """
    from medzoo.zoo.registry.licenses import HUB_IDS, known_license

    if license == "other" or not known_license(license):
        how = "Give an SPDX or Hub id, or unknown; `medzoo push --license` can state other terms later."
        raise UnknownNameError("licence", license, sorted(HUB_IDS), how)


def open_task(options: SharedOptions, *, unlabelled: bool = False) -> Task:
    """The task that the options name; building it checks the splits for leaks.

    Args:
        options: of a recipe.
        unlabelled: labels are not used, so that the user's own data need none.
    """
    from medzoo.data.task_registry import load_task

    return load_task(
        options.task,
        root=options.root,
        split_file=options.split_file,
        fold=options.fold,
        fold_count=options.fold_count,
        fraction=options.fraction,
        per_class=options.per_class,
        draw=options.draw,
        seed=0,  # all seeds of a cell use the same patients of a fraction or of a new split
        label_policy=options.label_policy,
        groups=options.groups,
        unlabelled=unlabelled,
    )


def task_identity(task: TaskLike, options: SharedOptions, size: int) -> dict[str, Any]:
    """The facts about the data that can change a result."""
    return {
        "id": task.name,
        "version": task.version,
        "fingerprint": task.fingerprint,
        "split_hash": task.split_hash,
        "fold": options.fold,
        "fraction": options.fraction,
        "label_policy": task.label_policy,
        "size": size,
        **part_identity(options),
    }


def part_identity(options: SharedOptions) -> dict[str, int]:
    """The part of the training images as keys of an identity; only those that are used, so that other identities stay.

    Args:
        options: of a recipe.
    """
    if options.per_class is None:
        return {} if options.draw is None else {"draw": options.draw}
    return {"per_class": options.per_class, "draw": options.draw or 0}
