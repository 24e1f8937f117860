"""This machine: whether medzoo works on it (`medzoo doctor`), and its files (`medzoo cache list|verify|prune`)."""

from __future__ import annotations

from typing import Annotated

import typer

from medzoo.commands.common import AsJson, print_json
from medzoo.commands.terminal import completion

Names = Annotated[
    list[str] | None,
    typer.Argument(help="checkpoints or repositories; by default all", autocompletion=completion.cached),
]


def list_(as_json: AsJson = False) -> None:
    """List the content of MEDZOO_HOME with sizes: checkpoints, decoded images, features.

    Example: medzoo cache list --json
    """
    from medzoo import paths
    from medzoo.zoo.cache import list_cached

    items = list_cached()
    if as_json:
        return print_json([item.to_dict() for item in items])
    for item in items:
        note = "" if item.whole else "  (unfinished)"
        print(f"{item.size / 1e6:>10,.1f} MB  {item.kind:<14}  {item.name}{note}")
    print(f"{sum(item.size for item in items) / 1e6:>10,.1f} MB in {paths.home()}")
    return None


def verify(names: Names = None, as_json: AsJson = False) -> None:
    """Hash checkpoints and decoded images again and compare with their recorded hashes; exit 1 if one is damaged.

    Example: medzoo cache verify resnet50-radimagenet
    """
    from medzoo.errors import UsageError
    from medzoo.zoo.cache import list_cached, verify_cached

    items = [item for item in list_cached() if not names or item.name in names or item.name.partition("@")[0] in names]
    known = {part for item in items for part in (item.name, item.name.partition("@")[0])}
    if missing := [name for name in names or () if name not in known]:
        raise UsageError(
            f"The cache does not contain {', '.join(missing)}; `medzoo cache list` shows its content.",
            code="not-in-cache",
        )
    rows = []
    for verdict in verify_cached(items):
        rows.append(verdict)
        if not as_json:
            print(f"{verdict.result}  {verdict.item.name}  {verdict.detail}", flush=True)
    if as_json:
        print_json([{**row.item.to_dict(), "result": row.result, "detail": row.detail} for row in rows])
    raise typer.Exit(1 if any(row.result == "FAIL" for row in rows) else 0)


def prune(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="checkpoints or repositories to remove as well", autocompletion=completion.cached),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only list what would be removed")] = False,
) -> None:
    """Remove leftovers (unfinished files older than a day, dead locks), and the items that you name.

    Example: medzoo cache prune resnet50-mocov2-imagenet --dry-run
    """
    from medzoo.zoo.cache import prune as remove

    removed = remove(names or (), dry_run=dry_run)
    for item in removed:
        print(f"{item.kind:<14}  {item.name}")
    word = "would be freed" if dry_run else "freed"
    print(f"{sum(item.size for item in removed) / 1e6:,.1f} MB {word}")


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="make no network connection")] = False,
    as_json: AsJson = False,
) -> None:
    """Check whether medzoo works on this machine and which checkpoints can be used, and say how to fix problems.

    Example: medzoo doctor --offline

    You can paste the output into an issue: it contains no host name, no user name and no token.
    """
    from rich.console import Console
    from rich.text import Text

    from medzoo.zoo.doctor.doctor import diagnose

    screen = Console(highlight=False)
    with Console(stderr=True).status("Checking this machine (importing torch takes a few seconds)"):
        report = diagnose(offline=offline)
    if as_json:
        print_json(report.to_dict())
    else:
        text = Text(report.to_text(min(screen.width, 120) if screen.is_terminal else 110))
        for word, colour in (("PASS", "green"), ("WARN", "yellow"), ("FAIL", "bold red"), (" +fix: .*", "cyan")):
            text.highlight_regex(rf"(?m)^{word}", colour)
        screen.print(text, soft_wrap=True)
    if not report.passed:
        raise typer.Exit(1)
