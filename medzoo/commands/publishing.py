"""Folders to the Hub, and model cards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medzoo.commands.shared import Hub


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


def card(folder_or_name: str) -> None:
    """Print the model card of a folder or a checkpoint."""
    from medzoo.zoo.cards import card_of

    print(card_of(folder_or_name))
