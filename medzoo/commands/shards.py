"""A task as shards that stream: `medzoo shards`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from medzoo.commands.common import check_spelling
from medzoo.commands.tasks import Fold, Groups, LabelPolicy, Root, SplitFile, Unlabelled


def shards(
    task: Annotated[str, typer.Argument(help="a task (`medzoo tasks list`), folder:PATH or parquet:PATH")],
    out: Annotated[Path, typer.Option(help="folder of the shards; one of a stopped run goes on")],
    root: Root = None,
    split: Annotated[list[str] | None, typer.Option(help="which split; may be repeated; by default all")] = None,
    size: Annotated[
        int | None, typer.Option(help="bring images to a square of this side, pixels; by default they stay as they are")
    ] = None,
    format: Annotated[Literal["parquet", "webdataset"], typer.Option(help="of the files")] = "parquet",
    images_per_shard: Annotated[int | None, typer.Option(help="rows of a file; by default about 64 MB of them")] = None,
    shuffle: Annotated[
        bool | None,
        typer.Option(
            "--shuffle/--in-order", help="deal training rows over the shards; by default where images are files"
        ),
    ] = None,
    split_file: SplitFile = None,
    fold: Fold = None,
    fraction: Annotated[float, typer.Option(help="share of the training patients")] = 1.0,
    label_policy: LabelPolicy = None,
    groups: Groups = None,
    unlabelled: Unlabelled = False,
) -> None:
    """Write a task as Parquet or WebDataset shards, for pre-training on more images than a cache should hold.

    PNG and JPEG files are kept byte for byte unless --size is given; anything else becomes PNG of 8 or 16 bits. A run that was
    killed goes on with the same command. Uncertain labels stay uncertain unless --label-policy is given.

    Example: medzoo shards radimagenet --root /data/radimagenet --out /fast/radimagenet --size 256;
    then: accelerate launch recipes/pretrain.py --method simclr --architecture resnet50 --task shards:/fast/radimagenet --out RUN
    """
    from medzoo.data.shards.write import write_shards
    from medzoo.data.task_registry import load_task

    check_spelling(out, "--out")
    chosen = {
        "root": root, "split_file": split_file, "fold": fold, "fraction": fraction, "groups": groups, "unlabelled": unlabelled,
    }  # fmt: skip
    opened = load_task(task, label_policy=label_policy, **chosen)  # type: ignore[arg-type]
    if opened.policy is not None and label_policy is None:  # the policy that keeps what was uncertain
        opened = load_task(task, label_policy="soft", **chosen)  # type: ignore[arg-type]
    index = write_shards(
        opened, out, splits=split, size=size, format=format, images_per_shard=images_per_shard, shuffle=shuffle
    )  # fmt: skip
    for name, files in index.splits.items():
        print(
            f"{name:<11} {index.images(name):>10,} images  {len(files):>6} files  {sum(f.bytes for f in files) / 1e6:>10,.1f} MB"
        )
    print(f"shards:{out}  (to look at them: medzoo tasks check shards:{out})")
