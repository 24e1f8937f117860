"""A mix of data sets as a TOML file: `--task mix:FILE.toml`."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo.errors import UsageError, listed
from medzoo.training.options.toml_files import read_toml

if TYPE_CHECKING:
    from medzoo.training.pretrain_options import PretrainOptions

MIX = "mix:"


@dataclass(frozen=True)
class MixSource:
    """One data set of a mix.

    Args:
        task: a task, shards, or the user's own data, as for --task; a relative path begins at the folder of the file.
        weight: its share of the images of an epoch, relative to the others; None takes its number of images.
        root: folder of the data set, where the task needs one; a relative path begins at the folder of the file.
        fraction: share of its training patients.
        groups: column with the patient of each image, or "none" (the user's own data only).
    """

    task: str
    weight: float | None = None
    root: str | None = None
    fraction: float = 1.0
    groups: str | None = None


def read_mix(options: PretrainOptions) -> list[MixSource]:
    """The data sets that `--task mix:FILE.toml` mixes.

        [[source]]
        task = "imagenet"
        root = "/data/imagenet"
        weight = 1

        [[source]]
        task = "folder:ct_slices"
        weight = 3

    Args:
        options: of the pre-training.

    Raises:
        UsageError: for options that select rows, and for a file with unknown keys, one source, or weights that are not positive.
    """
    selections: dict[str, object] = {
        "--root": options.root,
        "--split-file": options.split_file,
        "--fold": options.fold,
        "--per-class": options.per_class,
        "--groups": options.groups,
        "--fraction": None if options.fraction == 1 else options.fraction,
    }
    for name, value in selections.items():
        if value is not None:
            raise UsageError(
                f"{name} is about one data set, and {options.task} mixes several. Give each [[source]] of the file its own root "
                "and fraction.",
                code="option-not-for-mix",
            )
    file = Path(options.task.removeprefix(MIX)).expanduser()
    table = read_toml(file, "--task mix:")
    rows = table.get("source")
    if set(table) != {"source"} or not isinstance(rows, list) or len(rows) < 2:
        raise UsageError(f"{file} needs two or more tables [[source]], and nothing else.", code="mix-without-sources")
    sources = [_source(row, number, file) for number, row in enumerate(rows, 1)]
    weighted = [source.weight is not None for source in sources]
    if any(weighted) and not all(weighted):
        raise UsageError(
            f"{file}: give every [[source]] a weight, or none (then each has as many images as it contains).",
            code="mix-weight",
        )
    return sources


def _source(row: Any, number: int, file: Path) -> MixSource:  # noqa: ANN401 - a TOML value
    names = [one.name for one in fields(MixSource)]
    where = f"{file}, [[source]] {number}"
    if not isinstance(row, dict) or set(row) - set(names) or not isinstance(row.get("task"), str):
        raise UsageError(f"{where}: the keys are {listed(names)}; task is required.", code="mix-key-unknown")
    if row["task"].startswith(MIX):
        raise UsageError(
            f"{where}: {row['task']} cannot be a part of a mix. Write its sources into this file.", code="mix-source"
        )
    weight, fraction, root = row.get("weight"), row.get("fraction", 1.0), row.get("root")
    for name, value in (("weight", weight), ("fraction", fraction)):
        usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
        if value is not None and not usable:
            raise UsageError(f"{where}: {name} is {value!r:.40}; use a number above 0.", code="mix-weight")
    for name in ("root", "groups"):
        if not isinstance(row.get(name, ""), str):
            raise UsageError(f"{where}: {name} is {row[name]!r:.40}; use text.", code="mix-key-unknown")
    if root is not None:
        root = str(file.parent / Path(root).expanduser())
    kind, colon, place = str(row["task"]).partition(":")
    if colon and root is None:
        place = str(file.parent / Path(place).expanduser())
    weight = None if weight is None else float(weight)
    return MixSource(f"{kind}{colon}{place}", weight, root, float(fraction), row.get("groups"))
