"""The command that makes a run again, from the identity in its result."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from medzoo.data.splits.assign import FOLDS
from medzoo.data.task_registry import split_name, task_info
from medzoo.errors import MedzooError
from medzoo.precision import Precision
from medzoo.training.options.protocol import list_protocols, load_protocol
from medzoo.training.options.protocol_options import Mode

ROOT = "DIR"  # results have no paths: the reader fills in the folder of the data
OWN_DATA = ("folder", "parquet", "shards")


@dataclass(frozen=True)
class RunCommand:
    """A command in two parts: what all runs of a cell share, and what a run adds.

    Args:
        shared: the words of the launch, the checkpoint, the task and the protocol.
        own: the words with the seed, the fold and the draw.
        exact: whether the options give the protocol's hash of the result. If not, the run had other options (`--set` and others),
            which are in the options.toml of its run folder.
    """

    shared: tuple[str, ...]
    own: tuple[str, ...]
    exact: bool

    def __str__(self) -> str:
        return shlex.join([*self.shared, *self.own])


def run_command(result: Mapping[str, Any]) -> RunCommand | None:
    """The command of a run; None for a number that was copied from a publication.

    Args:
        result: as stored.
    """
    if result["provenance"]["origin"] == "reported":
        return None
    identity, precision = result["identity"], result["environment"]["precision"]
    protocol, task, part = identity["protocol"], identity["task"]["id"], identity.get("training_part", {})
    mode, processes = protocol["mode"], identity.get("processes", 1)
    options, exact = _protocol_options(protocol["id"], mode, protocol["hash"], protocol.get("size"), precision, task)

    # the launch, the checkpoint and the data
    launch = ["accelerate", "launch", *(["--num_processes", str(processes)] if processes > 1 else [])]
    recipe = ["recipes/finetune.py"] if mode == "finetune" else ["recipes/probe.py", "--probe", mode]
    words = [*launch, *recipe, f"--checkpoint={_checkpoint(identity['checkpoint'])}", f"--task={task}"]
    words += [f"--root={ROOT}"] if _needs_root(task) else []
    if policy := identity["dataset"]["label_policy"]:
        words.append(f"--label-policy={policy}")

    # the part of the training images, and the protocol
    words += [] if protocol["label_fraction"] == 1 else [f"--fraction={protocol['label_fraction']:g}"]
    words += [f"--per-class={part['per_class']}"] if part.get("per_class") is not None else []
    words += options
    count = result["train"].get("folds", {}).get("count", FOLDS)
    if identity["fold"] is not None and count != FOLDS and task.partition(":")[0] in OWN_DATA:
        words.append(f"--fold-count={count}")

    # the run
    own = [f"--seed={identity['seed']}"]
    own += [] if identity["fold"] is None else [f"--fold={identity['fold']}"]
    own += [f"--draw={part['draw']}"] if part.get("draw") is not None else []
    return RunCommand(tuple(_spaced(words)), tuple(_spaced(own)), exact)


def _spaced(words: list[str]) -> list[str]:
    """`--option value` instead of `--option=value`, except for a value that looks like an option."""
    spaced = []
    for word in words:
        name, equals, value = word.partition("=")
        split = name.startswith("--") and equals and value and not value.startswith("-")
        spaced += [name, value] if split else [word]
    return spaced


def _checkpoint(checkpoint: Mapping[str, Any]) -> str:
    if checkpoint.get("repo") and checkpoint.get("revision"):
        return f"hf-hub:{checkpoint['repo']}@{checkpoint['revision']}"
    return str(checkpoint["id"])


@cache
def _protocol_options(
    name: str, mode: Mode, wanted: str, size: int | None, precision: Precision, task: str
) -> tuple[tuple[str, ...], bool]:
    """The options of a run's protocol, as few as give its hash, and whether they give it."""
    known = name in list_protocols()
    shown = None if mode != "finetune" and precision == "fp32" else precision  # the default of a fine-tuning is "auto"
    for given in dict.fromkeys((None, size)):
        try:
            found = (
                known and load_protocol(name, mode, task=task, kind=_kind(task), size=given, precision=precision).hash()
            )
        except MedzooError:
            break
        if found == wanted:
            return _words(name, given, shown), True
    return _words(name if known else f"{name}.toml", size, shown), False


def _words(protocol: str, size: int | None, precision: str | None) -> tuple[str, ...]:
    given = {"protocol": protocol, "size": size, "precision": precision}
    return tuple(f"--{key}={value}" for key, value in given.items() if value)


@cache
def _kind(task: str) -> str | None:
    try:
        return None if ":" in task else task_info(task).kind
    except MedzooError:
        return None


@cache
def _needs_root(task: str) -> bool:
    """Whether the data of a task are in a folder that the user gives."""
    try:
        return bool(task_info(split_name(task)[0]).layout)
    except MedzooError:
        return False
