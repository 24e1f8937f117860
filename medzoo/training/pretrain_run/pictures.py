"""Pictures of what a pre-training sees: the views of some images, masks and reconstructions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from medzoo import store
from medzoo.data.transforms.apply import InputConvention

IMAGES, DPI = 8, 110


def first_images(batch: Mapping[str, Any], count: int) -> dict[str, Any]:
    """The first images of a batch.

    Args:
        batch: of a training.
        count: the most images.
    """
    return {
        key: [view[:count] for view in value] if isinstance(value, list) else value[:count]
        for key, value in batch.items()
    }


def draw_pictures(pictures: Mapping[str, torch.Tensor], convention: InputConvention, file: Path) -> Path:
    """Write images as a PNG: one row for each image, one column for each kind of picture.

    Args:
        pictures: by name, each (N, C, H, W), normalised as the input.
        convention: of the input, to undo its normalisation.
        file: the PNG.
    """
    from matplotlib.figure import Figure

    count = min(IMAGES, *(len(images) for images in pictures.values()))
    figure = Figure(figsize=(1.2 * len(pictures), 1.2 * count + 0.3), layout="constrained")
    axes = figure.subplots(count, len(pictures), squeeze=False)
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (convention.mean, convention.std))
    for column, (name, images) in enumerate(pictures.items()):
        axes[0, column].set_title(name.replace("$", r"\$"), fontsize=8)
        for row in range(count):
            image = (images[row].detach().float().cpu() * std + mean).clamp(0, 1)
            shown = image[0] if len(image) == 1 else image.permute(1, 2, 0)
            axes[row, column].imshow(shown.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes[row, column].axis("off")
    with store.atomic_path(file) as temporary:
        figure.savefig(temporary, dpi=DPI, format="png")
    return file
