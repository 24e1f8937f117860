"""`medzoo compare`: two checkpoints on a task; the options are those of recipes/compare.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from medzoo.commands.terminal import completion
from medzoo.errors import UsageError

# all words after `compare` go to the parser of recipes, which knows the options of each analysis
ALL_WORDS = {"ignore_unknown_options": True, "help_option_names": []}
HELP = """Compare two checkpoints on a task: representation, predictions, weights, feature space, robustness, gain.

Examples:

    medzoo compare resnet50-imagenet resnet50-barlowtwins-imagenet --task pneumoniamnist
    medzoo compare resnet18-random runs/pneumoniamnist/resnet18-random/RUN --task pneumoniamnist --images 200
    medzoo compare A B --task T --only predictions --results results

A checkpoint is a name, a folder, the run folder of a fine-tuning, hf-hub:org/name, or org/name. All analyses that apply are
made; their rows are added to the store of results, and one HTML report is written (RESULTS/analyses/report, or --out).
Analyses in the store are not made again. recipes/compare.py takes the same options.
"""


def compare(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="A checkpoint is a name, a folder or a run folder: two of them, then options of the recipe",
            autocompletion=completion.checkpoints_or_tasks,
        ),
    ] = None,
) -> None:
    """Compare two checkpoints on a task: representation, predictions, weights, ...; one HTML report.

    Example: medzoo compare resnet50-imagenet resnet50-barlowtwins-imagenet --task pneumoniamnist
    """
    from medzoo.analysis.comparison.compare import compare_checkpoints
    from medzoo.analysis.comparison.options import analysis_options, by_analysis, command_of
    from medzoo.analysis.comparison.report import write_report
    from medzoo.analysis.inputs.options import CompareOptions
    from medzoo.recipe_args import parse

    options, *chosen = parse(
        [CompareOptions, *analysis_options().values()], HELP, _arguments(words or []), program="medzoo compare"
    )
    outcome = compare_checkpoints(options, by_analysis(chosen))
    print(write_report(outcome, options.report_folder, command_of(options, chosen)))


def _arguments(words: Sequence[str]) -> list[str]:
    """The words with the first two as `--checkpoints`.

    >>> _arguments(["a", "b", "--task", "t"])
    ['--checkpoints', 'a', 'b', '--task', 't']
    """
    first = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    if first not in (0, 2):
        raise UsageError(
            f"Give two checkpoints first, then options: medzoo compare A B --task NAME. There are {first}.",
            code="two-checkpoints-needed",
        )
    return [*(["--checkpoints", *words[:2]] if first else []), *words[first:]]
