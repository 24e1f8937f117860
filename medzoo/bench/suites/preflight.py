"""A suite before its first run: its baseline for segmentations, its first line, and problems that can be predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from medzoo import cores, progress
from medzoo.bench.cell_options import protocol_of
from medzoo.bench.label_checks import check_labels
from medzoo.bench.segmentation.steps import PLAIN_UNET
from medzoo.bench.suite import Suite, SuiteCell, repeats_of
from medzoo.bench.suite_options import Places, cell_options
from medzoo.bench.suites.axes import DRAWS
from medzoo.data.task_registry import task_info
from medzoo.errors import MedzooError, listed
from medzoo.precision import device_kind, emulated
from medzoo.training.options.protocol import chosen_precision
from medzoo.training.options.shared import open_task

UNET_LABEL = "plain U-Net from scratch"
Kinds = Mapping[str, str | None]


def kinds_of(suite: Suite, places: Places) -> Kinds:
    """The kind of each task by its title; None where data of the user cannot be opened, so that its runs will fail.

    Args:
        suite: the suite.
        places: its folders.
    """
    kinds: dict[str, str | None] = {}
    for task in suite.tasks:
        try:
            if ":" in task["name"]:
                cell = next(cell for cell in suite.cells() if cell.title == task["title"])
                kinds[task["title"]] = open_task(cell_options(suite, cell, places)).kind
            else:
                kinds[task["title"]] = task_info(task["name"]).kind
        except MedzooError:
            kinds[task["title"]] = None
    return kinds


def with_baseline(suite: Suite, kinds: Kinds) -> Suite:
    """The suite with the plain U-Net as its last row, if it fine-tunes on masks and does not name it itself.

    Without this row, a table does not show what pre-training adds to a usual network with the same budget.

    Args:
        suite: the suite.
        kinds: of its tasks.
    """
    named = [name for name, _ in suite.checkpoints]
    if not _trained_on_masks(suite, kinds) or set(named) & set(PLAIN_UNET):
        return suite
    return replace(suite, checkpoints=(*suite.checkpoints, (PLAIN_UNET[0], UNET_LABEL)))


def say_added(kinds: Kinds) -> None:
    """Print that `with_baseline` has added a row.

    Args:
        kinds: of the tasks.
    """
    masked = listed(title for title, kind in kinds.items() if kind == "segmentation")
    progress.say(f"row {UNET_LABEL!r} ({PLAIN_UNET[0]}): added, as the baseline of {masked}: tasks with masks need one")


def runs_of(suite: Suite, kinds: Kinds) -> list[SuiteCell]:
    """The runs of a suite; where it also has tasks with masks, the plain U-Net has no run on those with labels, and no probe.

    Args:
        suite: the suite.
        kinds: of its tasks.
    """
    if "segmentation" not in kinds.values():
        return suite.cells()
    probed = {str(task["title"]) for task in suite.tasks} - set(_trained_on_masks(suite, kinds))
    return [
        cell
        for cell in suite.cells()
        if cell.checkpoint not in PLAIN_UNET or cell.title not in probed or kinds[cell.title] is None
    ]


def _trained_on_masks(suite: Suite, kinds: Kinds) -> list[str]:
    """The titles of the tasks with masks that are fine-tuned."""
    titles = [str(task["title"]) for task in suite.tasks if suite.mode_of(task) == "finetune"]
    return [title for title in titles if kinds[title] == "segmentation"]


def baseline_notes(suite: Suite, kinds: Kinds) -> list[str]:
    """Footnotes that explain the empty cells of the plain U-Net.

    Args:
        suite: the suite.
        kinds: of its tasks.
    """
    left = {cell.title for cell in suite.cells()} - {
        cell.title for cell in runs_of(suite, kinds) if cell.checkpoint in PLAIN_UNET
    }
    label = next((label for name, label in suite.checkpoints if name in PLAIN_UNET), None)
    if label is None or not left or "segmentation" not in kinds.values():
        return []
    return [f"{label}: the baseline of segmentations only; it has no run on {listed(sorted(left))}."]


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
            problems += check_labels(opened, selects=protocol_of(options, cell.mode, opened.kind).uses_metric)
            if opened.notes and opened.notes not in said:
                said.add(opened.notes)
                progress.say(f"data of {cell.title}: {'; '.join(opened.notes)}")
        except MedzooError as error:
            problems.append(f"The runs on {cell.title} will fail: {type(error).__name__}: {error}")
    return list(dict.fromkeys(problems))


def say_first(suite: Suite, places: Places, kinds: Kinds, begun: bool) -> None:
    """Print the first line of a suite.

    Args:
        suite: the suite.
        places: its folders and its precision.
        kinds: of its tasks.
        begun: whether the folder already had this precision.
    """
    threads, device = cores.choose_threads(), device_kind(str(places.common.get("device", "auto")))
    by_protocol = sorted({chosen_precision(name, mode) for name in suite.protocols for mode in suite.modes()})
    words = places.precision or f"{', '.join(by_protocol)} by protocol"
    counted = progress.counted
    parts = [("checkpoint", len(suite.checkpoints)), ("column", len(suite.tasks)), ("seed", len(suite.seeds))]
    repeated = [repeats_of(task) for task in suite.tasks]
    most = {word: max((len(rows) for rows in repeated if word in rows[0]), default=0) for word in ("fold", "draw")}
    parts += [(word, number) for word, number in most.items() if number]
    progress.say(
        f"suite {suite.name}: folder {places.runs.parent}; device {device}, precision {words}{' (as before)' * begun}, "
        f"{counted(threads.count, 'thread')} ({threads.why}); {counted(len(suite.pretrain), 'pre-training')}, "
        f"{counted(len(runs_of(suite, kinds)), 'run')}: {' x '.join(counted(number, word) for word, number in parts)}"
    )
    few = [str(task["title"]) for task in suite.tasks if "draws" in task and task["draws"] < DRAWS]
    if few:
        progress.warn(
            f"Fewer than {DRAWS} draws for {listed(few, 3)}: mean and deviation depend much on the draws. Set draws = {DRAWS} "
            "or more."
        )
    if places.precision is not None and (sentence := emulated(places.precision, device, kept=begun)):
        progress.warn(sentence)
