"""The result of a run folder that a user names instead of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medzoo.bench.results.record import read_result


def result_of_folder(label: str) -> dict[str, Any] | None:
    """The result of a run folder, also for the folder `checkpoint` in it; None if the label is something else.

    Args:
        label: as the user typed it.

    Raises:
        ResultError: if the result in the folder cannot be read.

    >>> result_of_folder("resnet50-imagenet") is None
    True
    """
    folder = Path(label.removeprefix("local-dir:")).expanduser()
    places = [folder / "result.json"] + ([folder.parent / "result.json"] if folder.name == "checkpoint" else [])
    file = next((place for place in places if place.is_file()), None)
    return None if file is None else read_result(file)
