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

    from medzoo.zoo.places import availability

    table = Table("checkpoint", "method", "data", "licence", "weights", box=None, pad_edge=False)
    for name in names:
        checkpoint = info(name)
        past = checkpoint.pretraining
        method_shown = (past.method or "-") if past else "-"
        shown = " + ".join(past.data) if past else "-"
        table.add_row(name, method_shown, shown, checkpoint.license.id, availability(checkpoint))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    if not names:
        raise UsageError(f"No checkpoint fits {pattern!r} with these filters; `medzoo list` shows all.")
    return None


@app.command()
def info(name: str, as_json: AsJson = False) -> None:
    """Show the facts about a checkpoint, and what to do to use it."""
    from medzoo.zoo.places import next_step
    from medzoo.zoo.registry import info as describe

    checkpoint = describe(name)
    if as_json:
        return _json(checkpoint.to_dict())
    print(f"{checkpoint}\n\nto use it: {next_step(checkpoint)}")
    return None


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
    file: Annotated[Path, typer.Argument(help="the file as its authors published it (of TensorFlow: folder or zip)")],
    name: Annotated[str, typer.Argument(help="the checkpoint it is")],
    out: Annotated[Path | None, typer.Option(help="folder to write; by default where medzoo.load looks")] = None,
) -> None:
    """Turn an upstream file that you have into a verified folder; nothing in the file is run.

    Example: medzoo convert ResNet50.pt resnet50-radimagenet
    """
    from medzoo.zoo.convert import convert as turn

    print(turn(file, name, out=out))


@app.command()
def check(
    names: Annotated[list[str], typer.Argument(help="checkpoints by name, folders, or run folders")],
    hub: Hub = None,
    as_json: AsJson = False,
) -> None:
    """Prove checkpoints that are here: hash, names, shapes, finite numbers, input convention, stored features.

    Example: medzoo check resnet50-radimagenet runs/finetune
    """
    from medzoo.zoo.check import check as prove

    reports = [prove(name, hub=hub) for name in names]
    if as_json:
        _json([report.to_dict() for report in reports])
    else:
        print("\n\n".join(map(str, reports)))
    if not all(report.passed for report in reports):
        raise typer.Exit(1)


Numbers = Annotated[str, typer.Option(help="one number a channel, joined by commas: 0.485,0.456,0.406")]


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="your weights: .pth, .pt, .safetensors, .h5, ...")],
    name: Annotated[str, typer.Argument(help="the new name: <architecture>[-<method>]-<data>")],
    license: Annotated[str, typer.Option(help="licence id of the weights; 'unknown' if nobody stated one")],
    data: Annotated[list[str], typer.Option(help="what it was pre-trained on; repeat in the order of use")],
    mean: Numbers,
    std: Numbers,
    size: Annotated[int, typer.Option(help="side of the input, pixels")] = 224,
    architecture: Annotated[str | None, typer.Option(help="timm's name; by default the name's first token")] = None,
    model: Annotated[str | None, typer.Option(help='keywords of the architecture as JSON: {"num_heads": 12}')] = None,
    format: Annotated[str | None, typer.Option(help="layout of the file; by default told from its names")] = None,
    prefix: Annotated[
        str | None,
        typer.Option(help="where the net's names begin in the file: state_dict.module.; looked for by default"),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="names that are no part of the net, as regular expression")
    ] = None,
    rule: Annotated[str, typer.Option(help="what scales to [0, 1]: unit or per_image_minmax")] = "unit",
    method: Annotated[str | None, typer.Option(help="of the pre-training")] = None,
    modality: Annotated[list[str] | None, typer.Option(help="kind of image it saw; may be repeated")] = None,
    images: Annotated[int | None, typer.Option(help="how many it saw")] = None,
    epochs: Annotated[int | None, typer.Option(help="of the pre-training")] = None,
    init: Annotated[str | None, typer.Option(help="what it started from")] = None,
    license_url: Annotated[str | None, typer.Option(help="where the terms stand")] = None,
    redistributable: Annotated[bool, typer.Option(help="the weights may be published again")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="write over your own older entry of this name")] = False,
) -> None:
    """Give a checkpoint of your own a name, so that load, recipes and tables take it as any other.

    Example: medzoo add best.pth resnet50-simclr-ours --license cc-by-4.0 --data ours
    --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
    """
    from medzoo.zoo.add import add as enter

    keywords = _keywords(model)
    rows = {key: _numbers(text, key) for key, text in (("mean", mean), ("std", std))}
    report = enter(
        file, name, license=license, data=data, mean=rows["mean"], std=rows["std"], size=size, architecture=architecture,
        model_kwargs=keywords, format=format, prefix=prefix, drop=drop or (), rule=rule, method=method, modalities=modality or (),  # type: ignore[arg-type]
        images=images, epochs=epochs, init=init, license_url=license_url, redistributable=redistributable,
        replace_old=replace,
    )  # fmt: skip
    print(f"{report}\n\nto use it: medzoo.load({name!r})")


def _numbers(text: str, key: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--{key} is {text!r}; give numbers joined by commas, for example 0.5,0.5,0.5.") from None


def _keywords(text: str | None) -> dict[str, Any]:
    try:
        rows = json.loads(text or "{}")
    except ValueError as error:
        raise UsageError(f"--model is no JSON: {error}") from None
    if not isinstance(rows, dict):
        raise UsageError('--model is a JSON table, for example {"num_heads": 12}.')
    return rows


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
