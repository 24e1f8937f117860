"""The `medzoo` command: thin over the public names, torch imported only where weights are touched."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from medzoo.errors import UsageError

app = typer.Typer(
    name="medzoo",
    help="Pre-trained checkpoints for medical imaging: verified, comparable, reproducible.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
tasks = typer.Typer(help="Downstream tasks.", no_args_is_help=True)
app.add_typer(tasks, name="tasks")

AsJson = Annotated[bool, typer.Option("--json", help="print JSON, for scripts")]
Hub = Annotated[Path | None, typer.Option(help="directory that plays the Hub (also MEDZOO_HUB)")]
Accept = Annotated[bool, typer.Option(help="accept the terms of non-commercial or contested weights")]


def _json(value: Any) -> None:  # noqa: ANN401
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


@app.command("list")
def list_command(
    pattern: Annotated[str, typer.Argument(help="names as in a shell: 'resnet50-*'")] = "*",
    architecture: Annotated[str | None, typer.Option(help="timm's name of the net")] = None,
    method: Annotated[str | None, typer.Option(help="pre-training method")] = None,
    data: Annotated[str | None, typer.Option(help="pre-training data")] = None,
    modality: Annotated[str | None, typer.Option(help="kind of image it has seen")] = None,
    license: Annotated[str | None, typer.Option(help="licence id")] = None,
    as_json: AsJson = False,
) -> None:
    """List the checkpoints, with where they come from and their licence."""
    from medzoo.zoo.registry import info, list_models

    names = list_models(
        pattern, architecture=architecture, method=method, data=data, modality=modality, license=license
    )
    if as_json:
        return _json([info(name).to_dict() for name in names])
    from rich.console import Console
    from rich.table import Table

    table = Table("checkpoint", "method", "data", "licence", box=None, pad_edge=False)
    for name in names:
        checkpoint = info(name)
        past = checkpoint.pretraining
        method_shown = (past.method or "-") if past else "-"
        table.add_row(name, method_shown, " + ".join(past.data) if past else "-", checkpoint.license.id)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    if not names:
        raise UsageError(f"No checkpoint fits {pattern!r} with these filters; `medzoo list` shows all.")
    return None


@app.command()
def info(name: str, as_json: AsJson = False) -> None:
    """Show the facts about a checkpoint."""
    from medzoo.zoo.registry import info as describe

    checkpoint = describe(name)
    _json(checkpoint.to_dict()) if as_json else print(checkpoint)


@app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(help="checkpoints, by name")],
    to: Annotated[Path | None, typer.Option(help="fill this directory hub, for a machine without network")] = None,
    hub: Hub = None,
    accept_license: Accept = False,
) -> None:
    """Bring verified checkpoints here, or into a directory hub that a machine without network can use."""
    from medzoo.zoo.fetch import fetch as bring

    for name in names:
        print(bring(name, to=to, hub=hub, accept_license=accept_license))


@app.command()
def convert(
    file: Path, name: str, out: Annotated[Path, typer.Option(help="folder to write")], accept_license: Accept = False
) -> None:
    """Turn an upstream file that you have into a verified folder."""
    from medzoo.zoo.convert import convert as turn

    print(turn(file, name, out=out))


@app.command()
def push(
    folder: Path,
    repo_id: Annotated[str, typer.Argument(help="org/name")],
    hub: Hub = None,
    public: Annotated[bool, typer.Option(help="make the repository public")] = False,
    create_pr: Annotated[bool, typer.Option(help="open a pull request instead of committing")] = False,
    dry_run: Annotated[bool, typer.Option(help="only list what would go up")] = False,
) -> None:
    """Publish a folder (or a run folder) to the Hub, or to a directory hub."""
    from medzoo.zoo.publish import push as publish

    print(publish(folder, repo_id, private=not public, create_pr=create_pr, dry_run=dry_run, hub=hub))


@app.command()
def card(folder_or_name: str) -> None:
    """Print the model card of a folder or a checkpoint."""
    from medzoo.zoo.cards import card_of

    print(card_of(folder_or_name))


@app.command()
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


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="folder for everything the demo makes")] = Path("demo"),
    device: Annotated[str, typer.Option(help="auto or cpu")] = "auto",
) -> None:
    """Run the main job on drawn images: pre-train, continue, fine-tune, tabulate (under 5 minutes on 2 cores)."""
    from medzoo.demo import demo as run

    run(out, device=device)


@tasks.command("list")
def tasks_list(as_json: AsJson = False) -> None:
    """List the tasks; a user's own data is folder:PATH or parquet:PATH."""
    from medzoo.data.task import list_tasks, task_info

    if as_json:
        return _json(list_tasks())
    for name in list_tasks():
        facts = task_info(name)
        print(f"{name:20} {facts.kind:12} {len(facts.classes):3} classes  {facts.title}")
    return None


@tasks.command("info")
def tasks_info(name: str, as_json: AsJson = False) -> None:
    """Show a task's classes, metric, splits, licence, and how to get its images."""
    from dataclasses import asdict

    from medzoo.data.task import task_info

    facts = asdict(task_info(name))
    if as_json:
        return _json(facts)
    for key, value in facts.items():
        if value not in (None, "", ()):
            print(f"{key:10} {', '.join(map(str, value)) if isinstance(value, list | tuple) else value}")
    return None


def main() -> None:
    """Run the command; an expected failure is one clear line and exit code 1, wrong usage is 2."""
    from medzoo.arguments import run_main

    run_main(app)


if __name__ == "__main__":
    main()
