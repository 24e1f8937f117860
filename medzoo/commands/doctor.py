"""`medzoo doctor`: whether medzoo works on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from medzoo.commands.common import AsJson, print_json


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
