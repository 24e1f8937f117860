"""`medzoo claims`: what the studies claim, checked with their published numbers and with your own results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medzoo.commands.common import AsJson, check_file, print_json
from medzoo.commands.terminal import completion
from medzoo.errors import UsageError


def claims(
    results: Annotated[
        Path | None,
        typer.Argument(help="a store of results, for the comparison of your own rows", show_default=False),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", help="a claim or a study; repeat for more; by default all", autocompletion=completion.studies
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="a Markdown file with all differences")] = None,
    as_json: AsJson = False,
) -> None:
    """Check the claims of the studies: is a pre-training better than another one?

    For each claim: the differences in your own results with intervals and verdicts, if there are any; and from the published
    numbers alone the differences, Welch's test over runs, Holm's correction over the claim, and the probability that the claim is
    false. What cannot be computed is named with its reason, and every assumption is printed.

    Example: medzoo claims --only juodelyte2023; medzoo claims results --out claims.md
    """
    from medzoo.bench.claims.read import choose, load_claims
    from medzoo.bench.claims.report import check_claims, markdown, text

    if results is not None and not results.is_dir():
        raise UsageError(f"{results} is not a folder. Give a store of results.", code="not-a-folder")
    check_file(out, "--out")
    checked = check_claims(choose(load_claims(), only), results)
    if as_json:
        print_json([one.to_dict() for one in checked])
    else:
        print(text(checked))
    if out is not None:
        from medzoo import store

        store.write_text(out, markdown(checked))
        if not as_json:
            print(out)
