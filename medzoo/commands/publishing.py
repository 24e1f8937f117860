"""Folders to the Hub, and model cards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medzoo.commands.shared import Hub
from medzoo.errors import UsageError


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


def card(
    names: Annotated[list[str] | None, typer.Argument(help="folders, run folders, or checkpoints by name")] = None,
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
    from medzoo.zoo import cards
    from medzoo.zoo.card_checks import problems
    from medzoo.zoo.registry import info
    from medzoo.zoo.registry import names as all_names

    if check:
        texts = {name: cards.card_of(name) for name in names or ()}
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
        print(cards.card_of(name))
