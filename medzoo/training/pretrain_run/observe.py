"""What a pre-training shows of itself: measurements after its epochs, and pictures at its end."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from medzoo.training.inputs.batches import Batches, to_device
from medzoo.training.pretrain_run.pictures import IMAGES, draw_pictures, first_images
from medzoo.training.pretrain_run.watch import SAMPLE, Watch, epochs_between, watched_task
from medzoo.training.trainable import Trainable

if TYPE_CHECKING:
    from medzoo.data.task import Task
    from medzoo.training.pretrain_options import PretrainOptions


def make_watch(
    objective: Trainable,
    batches: Batches,
    options: PretrainOptions,
    task: Task | None,
    *,
    size: int,
    images: int,
    epochs: int,
) -> Watch:
    """What measures the features of a network after some epochs.

    Args:
        objective: of the method; the network that the checkpoint keeps is measured.
        batches: of the training.
        options: of the pre-training.
        task: that probes read, if there is one.
        size: side of the input, pixels.
        images: of an epoch.
        epochs: of the training.
    """
    watched = None if task is None else watched_task(task, size, options.seed)
    return Watch(
        objective.kept_network,
        partial(batches.sample, SAMPLE),
        batches.convention,
        batches.views[0].augmentation,
        size=size,
        seed=options.seed,
        every=options.watch_every or epochs_between(images, len(batches.views), watched, SAMPLE),
        epochs=epochs,
        watched=watched,
    )


def draw_what_was_seen(objective: Trainable, batches: Batches, file: Path) -> None:
    """Draw what the trained network sees of some images: views, masks, reconstructions.

    Args:
        objective: after its training.
        batches: of the training.
        file: the PNG.
    """
    batches.set_epoch(0)
    batch = to_device(first_images(batches[0], IMAGES), next(objective.parameters()).device)
    with torch.no_grad():
        pictures = objective.eval().pictures(batch, 0)
    draw_pictures(pictures, batches.convention, file)
