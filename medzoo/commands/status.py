"""`medzoo status`: how far a suite is, on all machines that work on it."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from medzoo.commands.common import AsJson, print_json


def status(
    out: Annotated[Path, typer.Argument(help="folder of a suite (--out of recipes/benchmark.py)")],
    watch: Annotated[
        float, typer.Option(min=0, max=86_400, help="print again every N seconds until all runs are over; 0: once")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Show how far a suite is: runs that are done, running, stale, failed or waiting, its workers, and the time left.

    Example: medzoo status runs/real_small --watch 30
    """
    from medzoo.bench.campaign.status import STATES, campaign_state

    while True:
        state = campaign_state(out)
        if as_json:
            print_json({**asdict(state), "counts": {name: state.count(name) for name in STATES}})
        else:
            print(state, flush=True)
        if not watch or state.count("done") + state.count("failed") == len(state.runs):
            return
        time.sleep(watch)
