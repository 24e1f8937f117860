"""The facts of a task, known without its data, and what a family of tasks declares about its `load`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medzoo.errors import UsageError

if TYPE_CHECKING:
    from medzoo.data.images.read import Window


@dataclass(frozen=True)
class TaskInfo:
    """The facts of a task, known without its data.

    Args:
        name: the name for `load_task`.
        title: one line.
        kind: "binary", "multiclass", "multilabel", "segmentation" or "regression"; "unlabelled" for images without labels.
        classes: names in the order of the labels.
        metric: primary metric, "auroc", "accuracy", "dice" or "mae".
        unit: what is scored, for example "image".
        groups: the column or id that groups images of one patient, or "none: ..." with the reason why there is none.
        channels: 1, 3, or None where the images decide.
        license: SPDX or Hub id, or a sentence.
        url: home page of the data.
        citation: how to cite it.
        how: how to get the data, one sentence.
        version: changes when the same files would give different numbers.
        window: (low, high) in the images' unit that reading applies, or None.
        published: numbers of the authors with their source, or None.
        layout: the content of `root` after unpacking, as a tree.
        split: where the splits come from.
        uncertain: whether labels may be uncertain (-1) and need a label policy.
        scored: the classes whose mean is the primary metric; all of them if empty.
        regions: scored regions of a segmentation: name → the mask values it combines; None scores each class separately.
        note: what a user should know about these data.
        labels_stay: whether the terms forbid to publish the labels of single cases (`medzoo results push` leaves them out).
    """

    name: str
    title: str
    kind: str
    classes: tuple[str, ...]
    metric: str
    unit: str
    groups: str
    channels: int | None
    license: str
    url: str
    citation: str
    how: str
    version: str = "1"
    window: Window | None = None
    published: dict[str, Any] | None = None
    layout: str = ""
    split: str = ""
    uncertain: bool = False
    scored: tuple[str, ...] = ()
    regions: Mapping[str, tuple[int, ...]] | None = None
    note: str = ""
    labels_stay: bool = False

    @property
    def structures(self) -> dict[str, tuple[int, ...]]:
        """What a segmentation scores: name → the mask values that it combines; the regions, else each class."""
        return dict(self.regions or {name: (place,) for place, name in enumerate(self.classes, start=1)})


@dataclass(frozen=True)
class Choice:
    """A choice that may follow the name of a task: `,key=value`. `load` takes it as the keyword argument `key`.

    Args:
        values: the allowed words; or `int` for a whole number; or a function that turns the text into a value.
        default: the default of the keyword argument.
    """

    values: tuple[str, ...] | Callable[[str], Any]
    default: Any = None

    def parse(self, name: str, key: str, text: str) -> Any:  # noqa: ANN401 - the type of the choice
        """The value that `load` takes.

        Args:
            name: the task, for the message of an error.
            key: the name of the choice.
            text: the value as the user gave it.

        Raises:
            UsageError: for a value that the choice does not allow.

        >>> Choice(int, default=28).parse("pneumoniamnist", "size", "64")
        64
        """
        if isinstance(self.values, tuple):
            if text not in self.values:
                raise UsageError(
                    f"Task {name!r}: {key}={text!r} should be one of {', '.join(self.values)}.",
                    code="task-choice-value-unknown",
                )
            return text
        if self.values is int and not text.isdecimal():
            raise UsageError(
                f"Task {name!r}: {key}={text!r} should be a whole number.", code="task-choice-not-a-number"
            )
        return self.values(text)


@dataclass(frozen=True)
class LoadOptions:
    """Which options of `medzoo.load_task` the `load` of a family takes, each as a keyword argument of the same name.

    `load_task` refuses `label_policy` and `groups` where the family does not take them. A task named `...:PATH` also takes `path`.

    Args:
        label_policy: labels may be uncertain (-1); `label_policy: str | None = None` decides what they become.
        groups: the family cannot know the patients; `groups: str | None = None` says where they are.
        pooled: the data have splits; with `pooled: bool = False` set, all rows are "all", and a split file replaces the splits.
        unlabelled: the data may be without labels; with `unlabelled: bool = False` set, `load` leaves the labels out.
    """

    label_policy: bool = False
    groups: bool = False
    pooled: bool = False
    unlabelled: bool = False
