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


def draw_masks(folder: Path, data: Decoded, tuner: MaskPredictor) -> Path:
    """Write the first images of a split with their masks: the image above, and below its true and predicted pixels.

    Args:
        folder: of the run.
        data: the decoded split.
        tuner: a fine-tuned network or a dense probe.

    Returns:
        The file.
    """
    import io

    from PIL import Image

    from medzoo.training.segmentation.masks import classes_of

    part = next(tuner.segment(data))
    predicted, truth = classes_of(part.logits).cpu().numpy(), part.masks.cpu().numpy()
    images = np.asarray(data.images[: min(MOST, len(part.rows))]) / data.scale
    columns = []
    for image, true, found in zip(images, truth, predicted, strict=False):
        empty = np.zeros_like(true)
        columns.append(np.concatenate([overlay(image, empty, empty), overlay(image * 0.6, true, found)]))
    content = io.BytesIO()
    Image.fromarray(np.concatenate(columns, axis=1)).save(content, "PNG")
    store.write_bytes(folder / NAME, content.getvalue())
    return folder / NAME
