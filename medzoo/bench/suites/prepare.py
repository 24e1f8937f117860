"""Fetch and verify the weights of a suite and decode its images, before workers start on machines without a network."""

from __future__ import annotations

from collections.abc import Sequence

from medzoo import progress
from medzoo.bench.cell_options import protocol_of
from medzoo.bench.suite import Suite, SuiteCell
from medzoo.bench.suite_options import Places, cell_options
from medzoo.bench.suites.opened_tasks import OpenedTasks
from medzoo.data.decode_cache.cache import decoded
from medzoo.errors import MedzooError
from medzoo.training.inputs.evaluation_views import stored_side
from medzoo.zoo.download.fetch import locate
from medzoo.zoo.loading.identify import identify


def prepare(suite: Suite, places: Places, cells: Sequence[SuiteCell], opened: OpenedTasks | None = None) -> list[str]:
    """Bring everything that the runs read into the caches; returns one line for each problem, whose runs will fail.

    Args:
        suite: the suite.
        places: its folders.
        cells: the runs.
        opened: tasks that are open already.
    """
    opened, problems = opened or OpenedTasks(), dict[str, None]()
    sizes: dict[tuple[str, str | None], int | None] = {}
    stored: set[tuple[object, ...]] = set()
    with progress.Steps(f"{suite.name}: weights and images", len(cells), "run") as steps:
        for cell in cells:
            steps.update()
            options = cell_options(suite, cell, places)
            named = options.checkpoint, options.hub
            try:
                if named not in sizes:
                    sizes[named] = None
                    locate(options.checkpoint, hub=options.hub, accept_license=options.accept_license)
                    sizes[named] = identify(options.checkpoint, hub=options.hub).input.size
                task = opened(options)
            except MedzooError as error:
                problems[f"Runs of {cell.label} on {cell.title} will fail: {type(error).__name__}: {error}"] = None
                continue
            protocol = protocol_of(options, cell.mode, task.kind)
            if (size := protocol.size or sizes[named]) is None:  # already reported
                continue
            side = stored_side(size, protocol.crop_share)
            if (key := (*opened.key(options), side)) in stored:
                continue
            stored.add(key)
            try:
                for split in task.splits:
                    decoded(task, split, size=side)
            except MedzooError as error:
                problems[f"Runs on {cell.title} will fail: {type(error).__name__}: {error}"] = None
    return list(problems)
