"""CT tasks on the whole scale of HU, so that windows can be chosen after the images are decoded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from medzoo.data.images.ct_windows import HU_SCALE
from medzoo.data.images.read import Pixels
from medzoo.data.task import Task
from medzoo.errors import ImageError, UsageError

CODE = "ct-windows-need-hu"


class HUReader:
    """The images of another reader in HU from -1024 to 3071; an image that is not in HU is an error.

    Args:
        reader: with a method `with_window`.
    """

    ID = "medzoo.data.readers.hu_scale.HUReader"  # in the keys of decoded images; never change it

    def __init__(self, reader: Any) -> None:  # noqa: ANN401
        self._reader = reader.with_window("full")
        self.apart = bool(getattr(reader, "apart", False))
        # the other reader as a part of the keys of decoded images
        kind = type(reader)
        simple = {
            name: value
            for name, value in vars(reader).items()
            if not name.startswith("_") and name != "window" and isinstance(value, str | int | float)
        }
        self.of = f"{vars(kind).get('ID', f'{kind.__module__}.{kind.__qualname__}')} {sorted(simple.items())}"

    def read(self, key: str) -> Pixels:
        """The image of a key.

        Raises:
            ImageError: if it is not in HU.
        """
        pixels = self._reader.read(key)
        if pixels.unit != "HU" or pixels.range != HU_SCALE:
            raise ImageError(
                f"{key}: it is not CT in HU ({pixels.unit}), so CT windows mean nothing for it. Remove the image from the data, "
                "or train without --ct-windows.",
                code=CODE,
            )
        result: Pixels = pixels
        return result

    def read_mask(self, key: str) -> np.ndarray:
        """The mask of a key."""
        mask: np.ndarray = self._reader.read_mask(key)
        return mask


def on_hu_scale(task: Task, option: str = "--ct-windows") -> Task:
    """The same CT task on the scale from -1024 to 3071 HU; its images are stored in 16 bits, 16 steps for each HU.

    Every image is checked when it is decoded, and the first training image now.

    Args:
        task: with CT images.
        option: that asked for it, for messages.

    Raises:
        UsageError: if its images are not in HU.

    >>> from medzoo.data.task_registry import load_task
    >>> on_hu_scale(load_task("phantom_ct,n=6")).read("train", 0)[0].range
    (-1024.0, 3071.0)
    """
    refused = UsageError(
        f"{option} needs CT in HU (DICOM with a rescale to HU, NIfTI in HU, phantom_ct), but {task.name} has other images. "
        f"Leave out {option}.",
        code=CODE,
    )
    if not hasattr(task.reader, "with_window"):
        raise refused
    wide = Task(
        replace(task.info, window=HU_SCALE), task.tables, HUReader(task.reader), task.fingerprint,
        name=task.name, policy=task.policy, notes=task.notes, dropped=task.dropped,
    )  # fmt: skip
    try:
        wide.read("train", 0)
    except ImageError as error:
        if error.code in (CODE, "window-needs-hu"):
            raise refused from error
        raise
    return wide
