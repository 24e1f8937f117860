"""`medzoo catalog`: all checkpoints and all tasks as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medzoo.commands.common import AsJson, check_file, print_json
from medzoo.errors import UsageError

FILE = Path("catalog.html")


def catalog(
    results: Annotated[
        Path | None,
        typer.Argument(
            help="a store of results (the folder that runs wrote with --results), whose scores are shown; by default none",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="file to write", show_default=str(FILE))] = None,
    check: Annotated[
        Path | None, typer.Option(help="an existing page; exit 1 if it is not what the facts give, and write nothing")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a page of all checkpoints and all tasks: search, filter, lineage, and code to copy.

    The page is one file. It needs no network, and without JavaScript it is a complete list. It has the checkpoints that medzoo
    ships, and does not depend on what is on this machine. With RESULTS, checkpoints and tasks show their scores with intervals.

    Examples: medzoo catalog; medzoo catalog results --out catalog.html; medzoo catalog --check docs/catalog.html
    """
    check_file(out, "--out")
    from medzoo.training.options.shared import check_place

    if out is not None:
        if check is not None or as_json:
            raise UsageError("--out writes a page; leave out --check and --json.", code="catalog-out-with-another")
        check_place(str(out.parent), "--out")
    if check is not None and as_json:
        raise UsageError("Give --check or --json, not both.", code="catalog-check-with-json")
    if check is not None and not check.is_file():
        raise UsageError(
            f"--check {check} is not a file. Give a page that `medzoo catalog` wrote.", code="catalog-not-a-file"
        )
    if results is not None and not results.is_dir():
        raise UsageError(f"{results} is not a folder. Give a store of results.", code="not-a-folder")
    from medzoo.bench.catalog.build import build_catalog
    from medzoo.bench.catalog.render import catalog_html, differing_line

    made = build_catalog(results)
    if as_json:
        return print_json(made.to_dict())
    page = catalog_html(made)
    if check is not None:
        return _compare(check, differing_line(check, page))
    from medzoo import store

    path = FILE if out is None else out
    store.write_text(path, page)
    print(path)
    return None


def _compare(path: Path, difference: str) -> None:
    print(f"{path}: {difference or 'the page is what the facts give'}")
    if difference:
        print(f"Make it again: medzoo catalog --out {path}")
        raise typer.Exit(1)
