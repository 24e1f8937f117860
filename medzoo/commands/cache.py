"""What medzoo keeps on this machine: `medzoo cache list|verify|prune`."""

from __future__ import annotations

from typing import Annotated

import typer

from medzoo.commands.common import AsJson, print_json

Names = Annotated[list[str] | None, typer.Argument(help="checkpoints or repositories; by default all")]


def list_(as_json: AsJson = False) -> None:
    """List what lies in MEDZOO_HOME, with sizes: checkpoints, decoded images, features.

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
    """Hash checkpoints and decoded images again and compare with what they state; exit 1 if one is damaged.

    Example: medzoo cache verify resnet50-radimagenet
    """
    from medzoo.errors import UsageError
    from medzoo.zoo.cache import list_cached, verify_cached

    items = [item for item in list_cached() if not names or item.name in names or item.name.partition("@")[0] in names]
    found = {part for item in items for part in (item.name, item.name.partition("@")[0])}
    if missing := [name for name in names or () if name not in found]:
        raise UsageError(f"There is no {', '.join(missing)} in the cache; `medzoo cache list` shows what is.")
    rows = []
    for verdict in verify_cached(items):
        rows.append(verdict)
        if not as_json:
            print(f"{verdict.result}  {verdict.item.name}  {verdict.detail}", flush=True)
    if as_json:
        print_json([{**row.item.to_dict(), "result": row.result, "detail": row.detail} for row in rows])
    raise typer.Exit(1 if any(row.result == "FAIL" for row in rows) else 0)


def prune(
    names: Annotated[list[str] | None, typer.Argument(help="checkpoints or repositories to remove as well")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False,
) -> None:
    """Remove what is left over (unfinished files of yesterday, dead locks), and what you name.

    Example: medzoo cache prune resnet50-mocov2-imagenet --dry-run
    """
    from medzoo.zoo.cache import prune as remove

    gone = remove(names or (), dry_run=dry_run)
    for item in gone:
        print(f"{item.kind:<14}  {item.name}")
    word = "would be freed" if dry_run else "freed"
    print(f"{sum(item.size for item in gone) / 1e6:,.1f} MB {word}")
