"""CT windows as an augmentation of a pre-training: each view of an image gets a random window of HU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from medzoo.data.images.ct_windows import HU_SCALE, parse_windows
from medzoo.data.readers.hu_scale import on_hu_scale
from medzoo.data.task_registry import split_name
from medzoo.errors import UsageError

if TYPE_CHECKING:
    from medzoo.data.task import Task
    from medzoo.data.transforms.apply import InputConvention
    from medzoo.training.inputs.views import View
    from medzoo.training.pretrain_options import PretrainOptions

JITTER = 0.2  # width times 0.8 to 1.2, middle moved by up to a tenth of the width


def in_ct_windows(views: Sequence[View], options: PretrainOptions, convention: InputConvention) -> list[View]:
    """The views of a method, in random windows if the options name some.

    Source: https://arxiv.org/abs/2311.14990 and https://arxiv.org/abs/2510.08116 (random windows as an augmentation of CT).

    Args:
        views: of an image on the whole scale of HU.
        options: of the pre-training.
        convention: of the network's input.

    Raises:
        UsageError: if the convention changes the scale of each image.
    """
    if options.ct_windows is None:
        return list(views)
    if convention.rule != "unit":
        raise UsageError(
            f"--ct-windows needs the input rule unit: the rule {convention.rule} stretches each image, so that its HU are lost.",
            code="ct-windows-with-minmax",
        )
    low, high = HU_SCALE
    places = tuple(
        ((start - low) / (high - low), (end - low) / (high - low)) for start, end in parse_windows(options.ct_windows)
    )
    jitter = JITTER if options.ct_window_jitter is None else options.ct_window_jitter
    return [replace(one, augmentation=replace(one.augmentation, windows=places, window_jitter=jitter)) for one in views]


def for_ct_windows(task: Task, options: PretrainOptions) -> Task:
    """A task as its images are needed: on the whole scale of HU if the options name CT windows.

    Args:
        task: that the options name.
        options: of the pre-training.

    Raises:
        UsageError: if the images are not in HU, or the name of the task has a window, which would clip them first.
    """
    if options.ct_windows is None:
        return task
    window = split_name(options.task)[2].get("window", "full")
    if window != "full":
        raise UsageError(
            f"--ct-windows chooses a window for each view, and window={window} of --task {options.task} clips the images before. "
            "Remove one of the two.",
            code="ct-windows-and-window",
        )
    return on_hu_scale(task)
