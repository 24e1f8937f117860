"""A picture of predicted masks next to the true ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medzoo import store
from medzoo.bench.segmentation.evaluate import MaskPredictor
from medzoo.data.decode_cache.decoded import Decoded

NAME, MOST = "masks.png", 6  # of the file; images in it
RIGHT, WRONG, MISSED = (255, 255, 255), (230, 80, 60), (60, 140, 255)  # found and true; found only; true only


def overlay(image: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """An image with its true and predicted pixels in colour: both white, only predicted red, only true blue.

    Args:
        image: (H, W) or (H, W, 3), in [0, 1].
        truth: (H, W) mask values; 255 has no annotation.
        predicted: (H, W) mask values.

    Returns:
        (H, W, 3) uint8.

    >>> overlay(np.zeros((1, 3)), np.array([[1, 0, 1]]), np.array([[1, 1, 0]])).tolist()
    [[[255, 255, 255], [230, 80, 60], [60, 140, 255]]]
    """
    colour = np.repeat(image[..., None], 3, axis=-1) if image.ndim == 2 else image
    drawn = (np.clip(colour, 0, 1) * 255).astype(np.uint8)
    known, true, found = truth != 255, truth > 0, predicted > 0
    drawn[known & true & found & (truth == predicted)] = RIGHT
    drawn[known & found & (truth != predicted)] = WRONG
    drawn[known & true & ~found] = MISSED
    return drawn


def draw_masks(folder: Path, data: Decoded, tuner: MaskPredictor, title: str = "") -> Path:
    """Write the first images of a split with their masks: the image above, and below its true and predicted pixels.

    Args:
        folder: of the run.
        data: the decoded split.
        tuner: a fine-tuned network or a dense probe.
        title: above the picture.

    Returns:
        The file.
    """
    from matplotlib.figure import Figure  # not pyplot, which has global state and needs a display
    from matplotlib.patches import Patch

    from medzoo.training.segmentation.masks import classes_of

    part = next(tuner.segment(data))
    predicted, truth = classes_of(part.logits).cpu().numpy(), part.masks.cpu().numpy()
    images = np.asarray(data.images[: min(MOST, len(part.rows))]) / data.scale
    figure = Figure(figsize=(2.2 * len(images) + 0.4, 5.2), layout="constrained")
    axes = figure.subplots(2, len(images), squeeze=False)
    for column, (image, true, found) in enumerate(zip(images, truth, predicted, strict=False)):
        empty = np.zeros_like(true)
        for row, picture in enumerate((overlay(image, empty, empty), overlay(image * 0.6, true, found))):
            axes[row, column].imshow(picture, interpolation="nearest")
            axes[row, column].set_axis_off()
    figure.suptitle(f"{title}: the first test images, and the masks on them".removeprefix(": "), fontsize=10)
    names = {"found": RIGHT, "found, but not there": WRONG, "missed": MISSED}
    patches = [Patch(facecolor=np.array(colour) / 255, edgecolor="grey", label=name) for name, colour in names.items()]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)
    with store.atomic_path(folder / NAME) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    return folder / NAME
