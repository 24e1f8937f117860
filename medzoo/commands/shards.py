"""`medzoo shards`: write a task as shards for streaming."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from medzoo.commands.common import check_spelling
from medzoo.commands.tasks import Fold, Groups, LabelPolicy, Root, SplitFile, Unlabelled
from medzoo.commands.terminal import completion


def shards(
    task: Annotated[
        str,
        typer.Argument(
            help="a task (`medzoo tasks list`), folder:PATH or parquet:PATH", autocompletion=completion.tasks
        ),
    ],
    out: Annotated[Path, typer.Option(help="folder of the shards; the folder of a stopped run is continued")],
    root: Root = None,
    split: Annotated[list[str] | None, typer.Option(help="split to write; may be repeated; by default all")] = None,
    size: Annotated[
        int | None, typer.Option(help="resize images to a square of this side, pixels; by default not resized")
    ] = None,
    format: Annotated[Literal["parquet", "webdataset"], typer.Option(help="format of the files")] = "parquet",
    images_per_shard: Annotated[int | None, typer.Option(help="rows per file; by default about 64 MB")] = None,
    shuffle: Annotated[
        bool | None,
        typer.Option(
            "--shuffle/--in-order", help="shuffle training rows over the shards; by default if images are files"
        ),
    ] = None,
    hu: Annotated[
        bool,
        typer.Option("--hu", help="store CT on the whole scale of HU in 16 bits, for a pre-training with --ct-windows"),
    ] = False,
    split_file: SplitFile = None,
    fold: Fold = None,
    fraction: Annotated[float, typer.Option(help="share of the training patients to use")] = 1.0,
    label_policy: LabelPolicy = None,
    groups: Groups = None,
    unlabelled: Unlabelled = False,
) -> None:
    """Write a task as Parquet or WebDataset shards, for pre-training on more images than fit into the cache.

    PNG and JPEG files are copied byte for byte unless --size is given; other formats become PNG with 8 or 16 bits. After a kill,
    the same command continues. Uncertain labels stay uncertain unless --label-policy is given.

    Example: medzoo shards radimagenet --root /data/radimagenet --out /fast/radimagenet --size 256;
    then: accelerate launch recipes/pretrain.py --method simclr --architecture resnet50 --task shards:/fast/radimagenet --out RUN
    """
    from medzoo.data.shards.write import write_shards
    from medzoo.data.task_registry import load_task

    check_spelling(out, "--out")
    chosen = {
        "root": root,
        "split_file": split_file,
        "fold": fold,
        "fraction": fraction,
        "groups": groups,
        "unlabelled": unlabelled,
    }
    opened = load_task(task, label_policy=label_policy, **chosen)  # type: ignore[arg-type]
    if opened.policy is not None and label_policy is None:  # this policy keeps labels uncertain
        opened = load_task(task, label_policy="soft", **chosen)  # type: ignore[arg-type]
    index = write_shards(
        opened, out, splits=split, size=size, format=format, images_per_shard=images_per_shard, shuffle=shuffle, hu=hu
    )
    for name, files in index.splits.items():
        print(
            f"{name:<11} {index.images(name):>10,} images  {len(files):>6} files  {sum(f.bytes for f in files) / 1e6:>10,.1f} MB"
        )
    print(f"shards:{out}  (to check them: medzoo tasks check shards:{out})")
