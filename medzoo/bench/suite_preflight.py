"""The output of a suite before its first run: its first line, and problems that can be predicted."""

from __future__ import annotations

from medzoo import cores, progress
from medzoo.bench.cell_options import protocol_of
from medzoo.bench.label_checks import check_labels
from medzoo.bench.suite import Suite, repeats_of
from medzoo.bench.suite_options import Places, cell_options
from medzoo.bench.suites.axes import DRAWS
from medzoo.errors import MedzooError, listed
from medzoo.precision import device_kind, emulated
from medzoo.training.options.protocol import chosen_precision
from medzoo.training.options.shared import open_task


def foreseen(suite: Suite, places: Places) -> list[str]:
    """Problems of a suite's tasks that are known before the training: missing data, and labels with undefined metrics.

    Args:
        suite: the suite.
        places: its folders.
    """
    problems: list[str] = []
    said: set[tuple[str, ...]] = set()  # columns of one data set have the same notes
    for task in suite.tasks:
        cell = next(cell for cell in suite.cells() if cell.task == task["name"] and cell.title == task["title"])
        try:
            options = cell_options(suite, cell, places)
            opened = open_task(options)
            problems += check_labels(opened, selects=protocol_of(options, cell.mode).uses_metric)
            if opened.notes and opened.notes not in said:
                said.add(opened.notes)
                progress.say(f"data of {cell.title}: {'; '.join(opened.notes)}")
        except MedzooError as error:
            problems.append(f"The runs on {cell.title} will fail: {type(error).__name__}: {error}")
    return list(dict.fromkeys(problems))


def say_first(suite: Suite, places: Places, begun: bool) -> None:
    """Print the first line of a suite.

    Args:
        suite: the suite.
        places: its folders and its precision.
        begun: whether the folder already had this precision.
    """
    threads, device = cores.choose_threads(), device_kind(str(places.common.get("device", "auto")))
    by_protocol = sorted({chosen_precision(name, suite.mode) for name in suite.protocols})
    words = places.precision or f"{', '.join(by_protocol)} by protocol"
    counted = progress.counted
    parts = [("checkpoint", len(suite.checkpoints)), ("column", len(suite.tasks)), ("seed", len(suite.seeds))]
    repeated = [repeats_of(task) for task in suite.tasks]
    most = {word: max((len(rows) for rows in repeated if word in rows[0]), default=0) for word in ("fold", "draw")}
    parts += [(word, number) for word, number in most.items() if number]
    progress.say(
        f"suite {suite.name}: folder {places.runs.parent}; device {device}, precision {words}{' (as before)' * begun}, "
        f"{counted(threads.count, 'thread')} ({threads.why}); {counted(len(suite.pretrain), 'pre-training')}, "
        f"{counted(len(suite.cells()), 'run')}: {' x '.join(counted(number, word) for word, number in parts)}"
    )
    few = [str(task["title"]) for task in suite.tasks if "draws" in task and task["draws"] < DRAWS]
    if few:
        progress.warn(
            f"Fewer than {DRAWS} draws for {listed(few, 3)}: mean and deviation depend much on the draws. Set draws = {DRAWS} "
            "or more."
        )
    if places.precision is not None and (sentence := emulated(places.precision, device, kept=begun)):
        progress.warn(sentence)
