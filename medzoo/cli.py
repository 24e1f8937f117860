"""The `medzoo` command: a thin layer over the public functions; torch is imported only by commands that need it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from medzoo.commands import (
    add,
    catalog,
    checkpoints,
    claims,
    compare,
    export,
    machine,
    predict,
    publish,
    results,
    shards,
    table,
    tasks,
)

app = typer.Typer(
    name="medzoo",
    no_args_is_help=True,
    rich_markup_mode="markdown",  # wraps the paragraphs of a docstring to the terminal's width
    pretty_exceptions_enable=False,
)
_GROUP: dict[str, Any] = {"no_args_is_help": True, "rich_markup_mode": "markdown"}
tasks_app = typer.Typer(
    help="Downstream tasks: list them, show how to get their data, check the data.\n\n"
    "Example: medzoo tasks list --about lung",
    **_GROUP,
)
results_app = typer.Typer(
    help="Results of runs: list, check, exchange.\n\nExample: medzoo results list results", **_GROUP
)
cache_app = typer.Typer(help="Files that medzoo keeps in MEDZOO_HOME.\n\nExample: medzoo cache list", **_GROUP)

app.command("list")(checkpoints.list_)
app.command()(checkpoints.info)
app.command()(checkpoints.fetch)
app.command()(checkpoints.convert)
app.command()(checkpoints.check)
app.command()(machine.doctor)
app.command()(add.add)
app.command()(predict.predict)
app.command()(export.export)
app.command()(publish.card)
app.command()(publish.push)
app.command()(publish.publish)
app.command()(table.table)
app.command()(catalog.catalog)
app.command()(claims.claims)
app.command(context_settings=compare.ALL_WORDS)(compare.compare)
app.command()(results.status)
app.add_typer(cache_app, name="cache")
cache_app.command("list")(machine.list_)
cache_app.command()(machine.verify)
cache_app.command()(machine.prune)
app.add_typer(tasks_app, name="tasks")
tasks_app.command("list")(tasks.list_)
tasks_app.command("info")(tasks.info)
tasks_app.command()(tasks.check)
tasks_app.command()(tasks.duplicates)
app.command()(shards.shards)
app.add_typer(results_app, name="results")
results_app.command("list")(results.list_)
results_app.command()(results.check)
results_app.command("import")(results.import_)
results_app.command()(results.export)
results_app.command()(results.push)
results_app.command()(results.pull)


def _version(requested: bool) -> None:
    if requested:
        import medzoo

        print(f"medzoo {medzoo.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="print medzoo's version and exit", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Pre-trained checkpoints for medical imaging: verified, comparable, reproducible.

    Examples: medzoo list radimagenet (find checkpoints); medzoo info resnet50-radimagenet (how to get one);
    medzoo tasks info pneumoniamnist (data to try it on); medzoo doctor (check this machine)

    To train, use the recipes: python recipes/finetune.py --help, or python -m medzoo.recipes.finetune --help.
    """


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="folder for all files of the demo")] = Path("demo"),
    device: Annotated[str, typer.Option(help="auto uses a GPU if there is one; or cpu", metavar="auto|cpu")] = "auto",
) -> None:
    """Run the full workflow on synthetic images: pre-train, continue, fine-tune, tabulate (under 5 minutes on 2 cores).

    Example: medzoo demo --out demo; then open demo/table.html
    """
    from medzoo.commands.demo import demo as run

    run(out, device=device)


def main() -> None:
    """Run the command; an expected error prints one line and exits with 1, wrong usage exits with 2."""
    if "_MEDZOO_COMPLETE" in os.environ:  # a shell asks for completions: no command runs, so nothing else is imported
        app()
    from medzoo.recipe_args import run_main

    run_main(app)


if __name__ == "__main__":
    main()
