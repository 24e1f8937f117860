"""Find, download, convert and check checkpoints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from medzoo.commands.common import Accept, AsJson, Hub, print_json
from medzoo.commands.terminal import completion
from medzoo.errors import MedzooError, UsageError


def list_(
    pattern: Annotated[str, typer.Argument(help="a part of the name, or a shell pattern: 'resnet50-*'")] = "*",
    architecture: Annotated[
        str | None, typer.Option(help="only this network, by timm's name", autocompletion=completion.architectures)
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="only this pre-training method: simclr, mocov2, ...", autocompletion=completion.methods),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="only this pre-training data: imagenet, radimagenet, ...", autocompletion=completion.data),
    ] = None,
    modality: Annotated[
        str | None,
        typer.Option(help="only with this kind of training images: CT, CXR, ...", autocompletion=completion.modalities),
    ] = None,
    license: Annotated[
        str | None, typer.Option(help="only this licence: mit, cc-by-nc-4.0, ...", autocompletion=completion.licences)
    ] = None,
    redistributable: Annotated[
        bool | None,
        typer.Option("--redistributable/--no-redistributable", help="only weights that may be published again, or not"),
    ] = None,
    downloaded: Annotated[
        bool | None,
        typer.Option("--downloaded/--not-downloaded", help="only weights that are on this machine, or are not"),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="columns to show, joined by commas: name,data,licence,parameters,size,input,year, ...",
            metavar="NAME,NAME",
            autocompletion=completion.columns,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the checkpoints with method, data, licence and how to get the weights.

    A narrow terminal gets fewer columns and a wide one more; a file or a pipe gets the same columns always, and no text is cut.

    Example: `medzoo list "resnet50-*" --modality CT --columns name,images,size`
    """
    from medzoo.commands.terminal.checkpoint_list import list_text, no_match, plain_rows
    from medzoo.commands.terminal.columns import chosen_columns
    from medzoo.progress import output_width
    from medzoo.zoo.registry.registry import info, list_models

    chosen = None if columns is None else chosen_columns(columns)
    # the checkpoints that pass the filters
    filters = {"architecture": architecture, "method": method, "data": data, "modality": modality, "license": license}
    entries = [
        info(name) for name in list_models(pattern, **filters, redistributable=redistributable, downloaded=downloaded)
    ]
    if as_json:
        rows = [entry.to_dict() for entry in entries] if chosen is None else plain_rows(entries, chosen)
        return print_json(rows)
    if not entries:
        raise no_match(pattern, filters)
    table, left_out = list_text(entries, chosen, output_width())
    print(table)
    if left_out:
        print(left_out, file=sys.stderr)
    return None


def info(
    name: Annotated[
        str,
        typer.Argument(
            help="a checkpoint, a folder or run folder, or org/name in a directory hub",
            autocompletion=completion.checkpoints,
        ),
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="show all facts, also if they need more than a screen")
    ] = False,
    hub: Hub = None,
    as_json: AsJson = False,
) -> None:
    """Show the facts about a checkpoint on one screen, and the next command; --all and --json show every fact.

    Example: medzoo info resnet50-radimagenet
    """
    from medzoo import paths
    from medzoo.commands.terminal.info_page import checkpoint_page, folder_page
    from medzoo.progress import output_width
    from medzoo.zoo.registry.checkpoint import as_text
    from medzoo.zoo.registry.hints import no_checkpoint, refuse_file
    from medzoo.zoo.registry.locations import folder_of, next_step
    from medzoo.zoo.registry.registry import info as describe
    from medzoo.zoo.registry.registry import is_known

    # a folder on this machine
    folder = None if is_known(name) else folder_of(name, hub)
    if folder is not None:
        from medzoo.zoo.folder.summary import folder_facts

        rows = folder_facts(folder)
        if as_json:
            return print_json(rows)
        return print(as_text(rows) if everything else folder_page(rows, name, hub, output_width()))
    if "/" in name and paths.directory_hub(hub) is not None:
        from medzoo.zoo.download.fetch import locate

        locate(name, hub=hub, download=False)  # raises, with the names in the directory hub
    # a name of the registry
    if not is_known(name):
        if Path(name).expanduser().is_dir():
            raise no_checkpoint(Path(name).expanduser())
        refuse_file(name)
    checkpoint = describe(name)
    if as_json:
        return print_json(checkpoint.to_dict())
    if everything:
        return print(f"{checkpoint}\n\nto use it: {next_step(checkpoint, hub=hub)}")
    return print(checkpoint_page(checkpoint, hub, output_width()))


def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="checkpoints, by name", autocompletion=completion.checkpoints)
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="all that can be downloaded or are on this machine (with --to)")
    ] = False,
    to: Annotated[Path | None, typer.Option(help="copy to this directory hub, for a machine without network")] = None,
    hub: Hub = None,
    accept_license: Accept = False,
) -> None:
    """Download verified checkpoints to this machine, or to a directory hub for a machine without network.

    Example: medzoo fetch --all --to /media/stick --accept-license; elsewhere: export MEDZOO_HUB=/media/stick
    """
    from medzoo.zoo.download.fetch import fetch as fetch_one

    if everything:
        return _mirror(names, to, accept_license)
    if not names:
        raise UsageError("Name checkpoints, or use --all --to DIR.", code="checkpoint-names-missing")
    failed = 0
    for name in names:
        try:
            print(fetch_one(name, to=to, hub=hub, accept_license=accept_license), flush=True)
        except MedzooError as error:  # continue with the other names
            if len(names) == 1:
                raise
            failed += 1
            print(f"error: {name}: {error}", file=sys.stderr)
    if failed:
        print(f"{failed} of {len(names)} failed", file=sys.stderr)
        raise typer.Exit(1)
    return None


def _mirror(names: list[str] | None, to: Path | None, accept_license: bool) -> None:
    from medzoo.zoo.download.mirror import mirror

    if names or to is None:
        raise UsageError("--all needs --to DIR and no names.", code="all-needs-to")
    rows = []
    for row in mirror(to, accept_license=accept_license):
        rows.append(row)
        print(f"{row.result:<13}  {row.name}  {row.detail}", flush=True)
    counts = {result: sum(row.result == result for row in rows) for result in dict.fromkeys(row.result for row in rows)}
    print(
        ", ".join(f"{count} {result}" for result, count in counts.items())
        + f"; to use it on another machine: export MEDZOO_HUB={to}"
    )
    if counts.get("failed"):
        raise typer.Exit(1)


def convert(
    file: Annotated[Path, typer.Argument(help="the file as its authors published it (TensorFlow: folder or zip)")],
    name: Annotated[
        str, typer.Argument(help="name of the checkpoint in the registry", autocompletion=completion.checkpoints)
    ],
    out: Annotated[Path | None, typer.Option(help="folder to write; by default the cache of medzoo.load")] = None,
) -> None:
    """Convert a downloaded upstream file to a verified folder; no code in the file is executed.

    Example: medzoo convert ResNet50.pt resnet50-radimagenet
    """
    from medzoo.zoo.convert.convert import convert as convert_file

    print(convert_file(file, name, out=out))


def check(
    names: Annotated[
        list[str],
        typer.Argument(help="checkpoints by name, folders, or run folders", autocompletion=completion.checkpoints),
    ],
    hub: Hub = None,
    as_json: AsJson = False,
) -> None:
    """Check checkpoints on this machine: hash, names, shapes, finite numbers, input convention, stored features.

    Example: medzoo check resnet50-radimagenet runs/finetune
    """
    from medzoo.zoo.check.check import check as check_one

    reports = [check_one(name, hub=hub) for name in names]
    if as_json:
        print_json([report.to_dict() for report in reports])
    else:
        print("\n\n".join(map(str, reports)))
    if not all(report.passed for report in reports):
        raise typer.Exit(1)
