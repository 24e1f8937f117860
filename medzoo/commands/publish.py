"""Folders to the Hub, and model cards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medzoo.commands.common import Hub, Private
from medzoo.errors import UsageError


def push(
    folder: Annotated[Path, typer.Argument(help="a checkpoint's folder, or a run folder")],
    repo_id: Annotated[str, typer.Argument(help="org/name")],
    license: Annotated[
        str | None,
        typer.Option(help="licence of a folder that states none: SPDX or Hub id; the folder here stays as it is"),
    ] = None,
    license_url: Annotated[str | None, typer.Option(help="where the terms of that licence stand")] = None,
    replace_license: Annotated[
        bool, typer.Option("--replace-license", help="take --license also where the folder states another one")
    ] = False,
    hub: Hub = None,
    private: Private = None,
    revision: Annotated[str | None, typer.Option(help="branch to commit to; by default main")] = None,
    pr: Annotated[bool, typer.Option("--pr", help="open a pull request instead of committing")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only show the files and the card that would go up")
    ] = False,
) -> None:
    """Publish a folder to the Hub in one commit, or copy it to a directory hub; the same again changes nothing.

    Example: medzoo push runs/finetune lab/resnet50-ours --license cc-by-4.0 --dry-run
    """
    from medzoo.zoo.publish.push import plan_push, pushed

    if license_url and license is None:
        raise UsageError("--license-url goes with --license ID.")
    terms = None if license is None else {"id": license, "url": license_url}
    if dry_run:
        shown = plan_push(folder, repo_id, license=terms, replace_license=replace_license, hub=hub)
        print(shown.describe())
        return
    done = pushed(
        folder, repo_id, license=terms, replace_license=replace_license, private=private, revision=revision, create_pr=pr,
        hub=hub,
    )  # fmt: skip
    print(f"{done.address}{' (was there already; nothing was written)' if done.unchanged else ''}")


def publish(
    name: Annotated[str, typer.Argument(help="a checkpoint of the registry")],
    repo: Annotated[str | None, typer.Option(help="org/name; by default medzoo/NAME")] = None,
    license_file: Annotated[Path | None, typer.Option(help="the licence's text (MIT and BSD ask for it)")] = None,
    private: Private = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only show the files and the card that would go up")
    ] = False,
) -> None:
    """Publish a named checkpoint as its licence asks, and pin the commit in its facts (for those who keep the registry).

    Example: medzoo publish resnet50-swav-imagenet --dry-run
    """
    from medzoo.zoo.publish.publish import publish as release

    done = release(name, repo=repo, license_file=license_file, private=private, dry_run=dry_run)
    if done.pushed is None:
        print(done.upload.describe())
        return
    print(f"{done.pushed.address}{' (was there already)' if done.pushed.unchanged else ''}")
    for path in done.written:
        print(path)


def card(
    names: Annotated[list[str] | None, typer.Argument(help="folders, run folders, or checkpoints by name")] = None,
    hub: Hub = None,
    check: Annotated[
        bool, typer.Option("--check", help="only judge: these cards, or all that stand in model_cards")
    ] = False,
    write: Annotated[
        bool, typer.Option("--write", help="write model_cards/NAME.md of these checkpoints, or of all (in a checkout)")
    ] = False,
) -> None:
    """Print model cards, or hold them to their facts; nothing is asked of the Hub.

    Example: medzoo card resnet50-radimagenet; medzoo card --check
    """
    from medzoo.zoo.folder import card as cards
    from medzoo.zoo.folder.card_checks import problems
    from medzoo.zoo.registry.registry import info
    from medzoo.zoo.registry.registry import names as all_names

    if check:
        texts = {name: cards.card_of(name, hub=hub) for name in names or ()}
        if not names:
            texts = {path.name: path.read_text(encoding="utf-8") for path in cards.committed_cards().values()}
        found = [f"{name}: {problem}" for name, text in texts.items() for problem in problems(text)]
        found += [] if names else cards.untrue_cards()
        print("\n".join(found) or f"{len(texts)} cards hold")
        raise typer.Exit(1 if found else 0)
    if write:
        for name in names or all_names():
            print(cards.write_card(info(name)))
        return
    if not names:
        raise UsageError("Name a folder or a checkpoint, or use --check or --write.")
    for name in names:
        print(cards.card_of(name, hub=hub))
