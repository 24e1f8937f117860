"""What a catalog knows: checkpoints with lineage, code and scores, and tasks with commands and scores."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from medzoo.data.task_info import TaskInfo
from medzoo.zoo.folder.card_usage import CodeExamples
from medzoo.zoo.registry.checkpoint import Checkpoint


@dataclass(frozen=True)
class LineageStage:
    """A stage of pre-training.

    Args:
        data: name of the data set.
        title: of the data set.
        url: of the data set; empty if it is not known.
        method: of the pre-training; empty if it is not known.
    """

    data: str
    title: str
    url: str
    method: str


@dataclass(frozen=True)
class Relative:
    """A checkpoint that another one starts from, or that starts from it.

    Args:
        name: in the registry.
        evidence: "recipe" if the command that trains it names the start; "name" if only the names and the data say so.
    """

    name: str
    evidence: Literal["recipe", "name"]


@dataclass(frozen=True)
class Lineage:
    """The history of the weights.

    Args:
        start: the initial weights, in words; empty if they are not known.
        stages: of the pre-training, oldest first; none for random weights.
        base: the checkpoint that has all stages but the last.
        children: checkpoints that start from this one.
    """

    start: str
    stages: tuple[LineageStage, ...]
    base: Relative | None
    children: tuple[Relative, ...]


@dataclass(frozen=True)
class ListedScore:
    """The score of a checkpoint on a task: the mean over seeds.

    Args:
        checkpoint: name, as in the results.
        registered: its name in the registry; empty for other checkpoints.
        weights: sha256; None for random weights.
        text: the mean, or why there is none.
        spread: the 95 % interval, or ± one standard deviation; may be empty.
        count: of the values in the mean.
        mean: None without values.
        low: lower end of the interval, if there is one.
        high: its upper end.
        may_be_best: whether no checkpoint is significantly better, if some are worse.
        within_noise: whether permuted labels or random weights reach the value.
        seen: what is known about test images in the pre-training data.
    """

    checkpoint: str
    registered: str
    weights: str | None
    text: str
    spread: str
    count: str
    mean: float | None
    low: float | None
    high: float | None
    may_be_best: bool
    within_noise: bool
    seen: str


@dataclass(frozen=True)
class ScoreColumn:
    """The scores of all checkpoints on a task under one protocol, best first.

    Args:
        task: as in the results, with its choices.
        listed: the task in the catalog; empty if it is not in it.
        metric: with an arrow for the better direction.
        protocol: name, mode, part of the training images, and the first digits of its hash.
        size: of the test split, in words.
        scores: of the checkpoints.
    """

    task: str
    listed: str
    metric: str
    protocol: str
    size: str
    scores: tuple[ListedScore, ...]


@dataclass(frozen=True)
class CatalogCheckpoint:
    """A checkpoint of the registry.

    Args:
        facts: of the registry.
        weights: how to get them: "drawn", "download", "by hand" or "recipe".
        get: how to get them, in sentences.
        bytes: of the weights in fp32, without a classifier; None if the architecture is not known.
        study: first author and year.
        lineage: of the weights.
        code: for each library.
        seen_tasks: tasks with images of the pre-training data, by the names of the data.
        columns: results of its weights.
    """

    facts: Checkpoint
    weights: str
    get: str
    bytes: int | None
    study: str
    lineage: Lineage
    code: CodeExamples
    seen_tasks: tuple[str, ...]
    columns: tuple[ScoreColumn, ...]

    @property
    def name(self) -> str:
        """In the registry."""
        return self.facts.name

    @property
    def family(self) -> str:
        """The architecture token of the name."""
        return self.name.partition("-")[0]


@dataclass(frozen=True)
class CatalogTask:
    """A downstream task.

    Args:
        facts: of the task.
        kind: of the labels; "any kind" if the user's data decide it.
        modality: kind of the images; empty if the title does not say it.
        source: how to get the images: "drawn", "download", "your copy" or "your own".
        terms: licence id, "own terms", "not stated" or "your data's".
        commands: to inspect, check and train.
        seen_by: checkpoints whose pre-training data have images of the task, by the names of the data.
        columns: results.
    """

    facts: TaskInfo
    kind: str
    modality: str
    source: str
    terms: str
    commands: tuple[str, ...]
    seen_by: tuple[str, ...]
    columns: tuple[ScoreColumn, ...]

    @property
    def name(self) -> str:
        """For `load_task`."""
        return self.facts.name


@dataclass(frozen=True)
class Catalog:
    """All checkpoints and all tasks.

    Args:
        checkpoints: in natural order of their names.
        tasks: in the order of their names.
        other_columns: results of tasks that are not in the catalog.
        runs: number of the results.
    """

    checkpoints: tuple[CatalogCheckpoint, ...]
    tasks: tuple[CatalogTask, ...]
    other_columns: tuple[ScoreColumn, ...]
    runs: int

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists: the same facts as on the page."""
        checkpoints = [
            {
                **asdict(one),
                "facts": one.facts.to_dict(),
                "columns": [_own_column(column, one.name) for column in one.columns],
            }
            for one in self.checkpoints
        ]
        return {
            "checkpoints": [{"name": one["facts"]["name"], **one} for one in checkpoints],
            "tasks": [{"name": one.name, **asdict(one)} for one in self.tasks],
            "other_columns": [asdict(column) for column in self.other_columns],
            "runs": self.runs,
        }


def _own_column(column: ScoreColumn, name: str) -> dict[str, Any]:
    """A column with the scores of one checkpoint only."""
    return {**asdict(column), "scores": [asdict(score) for score in column.scores if score.registered == name]}
