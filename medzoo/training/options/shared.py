"""The options that every recipe shares, and what they open: a task with its decoded splits."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medzoo.errors import UnknownNameError, UsageError
from medzoo.training.options.fields import check_values, option

if TYPE_CHECKING:
    from medzoo.data.task import Task, TaskLike

__all__ = ["SharedOptions", "check_place", "open_task", "option", "slug", "task_identity", "trained_name"]
RUN, DATA, TRAINING, DEVICE, OUTPUT = "what to run", "data", "training", "device", "output"  # sections of --help
LONGEST_NAME = 96  # of a checkpoint
LONGEST = 255  # bytes of a file name
SEEDS = 2**32 - 1  # the largest seed that every generator takes


@dataclass(kw_only=True)
class SharedOptions:
    """Options of pre-training, fine-tuning and probing alike."""

    task: str = option(
        "a task (`medzoo tasks list`), or your own data: folder:PATH or parquet:PATH", "", section=RUN, metavar="NAME",
        required=True,
    )  # fmt: skip
    root: str | None = option("folder of the data set, where the task needs one", section=DATA, metavar="DIR")
    groups: str | None = option(
        "column that says which images are of one patient, or none (your own data only)", section=DATA,
        metavar="COLUMN", shown="the column patient_id, patient or group",
    )  # fmt: skip
    split_file: str | None = option(
        "JSON or CSV file that says which image is in which split, or a folder with one list a split", section=DATA,
        metavar="FILE", shown="the splits of the data, or made ones",
    )  # fmt: skip
    fold: int | None = option(
        "which fold of a cross-validation by patient: 0 to 4, or of the lists of --split-file",
        section=DATA,
        metavar="N",
        shown="no cross-validation",
        least=0,
    )
    fraction: float = option(
        "share of the training patients to use, such as 0.1", 1.0, section=DATA, metavar="SHARE", above=0, most=1
    )
    label_policy: str | None = option(
        "what uncertain labels become, where a task has them: mask, zero, one, soft or soft:LOW:HIGH", section=DATA,
        metavar="POLICY", shown="mask",
    )  # fmt: skip
    seed: int = option(
        "of all that is drawn: weights, head, order, augmentation, noise",
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
        "images a step, over all processes", section=TRAINING, metavar="N", least=2, most=1_000_000
    )
    learning_rate: float | None = option("peak of the schedule", section=TRAINING, metavar="RATE", above=0)
    precision: Literal["auto", "fp32", "bf16"] | None = option(
        "bf16 is autocast; auto takes it where the device computes it natively, else fp32; a run that goes on keeps its own",
        section=TRAINING,
    )
    num_workers: int = option(
        "processes that prepare batches; never changes a result", 0, section=DEVICE, metavar="N", least=0, most=512
    )
    data_on_device: Literal["auto", "never", "always"] = option(
        "keep the decoded training images on the device: auto if they fit into half of its free memory", "auto",
        section=DEVICE,
    )  # fmt: skip
    resume: str = option(
        "auto goes on from the last state in the run folder, never starts anew in an empty one; or the path of a run or state",
        "auto", section=OUTPUT, metavar="auto|never|PATH",
    )  # fmt: skip
    device: str = option("auto takes a GPU if there is one", "auto", section=DEVICE, metavar="auto|cpu")
    hub: str | None = option(
        "directory that plays the Hub, for org/name without a network", section=RUN, metavar="DIR", shown="MEDZOO_HUB"
    )
    accept_license: bool = option("accept the terms of non-commercial or contested weights", False, section=RUN)

    def check(self) -> None:
        """Refuse values that no run could use, before anything is loaded.

        Raises:
            UsageError: naming the option.
        """
        if not self.task:
            raise UsageError("--task is missing: a name (`medzoo tasks list`), folder:PATH or parquet:PATH.")
        check_values(self)
        check_device(self.device)
        check_folder(self.root, "--root")
        check_folder(self.hub, "--hub")
        if self.split_file is not None and not Path(self.split_file).expanduser().exists():
            raise UsageError(f"--split-file is {self.split_file!r}; there is no such file or folder.")
        if self.resume not in ("auto", "never") and not (self.resume and Path(self.resume).expanduser().is_dir()):
            raise UsageError(
                f"--resume is {self.resume!r}; give auto, never, or the folder of a run or of one of its states."
            )

    def as_dict(self) -> dict[str, Any]:
        """What makes the run, by name: all options but how this call started it."""
        return {key: value for key, value in asdict(self).items() if key not in ("resume", "resolved")}


def check_device(device: str) -> None:
    """Refuse a device that no run takes.

    Args:
        device: "auto" or "cpu".

    Raises:
        UsageError: with the two.
    """
    if device not in ("auto", "cpu"):
        raise UsageError(f"--device is {device!r:.80}; choose auto or cpu (CUDA_VISIBLE_DEVICES chooses among GPUs).")


def check_folder(path: str | None, name: str) -> None:
    """Refuse a folder to read from that is not there; no path, or an empty one, is none.

    Args:
        path: as it was given.
        name: of the option.

    Raises:
        UsageError: naming it.
    """
    if path and not Path(path).expanduser().is_dir():
        raise UsageError(f"{name} is {path!r:.200}; there is no such folder.")


def check_place(path: str, name: str) -> None:
    """Refuse a folder for output that cannot be made or written to; nothing is made.

    Args:
        path: as it was given.
        name: of the option.

    Raises:
        UsageError: naming what stands in the way.
    """
    if not path:
        raise UsageError(f"{name} is empty; give a folder, or leave the option out.")
    if any(0xD800 <= ord(sign) < 0xE000 for sign in path):
        raise UsageError(f"{name} is {path!r:.200}; it is not text in UTF-8.")
    place = Path(path).expanduser()
    if any(len(os.fsencode(part)) > LONGEST for part in place.parts):
        raise UsageError(f"{name} is {path!r:.80}...; a name of {LONGEST} bytes or less is needed.")
    there = next(parent for parent in (place, *place.absolute().parents) if os.path.lexists(parent))
    if not there.is_dir():
        what = "a file" if there.is_file() else "no folder"
        raise UsageError(f"{name} is {path!r}; {there} is {what}. Give a folder, which is made if it is new.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"{name} is {path!r}; {there} cannot be written to.")


def check_terms(license: str) -> None:
    """Refuse a licence that no card could state, before the training and not after it.

    Args:
        license: an SPDX or Hub id, or "unknown".

    Raises:
        UsageError: with the nearest ids.
    """
    from medzoo.zoo.registry.licenses import HUB_IDS, known_license

    if license == "other" or not known_license(license):
        how = "Give an SPDX or Hub id, or unknown; `medzoo push --license` can state own terms later."
        raise UnknownNameError("licence", license, sorted(HUB_IDS), how)


def open_task(options: SharedOptions, *, unlabelled: bool = False) -> Task:
    """The task that the options name, checked for leaks.

    Args:
        options: of a recipe.
        unlabelled: labels are not used, so that data of one's own need none.
    """
    from medzoo.data.task_registry import load_task

    return load_task(
        options.task, root=options.root, split_file=options.split_file, fold=options.fold, fraction=options.fraction,
        seed=0,  # which patients a fraction or a made split holds is the same for every seed of a cell
        label_policy=options.label_policy, groups=options.groups, unlabelled=unlabelled,
    )  # fmt: skip


def task_identity(task: TaskLike, options: SharedOptions, size: int) -> dict[str, Any]:
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
    name = "-".join([*tokens, slug(data)])
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]  # a long lineage keeps its beginning
    return f"{name[: LONGEST_NAME - 9]}_{digest}"
