"""Tables from stored results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def table(
    results: Annotated[Path, typer.Argument(help="a store of results")],
    out: Annotated[Path | None, typer.Option(help="folder for table.md, table.html and table.png")] = None,
    title: Annotated[str | None, typer.Option(help="title of the table")] = None,
) -> None:
    """Rebuild the table from the stored results."""
    from medzoo.bench.table import table as build

    made = build(results, title=title)
    print(made.to_text())
    if out is not None:
        for path in made.write(out).values():
            print(path)
