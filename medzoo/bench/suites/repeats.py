"""One command for several runs: all folds of a cross-validation, or several draws of a part of the training images."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medzoo.bench import metrics
from medzoo.bench.cell_options import CellOptions
from medzoo.bench.results.folds import fold_facts
from medzoo.bench.results.outcome import Outcome
from medzoo.data.splits.assign import FOLDS
from medzoo.errors import UsageError
from medzoo.training.options.fields import check_values, option
from medzoo.training.options.shared import DATA, open_task


@dataclass(kw_only=True)
class RepeatOptions:
    """Options that repeat a run with other data."""

    folds: str | None = option(
        "run several folds one after another and print their mean: all, numbers such as 0,2,4, or how many folds to make, as in 10",
        section=DATA,
        metavar="all|K|N,N,...",
        shown="one run",
    )
    draws: int | None = option(
        "run this many draws of --per-class or --fraction one after another and print their mean; 10 or more",
        section=DATA,
        metavar="N",
        shown="one run",
        least=2,
        most=1000,
    )


def repeated(options: CellOptions, repeats: RepeatOptions) -> list[CellOptions]:
    """The options of each run; without folds and draws, those of the one run.

    A folder `--out` gets a folder for each run. A run that has finished is found in the store of results, so the same command
    continues after a stop.

    Args:
        options: of the command.
        repeats: of the command.

    Raises:
        UsageError: for folds that the task does not have, and for options that exclude each other.
    """
    check_values(repeats)
    if repeats.folds is None and repeats.draws is None:
        return [options]
    if repeats.folds is not None and repeats.draws is not None:
        raise UsageError(
            "--folds and --draws cannot be averaged together. Remove one of them (--fold N chooses one fold).",
            code="folds-with-draws",
        )
    word: str = "draw"
    numbers: Sequence[int] = range(repeats.draws or 0)
    if repeats.folds is not None:
        options, count = _counted(options, repeats.folds)
        word, numbers = "fold", _folds(options, repeats.folds, count)
    if getattr(options, word) is not None and len(numbers) > 1:
        raise UsageError(
            f"--{word} (one) and --{word}s (several) exclude each other. Remove one.", code="one-and-several"
        )
    if options.replay and len(numbers) > 1:
        raise UsageError(f"--replay repeats one run: give --{word} N instead of --{word}s.", code="one-and-several")
    if options.resume not in ("auto", "never") and len(numbers) > 1:
        raise UsageError(
            f"--resume PATH continues one run: give --{word} N instead of --{word}s.", code="one-and-several"
        )
    runs = [_with(options, word, number) for number in numbers]
    for run in runs:
        run.check()
    return runs


def _with(options: CellOptions, word: str, number: int) -> CellOptions:
    changed: dict[str, Any] = {word: number}
    if options.out is not None:
        changed["out"] = str(Path(options.out) / f"{word}-{number}")
    run = replace(options, **changed)
    run.resolved = dict(options.resolved)
    return run


def _opened(options: CellOptions, fold_count: int | None) -> tuple[CellOptions, int]:
    """The options with a number of folds, and the number that the task has."""
    changed = replace(options, fold_count=fold_count)
    changed.resolved = dict(options.resolved)
    first = replace(changed, fold=0)
    first.check()
    return changed, fold_facts(open_task(first), first)["folds"]["count"]


def _counted(options: CellOptions, text: str) -> tuple[CellOptions, int]:
    """The options with the number of folds of "10", where folds are made, and the number that the task has."""
    wanted = int(text) if text.strip().isdecimal() else 0
    if wanted >= 2 and wanted != FOLDS and options.split_file is None and options.fold_count is None:
        try:
            return _opened(options, wanted)
        except UsageError as error:
            if (
                error.code != "fold-count-of-data"
            ):  # then the folds of the data are counted, and compared with the number
                raise
    return _opened(options, options.fold_count)


def _folds(options: CellOptions, text: str, count: int) -> Sequence[int]:
    """The folds of "all", "5" (the number of folds) or "0,2,4", of `count`."""
    if text == "all":
        return range(count)
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise UsageError(
            f"--folds is {text!r:.80}; give all, or distinct numbers such as 0,2,4.", code="folds-not-numbers"
        )
    numbers = [int(part) for part in parts]
    if len(numbers) == 1 and numbers[0] == count:  # --folds 5: all five of them; with --fold 2, one of the five
        return range(count) if options.fold is None else [options.fold]
    if wrong := [number for number in numbers if number >= count] or (numbers if len(numbers) == 1 else []):
        raise UsageError(
            f"--folds is {text!r:.80}, but the task has {count} folds, 0 to {count - 1}. Give all, or two or more of these "
            f"(--fold {min(wrong[0], count - 1)} runs one).",
            code="fold-out-of-range",
        )
    return numbers


def summary(outcomes: Sequence[Outcome]) -> str:
    """The mean of several runs in a sentence, such as "auroc 0.912 ± 0.010: mean ± sample standard deviation over 5 folds".

    Args:
        outcomes: of the runs, which differ in their fold or draw.
    """
    result = outcomes[0].result
    word = "draws" if result["identity"]["fold"] is None else "folds"
    name, digits = result["metric"], metrics.metric(result["metric"]).digits
    values = [value for outcome in outcomes if (value := outcome.headline) is not None]
    if len(values) < 2:
        return f"{name}: {len(values)} of {len(outcomes)} {word} have a value, so there is no mean."
    number = f"{len(values)}" if len(values) == len(outcomes) else f"{len(values)} of {len(outcomes)}"
    return (
        f"{name} {statistics.fmean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}: mean ± sample standard deviation "
        f"over {number} {word}, seed {result['identity']['seed']}"
    )
