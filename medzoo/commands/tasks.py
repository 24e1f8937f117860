"""Downstream tasks: list them, show how to get their data, and check the data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medzoo.commands.common import AsJson, check_file, print_json
from medzoo.commands.terminal import completion

Name = Annotated[
    str,
    typer.Argument(
        help="a task (`medzoo tasks list`), folder:PATH, parquet:PATH or shards:PATH", autocompletion=completion.tasks
    ),
]
Root = Annotated[Path | None, typer.Option(help="folder of the data, where the task needs one")]
Groups = Annotated[
    str | None, typer.Option(help="source of the patient ids: a column, parent (folder), dicom:patient, or none")
]
Unlabelled = Annotated[bool, typer.Option("--unlabelled", help="own data without labels, for pre-training")]
SplitFile = Annotated[Path | None, typer.Option(help="JSON or CSV of ids and splits, or a folder of lists")]
Fold = Annotated[int | None, typer.Option(help="fold of a cross-validation by patient")]
LabelPolicy = Annotated[
    str | None,
    typer.Option(
        help="uncertain labels: mask, zero, one, soft or soft:LOW:HIGH", autocompletion=completion.label_policies
    ),
]


def list_(
    pattern: Annotated[
        str, typer.Argument(help="a shell pattern for names: 'phantom_*'", autocompletion=completion.tasks)
    ] = "*",
    about: Annotated[str, typer.Option(help="a word in the name, title or classes: ultrasound, pneumonia")] = "",
    kind: Annotated[
        str,
        typer.Option(
            help="binary, multiclass, multilabel, segmentation or regression", autocompletion=completion.task_kinds
        ),
    ] = "",
    modality: Annotated[
        str,
        typer.Option(help="kind of image: X-ray, CT, MR, ultrasound, ...", autocompletion=completion.task_modalities),
    ] = "",
    source: Annotated[
        str, typer.Option(help="drawn, download, 'your copy' or 'your own'", autocompletion=completion.task_sources)
    ] = "",
    as_json: AsJson = False,
) -> None:
    """List the tasks by the source of their images; your own data are folder:PATH, parquet:PATH or shards:PATH.

    Example: medzoo tasks list --modality X-ray --kind multilabel
    """
    from fnmatch import fnmatchcase

    from medzoo.data.task_description import SOURCES, modality_of, source_of
    from medzoo.data.task_registry import list_tasks, task_info
    from medzoo.errors import UsageError

    # the tasks that pass all filters
    rows = []
    for name in list_tasks():
        facts = task_info(name)
        row = {"name": name, "kind": facts.kind, "classes": len(facts.classes), "modality": modality_of(facts)}
        row |= {"source": source_of(facts), "title": facts.title}
        text = " ".join([name, facts.title, *facts.classes]).lower()
        filters = (("kind", kind), ("modality", modality), ("source", source))
        if (
            fnmatchcase(name, pattern)
            and about.lower() in text
            and all(value.lower() in str(row[key]).lower() for key, value in filters)
        ):
            rows.append(row)
    if as_json:
        return print_json(rows)
    if not rows:
        raise UsageError(
            f"No task matches {pattern!r} with these filters; `medzoo tasks list` shows all.", code="no-match"
        )
    # one block per source
    for origin, meaning in SOURCES.items():
        chosen = [row for row in rows if row["source"] == origin]
        if not chosen:
            continue
        print(f"{origin}: {meaning}")
        for row in chosen:
            count = "any" if origin == "your own" else row["classes"] or "many"
            classes = f"{count} class" if count == 1 else f"{count} classes"
            kind_cell = "any kind" if origin == "your own" else row["kind"]
            print(f"  {row['name']:<18} {kind_cell:<13} {classes:<11} {row['modality']:<11} {row['title']}")
        print()
    print("`medzoo tasks info NAME` shows how to get the images")
    return None


def info(name: Name, as_json: AsJson = False) -> None:
    """Show a task: classes, splits, how to get its images, their terms, the folder layout, and the next command.

    Example: medzoo tasks info chexpert
    """
    from dataclasses import asdict

    from medzoo.data.task_description import info_text
    from medzoo.data.task_registry import task_info

    facts = task_info(name)
    if as_json:
        return print_json(asdict(facts))
    print(info_text(facts))
    return None


def check(
    name: Name,
    root: Root = None,
    split_file: SplitFile = None,
    fold: Fold = None,
    label_policy: LabelPolicy = None,
    groups: Groups = None,
    sums: Annotated[
        Path | None, typer.Option(help="checksums in the format of sha256sum; by default SHA256SUMS or similar in root")
    ] = None,
    images: Annotated[bool, typer.Option("--images/--no-images", help="decode every image and mask")] = True,
    unlabelled: Unlabelled = False,
    as_json: AsJson = False,
) -> None:
    """List all problems in a task's data before any training, with counts per split and class; exit 1 if there are any.

    It checks missing and extra files, unreadable images, columns, labels, empty classes, repeated ids and images, patients in two
    splits, and masks that do not fit.

    Examples: medzoo tasks check chestxray14 --root /data/nih (a known data set);
    medzoo tasks check folder:scans --groups patient (your own data, whose table has a column "patient")
    """
    from medzoo.data.validation.check import check_task

    report = check_task(
        name,
        root=root,
        split_file=split_file,
        fold=fold,
        label_policy=label_policy,
        groups=groups,
        images=images,
        sums=sums,
        unlabelled=unlabelled,
    )
    if as_json:
        print_json(report.to_dict())
    else:
        print(report)
    raise typer.Exit(0 if report.passed else 1)


def duplicates(
    name: Name,
    root: Root = None,
    split_file: SplitFile = None,
    fold: Fold = None,
    groups: Groups = None,
    against: Annotated[
        str | None, typer.Option(help="other data: a task, folder:PATH, parquet:PATH, shards:PATH, or a saved index")
    ] = None,
    against_root: Annotated[Path | None, typer.Option(help="folder of the other data")] = None,
    near: Annotated[bool, typer.Option("--near/--equal", help="also near copies, or only equal images")] = True,
    across_splits_only: Annotated[
        bool, typer.Option("--across-splits-only", help="only images in more than one split")
    ] = False,
    save_index: Annotated[
        Path | None, typer.Option(help="save the hashes, without images, labels and patients, to a .parquet file")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="write all groups as CSV, one row per image")] = None,
    fail: Annotated[bool, typer.Option("--fail", help="exit 1 if splits (or both data) share images")] = False,
    as_json: AsJson = False,
) -> None:
    """Find images that occur more than once: equal files, equal pixels, near copies; within a task or against other data.

    A near copy may be resized, compressed, windowed, mirrored, inverted, padded or slightly cropped
    (benchmarks/results/duplicates.md lists the detection rates). The command only reports; the decision is yours.

    Examples: medzoo tasks duplicates folder:scans --groups none --across-splits-only (your own data);
    medzoo tasks duplicates radimagenet --root DIR --save-index pretraining.parquet (once), and then
    medzoo tasks duplicates pneumoniamnist --against pretraining.parquet --fail (was it in pre-training?)
    """
    from medzoo.data.duplicates.index import hash_task, load_index
    from medzoo.data.duplicates.index import save_index as write_index
    from medzoo.data.duplicates.search import find_duplicates
    from medzoo.data.task_registry import load_task
    from medzoo.errors import UsageError

    check_file(out, "--out")
    check_file(save_index, "--save-index")
    # check outputs and inputs before hours of hashing
    for path in (out, save_index):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    other, task = None, None
    if against is not None:
        own = against.partition(":")[0] in ("folder", "parquet")  # patient ids are not needed here
        if Path(against).is_file():
            other = load_index(Path(against))
        elif against.endswith(".parquet") and not own:
            raise UsageError(
                f"There is no index {against}; `medzoo tasks duplicates NAME --save-index FILE` creates one.",
                code="duplicate-index-missing",
            )
        else:
            task = load_task(against, root=against_root, groups="none" if own else None)
    # hash, save, compare
    index = hash_task(load_task(name, root=root, split_file=split_file, fold=fold, groups=groups))
    if save_index is not None:
        write_index(index, save_index)
    if task is not None:
        other = hash_task(task)
    report = find_duplicates(index, other, near=near, across_only=across_splits_only)
    if out is not None:
        report.write_csv(out)
    if as_json:
        print_json(report.to_dict())
    else:
        print(report)
    raise typer.Exit(1 if fail and report.shared else 0)
