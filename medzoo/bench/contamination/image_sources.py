"""Whether pre-training data and a task have images of the same collection, by what is known about both."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from medzoo.closed_schema import parse
from medzoo.data.task_registry import split_name
from medzoo.errors import MedzooError, UsageError
from medzoo.training.options.names import slug

# pixels at the end of a name, of one of the usual sizes: other numbers, such as years, are a part of the name
SIDE = re.compile(r"_(28|32|48|56|64|96|112|128|160|192|224|256|299|320|336|384|448|512|640|768|1024)(px)?$")
FILE = Path(__file__).with_name("image_sources.toml")


@dataclass(frozen=True)
class ImageSources:
    """Where the images of a task or a pre-training data set are from.

    Args:
        collections: by name.
        part: what was taken from them.
        source: address or publication.
    """

    collections: tuple[str, ...]
    part: str
    source: str


@cache
def image_sources() -> dict[str, ImageSources]:
    """The sources of all tasks and data sets that are not their own collection, by name."""
    with FILE.open("rb") as file:
        rows = tomllib.load(file)
    return {
        name: parse(
            ImageSources,
            {"collections" if key == "from" else key: value for key, value in row.items()},
            f"{FILE.name}: {name}",
            UsageError,
        )
        for name, row in rows.items()
    }


def collections_of(name: str) -> tuple[str, ...]:
    """The collections of a task or data set: its own name, without a size of images at its end, and those that it was made from.

    Args:
        name: of a task without choices, or of a data set.

    >>> collections_of("chestmnist"), collections_of("isic"), collections_of("medical_mnist_64")
    (('chestmnist', 'chestxray14'), ('isic',), ('medical_mnist_64', 'medical_mnist'))
    """
    names = [name, without_size(name)]
    known = [image_sources()[one].collections for one in names if one in image_sources()]
    return tuple(dict.fromkeys([*names, *(collection for found in known for collection in found)]))


def without_size(name: str) -> str:
    """The name of a data set without a size of images at its end.

    Args:
        name: of the data set.

    >>> without_size("medical_mnist_64"), without_size("nih_2017")
    ('medical_mnist', 'nih_2017')
    """
    return SIDE.sub("", name)


def task_data(task: str) -> str:
    """The name of a task's data, without choices and without the folder.

    Args:
        task: as in a result.

    >>> task_data("mimic_cxr,window=lung"), task_data("folder:scans/BUSI-224")
    ('mimic_cxr', 'busi_224')
    """
    try:
        base, path, _ = split_name(task)
    except MedzooError:
        return slug(task)
    return slug(path if path else base)


def shared_data(data: Sequence[str], task: str) -> str:
    """The first pre-training data set that has a collection in common with a task; empty if none is known.

    Only names are compared, so a checkpoint without a shared data set may have seen the images too.

    Args:
        data: names of the pre-training data sets.
        task: as in a result.

    >>> shared_data(["imagenet", "chestxray14"], "rsna_pneumonia"), shared_data(["imagenet"], "rsna_pneumonia")
    ('chestxray14', '')
    """
    mine = set(collections_of(task_data(task)))
    return next((name for name in data if not mine.isdisjoint(collections_of(name))), "")
