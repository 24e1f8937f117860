"""Publish folders to the Hub, and print model cards."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from medzoo.commands.common import Hub, Private
from medzoo.commands.terminal import completion
from medzoo.errors import UsageError


def push(
    folder: Annotated[Path, typer.Argument(help="a checkpoint's folder, or a run folder")],
    repo_id: Annotated[str, typer.Argument(help="org/name")],
    license: Annotated[
        str | None,
        typer.Option(help="licence for a folder without one: SPDX or Hub id; the local folder does not change"),
    ] = None,
    license_url: Annotated[str | None, typer.Option(help="URL of the terms of that licence")] = None,
    replace_license: Annotated[
        bool, typer.Option("--replace-license", help="use --license even if the folder has another licence")
    ] = False,
    hub: Hub = None,
    private: Private = None,
    revision: Annotated[str | None, typer.Option(help="branch to commit to; by default main")] = None,
    pr: Annotated[bool, typer.Option("--pr", help="open a pull request instead of committing")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only show the files and the card that would be uploaded")
    ] = False,
) -> None:
    """Publish a folder to the Hub in one commit, or copy it to a directory hub; a repeated push changes nothing.

    Example: medzoo push runs/finetune lab/resnet50-ours --license cc-by-4.0 --dry-run
    """
    from medzoo.zoo.publish.push import plan_push, pushed

    if license_url and license is None:
        raise UsageError("--license-url needs --license ID.", code="license-url-without-license")
    terms = None if license is None else {"id": license, "url": license_url}
    if dry_run:
        plan = plan_push(folder, repo_id, license=terms, replace_license=replace_license, hub=hub)
        print(plan.describe())
        return
    done = pushed(
        folder,
        repo_id,
        license=terms,
        replace_license=replace_license,
        private=private,
        revision=revision,
        create_pr=pr,
        hub=hub,
    )
    print(f"{done.address}{' (unchanged; nothing was written)' if done.unchanged else ''}")


def publish(
    name: Annotated[str, typer.Argument(help="a checkpoint of the registry", autocompletion=completion.checkpoints)],
    repo: Annotated[str | None, typer.Option(help="org/name; by default medzoo/NAME")] = None,
    license_file: Annotated[Path | None, typer.Option(help="the licence text (required by MIT and BSD)")] = None,
    private: Private = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only show the files and the card that would be uploaded")
    ] = False,
) -> None:
    """Publish a registry checkpoint under its licence terms, and pin the commit in its facts (for maintainers).

    Example: medzoo publish resnet50-swav-imagenet --dry-run
    """
    from medzoo.zoo.publish.publish import publish as release

    done = release(name, repo=repo, license_file=license_file, private=private, dry_run=dry_run)
    if done.pushed is None:
        print(done.upload.describe())
        return
    print(f"{done.pushed.address}{' (unchanged)' if done.pushed.unchanged else ''}")
    for path in done.written:
        print(path)


def card(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="folders, run folders, or checkpoints by name", autocompletion=completion.checkpoints),
    ] = None,
    hub: Hub = None,
    results: Annotated[
        Path | None,
        typer.Option(
            help="a store of results: with --write or --check, the scores in the cards are those of the store"
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="only check: these cards, or all cards in model_cards")
    ] = False,
    write: Annotated[
        bool,
        typer.Option(
            "--write",
            help="write model_cards/NAME.md of these checkpoints, or of all (in a checkout); with --results, write the scores "
            "into config.json and README.md of these folders",
        ),
    ] = False,
) -> None:
    """Print model cards, or check them against the registry; the Hub is not contacted.

    With --results, the scores of a folder's card come from stored results: mean over seeds with a 95 % interval. --check ends
    with exit code 1 if a card has other scores.

    Example: medzoo card resnet50-radimagenet; medzoo card --check; medzoo card runs/ct --results results --write
    """
    from medzoo.zoo.folder import card as cards
    from medzoo.zoo.folder.card_checks import problems
    from medzoo.zoo.registry.registry import info
    from medzoo.zoo.registry.registry import names as all_names

    if results is not None:
        return _scores(names or [], results, hub, check=check, write=write)
    if check:
        texts = {name: cards.card_of(name, hub=hub) for name in names or ()}
        if not names:
            texts = {path.name: path.read_text(encoding="utf-8") for path in cards.committed_cards().values()}
        lines = [f"{name}: {problem}" for name, text in texts.items() for problem in problems(text)]
        lines += [] if names else cards.untrue_cards()
        print("\n".join(lines) or f"{len(texts)} cards are correct")
        raise typer.Exit(1 if lines else 0)
    if write:
        for name in names or all_names():
            print(cards.write_card(info(name)))
        return None
    if not names:
        raise UsageError("Name a folder or a checkpoint, or use --check or --write.", code="card-names-missing")
    for name in names:
        print(cards.card_of(name, hub=hub))
    return None


def _scores(names: list[str], results: Path, hub: Path | None, *, check: bool, write: bool) -> None:
    """Write the scores of stored results into the cards of folders, or compare them."""
    from medzoo.bench.table.card_rows import card_rows
    from medzoo.zoo.folder.card_edit import differing_results, write_results
    from medzoo.zoo.registry.locations import folder_of

    if not results.is_dir():
        raise UsageError(f"{results} is not a folder. Give a store of results.", code="not-a-folder")
    if check == write or not names:
        raise UsageError(
            "--results needs the folders of checkpoints, and --write or --check: medzoo card FOLDER --results results --write",
            code="card-names-missing",
        )
    differing = False
    for name in names:
        folder = folder_of(name, hub)
        if folder is None:
            raise UsageError(f"{name} is not a folder of a checkpoint.", code="not-a-checkpoint-folder")
        found = card_rows(results, str(folder), hub=hub)
        for line in found.left_out:
            print(f"{name}: no score for {line}", file=sys.stderr)
        if check:
            lines = differing_results(folder, found.rows)
            differing |= bool(lines)
            print("\n".join(f"{name}: {line}" for line in lines) or f"{name}: the scores are those of {results}")
        else:
            changed = write_results(folder, found.rows)
            print(f"{folder / 'README.md'}: {len(found.rows)} scores{'' if changed else ' (unchanged)'}")
    if differing:
        raise typer.Exit(1)
