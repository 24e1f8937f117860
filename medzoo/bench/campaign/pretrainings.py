"""The pre-trainings of a suite: each worker takes one that no other has, and that waits for no earlier step."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import torch

from medzoo import progress
from medzoo.bench.campaign.local import work_together
from medzoo.bench.campaign.worker import PAUSE
from medzoo.bench.suite import Suite
from medzoo.bench.suite_options import Places, hub_name, own_names, pretrain_options
from medzoo.errors import MedzooError, RunFolderError
from medzoo.locks import claim
from medzoo.precision import device_kind
from medzoo.training.pretrain import is_done, pretrain


def run_pretraining(suite: Suite, places: Places, workers: int = 1) -> None:
    """Run the suite's pre-training steps that are not done, and push their folders to the directory hub.

    A step that continues another one begins after it; the others can run at the same time, here and at other commands of the same
    suite. On GPUs each worker has one of its own, because a pre-training fills its memory.

    Args:
        suite: its [[pretrain]] steps.
        places: the folders of the suite; a step named NAME is loaded as SUITE/NAME from the hub.
        workers: number of processes that compute steps.

    Raises:
        MedzooError: of the first step that fails.
    """
    is_on_cpu = device_kind(str(places.common.get("device", "auto"))) == "cpu"
    devices = workers if is_on_cpu else max(1, torch.cuda.device_count())
    count = max(1, min(workers, len(suite.pretrain), devices))
    work_together(count, partial(work_on_steps, suite, places), _work_in_a_child, (suite, places))


def missing_steps(suite: Suite, places: Places) -> list[str]:
    """The names of the pre-trainings that are not done, or that continue one that is not.

    Args:
        suite: its [[pretrain]] steps.
        places: its folders.
    """
    missing: list[str] = []
    for step in suite.pretrain:
        if str(step.get("checkpoint")) in missing or not is_done(*pretrain_options(suite, step, places)):
            missing.append(str(step["name"]))
    return missing


def work_on_steps(suite: Suite, places: Places) -> None:
    """Compute pre-trainings until all are done, here or elsewhere.

    Args:
        suite: the suite.
        places: its folders.
    """
    left, waits = list(suite.pretrain), False
    while left:
        before = len(left)
        for step in list(left):
            # the base is done when this worker has seen it: its folder could be that of other options
            base_is_done = all(other["name"] != step.get("checkpoint") for other in left)
            if base_is_done and _is_over(suite, places, step):
                left.remove(step)
        if len(left) == before:
            if not waits:
                progress.say(f"waiting for {progress.counted(before, 'pre-training')} of other workers")
            waits = True
            time.sleep(PAUSE)


def _work_in_a_child(suite: Suite, places: Places) -> None:
    """What a started process does. A step that fails fails in the calling process too, which then raises its error."""
    with suppress(MedzooError):
        work_on_steps(suite, places)


def _is_over(suite: Suite, places: Places, step: Mapping[str, Any]) -> bool:
    """Compute a step, unless it is done; False if another worker has it."""
    from medzoo.zoo.publish.push import push

    name, steps = str(step["name"]), own_names(suite)
    with_number = f"pre-training {steps.index(name) + 1} of {len(steps)}: {name}"
    try:
        # the claim comes before the images are decoded; the run folder has a lock of its own
        with claim(places.runs.parent / "campaign" / "claims" / f"pretrain_{name}.json"):
            with progress.brief(with_number):
                folder = pretrain(*pretrain_options(suite, step, places))
            push(folder / "checkpoint", hub_name(suite, name), hub=places.hub)
    except RunFolderError as error:
        if error.code != "lock-held":
            raise
        return False
    return True
