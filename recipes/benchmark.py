"""Fill a table: do all missing runs of a suite, then write table.md, .html, .png, .csv, .tex and .parquet.

    python recipes/benchmark.py recipes/suites/mini.toml    # or its name: mini
    python recipes/benchmark.py recipes/suites/real_small.toml --root DATA --out runs/real_small
    python recipes/benchmark.py recipes/suites/real_small.toml --root DATA --engine slurm --workers 8 --partition gpu

A suite names checkpoints, tasks, seeds and a protocol, and can pre-train its own checkpoints first (they are in OUT/hub, and
load by name with --hub OUT/hub). Runs whose result is in the store are not repeated. You can stop at any time: the same
command continues, in the precision of the first start. --workers N computes N runs at a time. Several machines with one disk
can run the same command at the same time: each takes runs that no other has, and `medzoo status OUT` shows all of them.
--engine slurm submits N workers as one array job, and --engine parsl gives them to Parsl; this command then prepares weights
and images, and follows the workers. With Slurm it can be stopped and repeated while they work; with Parsl they end with it.
Results do not depend on the engine. --pretrain-only does the pre-trainings and ends, as a job with GPUs before such a
command. --dry-run lists the missing runs, and what the table will be able to show, without training, decoding or downloading.
The exit code is 1 if a run failed; the table is written in any case. MEDZOO_ACCEPT_LICENSE=NAME,NAME accepts terms of weights.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medzoo.bench.campaign.open_scheduler import open_scheduler
from medzoo.bench.campaign.slurm_options import SlurmOptions
from medzoo.bench.dry_run import missing_of
from medzoo.bench.engines import fill_table, pretrain_only
from medzoo.bench.suite_options import places_of
from medzoo.bench.suites.read import load_suite
from medzoo.errors import MedzooError, UsageError
from medzoo.progress import output_width
from medzoo.recipe_args import parse, run_main
from medzoo.training.options.fields import check_values, option
from medzoo.training.options.shared import DEVICE, OUTPUT, RUN, check_device, check_folder, check_place


@dataclass
class Options:
    """Options of filling a table."""

    suite: str = option(
        "file or name (can be the first argument, without --suite)", "", section=RUN, metavar="FILE", required=True
    )
    root: str | None = option(
        "folder of the suite's relative data paths", section=RUN, metavar="DIR", shown="the working folder"
    )
    hub: str | None = option(
        "directory hub for checkpoints that the suite does not train", section=RUN, metavar="DIR", shown="MEDZOO_HUB"
    )
    dry_run: bool = option("only list the missing runs", False, section=RUN)
    pretrain_only: bool = option("only do the pre-trainings of the suite", False, section=RUN)
    engine: Literal["local", "slurm", "parsl"] = option(
        "what starts the workers: this command itself on this machine, Slurm, or Parsl", "local", section=DEVICE
    )
    workers: int = option(
        "processes that compute runs, each with its share of the cores or with one GPU; more than there are GPUs share them",
        1,
        section=DEVICE,
        metavar="N",
        least=1,
        most=256,
    )
    device: str = option("auto uses a GPU if there is one", "auto", section=DEVICE, metavar="auto|cpu")
    parsl_config: str | None = option(
        "your Python file with Parsl's `config` object, which is executed (only with --engine parsl)",
        section=DEVICE,
        metavar="FILE",
        shown="processes of this machine",
    )
    out: str | None = option("folder of all outputs", section=OUTPUT, metavar="DIR", shown="runs/SUITE")

    def check(self) -> None:
        """Refuse invalid options before anything is read."""
        check_values(self)
        check_device(self.device)
        check_folder(self.root, "--root")
        check_folder(self.hub, "--hub")
        if self.pretrain_only and self.engine != "local":
            raise UsageError("--pretrain-only works on this machine: leave out --engine.", code="pretrain-only-engine")
        if self.parsl_config is not None and self.engine != "parsl":
            raise UsageError("--parsl-config needs --engine parsl.", code="parsl-config-unused")
        if self.out is not None:
            check_place(self.out, "--out")


def main() -> None:
    """Parse the options, fill the table, print where it is."""
    import sys

    arguments = sys.argv[1:]
    if arguments and not arguments[0].startswith("-"):
        arguments = ["--suite", *arguments]
    options, of_slurm = parse([Options, SlurmOptions], __doc__, arguments)
    if not options.suite:
        raise UsageError("Name a suite: python recipes/benchmark.py recipes/suites/mini.toml", code="suite-missing")
    options.check()
    of_slurm.check()
    if options.engine != "slurm" and of_slurm != SlurmOptions():
        raise UsageError("Options of the section Slurm need --engine slurm.", code="slurm-options-unused")
    suite = load_suite(Path(options.suite), root=options.root)
    out = Path(options.out or Path("runs") / suite.name).expanduser()
    if options.dry_run:
        print(missing_of(suite, places_of(suite, out, device=options.device, hub=options.hub)))
        return
    device, workers = options.device, options.workers
    if options.pretrain_only:
        print("\n".join(pretrain_only(suite, out, device=device, hub=options.hub, workers=workers)))
        return
    scheduler = open_scheduler(
        options.engine, out, of_slurm, device=device, workers=workers, parsl_config=options.parsl_config
    )
    filled = fill_table(suite, out, device=device, hub=options.hub, workers=workers, scheduler=scheduler)
    print(filled.table.to_text(output_width()))
    cached = sum(outcome.cached for outcome in filled.outcomes)
    print(f"{len(filled.outcomes)} results, {cached} of them from the store; table: {filled.files['html']}")
    if filled.failures:
        raise MedzooError("\n".join(["These runs failed:", *filled.failures]), code="runs-failed")


if __name__ == "__main__":
    run_main(main)
