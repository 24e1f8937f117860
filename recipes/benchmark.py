"""Fill a table: run every missing run of a suite, then write table.md, table.html and table.png from the results.

    python recipes/benchmark.py recipes/suites/mini.toml
    python recipes/benchmark.py recipes/suites/real_small.toml --root DATA --out runs/real_small

A suite names checkpoints, tasks, seeds and a protocol, and may pre-train its own checkpoints first (they lie in
OUT/hub, loadable by name with --hub OUT/hub). Runs whose result is in the store are not repeated; stop it whenever
you like, the same command goes on, in the precision that OUT began with. --dry-run lists what is missing: nothing is
trained, decoded or downloaded for that. Exit code 1 if a run failed; the table is written all the same.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medzoo.bench.dry_run import missing_of
from medzoo.bench.engines import fill_table
from medzoo.bench.suite import load_suite
from medzoo.bench.suite_options import places_of
from medzoo.errors import MedzooError, UsageError
from medzoo.recipe_args import parse, run_main
from medzoo.training.options.fields import check_values, option
from medzoo.training.options.shared import DEVICE, OUTPUT, RUN, check_device, check_folder, check_place


@dataclass
class Options:
    """Options of filling a table."""

    suite: str = option(
        "the suite's TOML file (may stand first, without --suite)", "", section=RUN, metavar="FILE", required=True
    )
    root: str | None = option(
        "folder against which the suite's data paths are read", section=RUN, metavar="DIR", shown="the working folder"
    )
    hub: str | None = option(
        "directory that plays the Hub, for checkpoints that are not the suite's own", section=RUN, metavar="DIR",
        shown="MEDZOO_HUB",
    )  # fmt: skip
    dry_run: bool = option("only list what is missing", False, section=RUN)
    engine: Literal["local"] = option("where runs take place", "local", section=DEVICE)
    device: str = option("auto takes a GPU if there is one", "auto", section=DEVICE, metavar="auto|cpu")
    out: str | None = option(
        "folder of runs, results, hub and table", section=OUTPUT, metavar="DIR", shown="runs/SUITE"
    )

    def check(self) -> None:
        """Refuse what cannot work, before anything is read."""
        check_values(self)
        check_device(self.device)
        check_folder(self.root, "--root")
        check_folder(self.hub, "--hub")
        if self.out is not None:
            check_place(self.out, "--out")


def main() -> None:
    """Parse, fill, write the table, say where it is."""
    import sys

    arguments = sys.argv[1:]
    if arguments and not arguments[0].startswith("-"):
        arguments = ["--suite", *arguments]
    (options,) = parse([Options], __doc__, arguments)
    if not options.suite:
        raise UsageError("Name a suite: python recipes/benchmark.py recipes/suites/mini.toml")
    options.check()
    suite = load_suite(Path(options.suite), root=options.root)
    out = Path(options.out or Path("runs") / suite.name).expanduser()
    if options.dry_run:
        print(missing_of(suite, places_of(suite, out, device=options.device, hub=options.hub)))
        return
    filled = fill_table(suite, out, device=options.device, hub=options.hub)
    print(filled.table.to_text())
    known = sum(outcome.cached for outcome in filled.outcomes)
    print(f"{len(filled.outcomes)} results, {known} of them from the store; table: {filled.files['html']}")
    if filled.failures:
        raise MedzooError("\n".join(["These runs failed:", *filled.failures]))


if __name__ == "__main__":
    run_main(main)
