"""Fill a table: run every missing run of a suite, then write table.md, table.html and table.png from the results.

    python recipes/benchmark.py recipes/suites/mini.toml
    python recipes/benchmark.py recipes/suites/real_small.toml --root DATA --out runs/real_small

A suite names checkpoints, tasks, seeds and a protocol, and may pre-train its own checkpoints first (they lie in
OUT/hub, loadable by name with --hub OUT/hub). Runs whose result is in the store are not repeated; stop it whenever
you like, the same command goes on, in the precision that OUT began with. Exit code 1 if a run failed; the table is written all the same.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medzoo.arguments import parse, run_main
from medzoo.bench.engines import fill_table
from medzoo.bench.suite import load_suite
from medzoo.errors import MedzooError, UsageError
from medzoo.training.options import option


@dataclass
class Options:
    """Options of filling a table."""

    suite: str = option("the suite's TOML file (may stand first, without --suite)", "")
    root: str | None = option("folder against which the suite's data paths are read")
    out: str | None = option("folder of runs, results, hub and table (default: runs/SUITE)")
    engine: Literal["local"] = option("where runs take place", "local")
    device: str = option("auto or cpu", "auto")
    dry_run: bool = option("only list what is missing", False)


def main() -> None:
    """Parse, fill, write the table, say where it is."""
    import sys

    arguments = sys.argv[1:]
    if arguments and not arguments[0].startswith("-"):
        arguments = ["--suite", *arguments]
    (options,) = parse([Options], __doc__, arguments)
    if not options.suite:
        raise UsageError("Name a suite: python recipes/benchmark.py recipes/suites/mini.toml")
    suite = load_suite(Path(options.suite), root=options.root)
    out = Path(options.out or Path("runs") / suite.name)
    if options.dry_run:
        for cell in suite.cells():
            print(f"{cell.label} on {cell.title}, seed {cell.seed}")
        return
    filled = fill_table(suite, out, device=options.device)
    print(filled.table.to_text())
    known = sum(outcome.cached for outcome in filled.outcomes)
    print(f"{len(filled.outcomes)} results, {known} of them from the store; table: {filled.files['html']}")
    if filled.failures:
        raise MedzooError("\n".join(["These runs failed:", *filled.failures]))


if __name__ == "__main__":
    run_main(main)
