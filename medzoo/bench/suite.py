"""A suite: the checkpoints, tasks, protocols and seeds of one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medzoo.bench.results.store import safe_name
from medzoo.precision import PrecisionChoice
from medzoo.training.options.protocol_options import Mode

SEEDS, PROTOCOLS = (0, 1, 2), ("medzoo",)  # of a suite that does not name any

# all other keys of a task are options of its runs
_NOT_OF_A_RUN = ("name", "title", "metric", "mode", "seeds", "folds", "draws", "precision")


@dataclass(frozen=True)
class SuiteCell:
    """One run of a table: a checkpoint on a task under a protocol, with one seed.

    Args:
        checkpoint: the name to load.
        label: label of its row in the table.
        task: the task to open, with its path resolved.
        title: title of its column in the table.
        protocol: name of the protocol.
        mode: "finetune" or "linear".
        seed: of head, order and augmentation.
        metric: shown instead of the task's own metric, or None.
        options: options of the run by name (size, epochs, root, ...).
    """

    checkpoint: str
    label: str
    task: str
    title: str
    protocol: str
    mode: Mode
    seed: int
    metric: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def folder(self) -> Path:
        """The relative folder of the run; no other cell of the suite has the same one.

        >>> SuiteCell("resnet18-random", "random", "phantom_ct", "CT", "medzoo", "finetune", 0).folder.as_posix()
        'CT/resnet18-random/medzoo-finetune/seed-0'
        """
        names = (safe_name(self.title), safe_name(self.checkpoint), safe_name(f"{self.protocol}-{self.mode}"))
        return Path(*names, f"seed-{self.seed}" + "".join(f"-{word}-{number}" for word, number in self.repeat))

    @property
    def repeat(self) -> list[tuple[str, int]]:
        """The fold of a cross-validation and the draw of a few-shot part, where there are any."""
        return [(word, self.options[word]) for word in ("fold", "draw") if self.options.get(word) is not None]

    def __str__(self) -> str:
        """Such as "ImageNet on BUSI, seed 0, fold 2"."""
        return f"{self.label} on {self.title}, seed {self.seed}" + "".join(f", {word} {n}" for word, n in self.repeat)


@dataclass(frozen=True)
class Suite:
    """The content of a table.

    Args:
        name: a single word; also the organisation of its own checkpoints in a directory hub.
        title: the table's title.
        checkpoints: (name, label), in the order of the rows.
        tasks: the columns in their order: options by name, at least name and title; paths resolved. The runs of a column are
            repeated for its `folds`, or for its `draws`.
        protocols: names of protocols.
        mode: of the tasks that do not set their own: "finetune" or the name of a probe.
        seeds: one run for each, for the tasks that do not set their own.
        pretrain: options by name of pre-training steps, in order.
        results: folder of results, if the suite names one.
        precision: of all its runs: "auto", "fp32" or "bf16"; None uses that of each protocol.
        control: name or label of the checkpoint that all others are compared with.
        controls: of checkpoints that are compared with other ones instead, by name; the table marks the verdict of the first.
        margin: the largest difference that does not matter.
        published: the study in recipes/published/ whose numbers its table shows next to its own.
    """

    name: str
    title: str
    checkpoints: tuple[tuple[str, str], ...]
    tasks: tuple[Mapping[str, Any], ...]
    protocols: tuple[str, ...] = PROTOCOLS
    mode: Mode = "finetune"
    seeds: tuple[int, ...] = SEEDS
    pretrain: tuple[Mapping[str, Any], ...] = ()
    results: str | None = None
    precision: PrecisionChoice | None = None
    control: str | None = None
    controls: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    margin: float | None = None
    published: str | None = None

    def cells(self) -> list[SuiteCell]:
        """All runs, ordered by seed and then by fold or draw: if the work stops early, every cell of the table has a value."""
        repeats = [repeats_of(task) for task in self.tasks]
        return [
            SuiteCell(
                checkpoint, label, task["name"], task["title"], protocol, self.mode_of(task), seed, task.get("metric"),
                {key: value for key, value in task.items() if key not in _NOT_OF_A_RUN} | repeat[number],
            )
            for seed in dict.fromkeys((*self.seeds, *(one for task in self.tasks for one in self.seeds_of(task))))
            for number in range(max(map(len, repeats), default=0))
            for task, repeat in zip(self.tasks, repeats, strict=True)
            if number < len(repeat) and seed in self.seeds_of(task)
            for protocol in self.protocols
            for checkpoint, label in self.checkpoints
        ]  # fmt: skip

    def mode_of(self, task: Mapping[str, Any]) -> Mode:
        """How the runs of a task train: fine-tuning, or a probe on frozen features.

        Args:
            task: of the suite.
        """
        mode: Mode = task.get("mode", self.mode)
        return mode

    def seeds_of(self, task: Mapping[str, Any]) -> tuple[int, ...]:
        """The seeds of a task's runs.

        Args:
            task: of the suite.
        """
        return tuple(task.get("seeds", self.seeds))

    def modes(self) -> tuple[Mode, ...]:
        """The modes of its tasks, each once."""
        return tuple(dict.fromkeys(self.mode_of(task) for task in self.tasks))

    def labels(self) -> dict[str, str]:
        """Row labels by checkpoint name."""
        return dict(self.checkpoints)

    def titles(self) -> dict[str, str]:
        """Column titles by task name; a task that occurs twice (with two fractions) has its name as title."""
        names = [task["name"] for task in self.tasks]
        return {t["name"]: t["title"] if names.count(t["name"]) == 1 else short_task(t["name"]) for t in self.tasks}

    def metrics(self) -> dict[str, str]:
        """The metrics that the suite sets, by task; the other tasks show their own metric."""
        return {task["name"]: task["metric"] for task in self.tasks if "metric" in task}


def repeats_of(task: Mapping[str, Any]) -> list[dict[str, int]]:
    """The options that differ between the runs of a column with one seed: its folds, its draws, or nothing.

    Args:
        task: of a suite.

    >>> repeats_of({"name": "phantom_ct", "folds": (0, 1)}), repeats_of({"name": "phantom_ct"})
    ([{'fold': 0}, {'fold': 1}], [{}])
    """
    if "folds" in task:
        return [{"fold": number} for number in task["folds"]]
    return [{"draw": number} for number in range(task["draws"])] if "draws" in task else [{}]


def short_task(name: str) -> str:
    """A task's name without the folder of its data.

    >>> short_task("parquet:/data/busi_224/"), short_task("pneumoniamnist"), short_task("folder:a/mr,window=percentile:1,99")
    ('busi_224', 'pneumoniamnist', 'mr,window=percentile:1,99')
    """
    place, comma, window = name.partition(",window=")
    return place.replace("\\", "/").rstrip("/").rpartition("/")[2].rpartition(":")[2] + comma + window
