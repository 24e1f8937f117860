"""The full workflow on small synthetic images: pre-train, continue, publish to a directory, fine-tune, tabulate."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo import paths, progress

if TYPE_CHECKING:
    from medzoo.bench.table.table import Table


def demo(out: Path, *, device: str = "auto") -> Table:
    """Run recipes/suites/demo.toml: three pre-trainings, then four checkpoints on two tasks with three seeds.

    Args:
        out: folder for runs, results, the directory hub and the table.
        device: "auto" or "cpu".

    Returns:
        The table; table.md, .html, .png, .csv, .tex and .parquet are in `out`.
    """
    from medzoo.bench.engines import fill_table
    from medzoo.bench.suite_options import hub_name
    from medzoo.bench.suites.read import load_suite
    from medzoo.errors import MedzooError
    from medzoo.zoo.loading.load import load

    started = time.monotonic()
    suite = load_suite(paths.data_dir("recipes") / "suites" / "demo.toml")
    filled = fill_table(suite, out, device=device)
    print(filled.table.to_text(progress.output_width()))
    hub = out / "hub"
    for step in suite.pretrain:
        name = hub_name(suite, str(step["name"]))
        receipt: Any = load(name, hub=hub).load_receipt
        print(f"medzoo.load({name!r}, hub={str(hub)!r})  # {receipt.sha256[:12]}, {hub / name / 'README.md'}")
    for file in filled.files.values():
        print(file)
    print(
        f"{len(filled.outcomes)} runs in {time.monotonic() - started:.0f} s; every number is a file below {out / 'results'}"
    )
    if filled.failures:
        raise MedzooError("\n".join(["These runs failed:", *filled.failures]), code="runs-failed")
    return filled.table
