"""Pixel counts against scikit-learn's, and the rule for empty masks."""

import numpy as np
import pytest
import torch

from medzoo.bench.metrics.masks.overlap import iou_of_counts
from medzoo.training.segmentation.counts import dice_of, pixel_counts
from medzoo.training.segmentation.masks import classes_of


def iou_of(counts):
    """The IoU as a result computes it, which counts the pixels of both masks, of the prediction and of the truth."""
    hits, wrong, missed = np.moveaxis(counts, -1, 0)
    return iou_of_counts(np.stack([hits, hits + wrong, hits + missed], -1))


@pytest.mark.parametrize("classes", [1, 3])
def test_counts_are_scikit_learns(classes):
    metrics = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 1 if classes == 1 else 4, 9, 9, generator=generator)
    masks = torch.randint(0, classes + 1, (4, 9, 9), generator=generator, dtype=torch.uint8)
    masks[2, :4] = 255
    predicted = (logits[:, 0] > 0).int() if classes == 1 else logits.argmax(1)
    counts = pixel_counts(classes_of(logits), masks, [(k,) for k in range(1, classes + 1)])
    assert counts.shape == (4, classes, 3) and counts.dtype == np.int64
    for row in range(4):
        known = masks[row] != 255
        labels = list(range(1, classes + 1))
        true, found = masks[row][known].numpy(), predicted[row][known].numpy()
        assert np.allclose(dice_of(counts[row]), metrics.f1_score(true, found, labels=labels, average=None))
        assert np.allclose(iou_of(counts[row]), metrics.jaccard_score(true, found, labels=labels, average=None))


def test_two_empty_masks_agree():
    assert dice_of(np.array([[0, 0, 0], [0, 3, 0], [0, 0, 2]])).tolist() == [1, 0, 0]
    assert iou_of(np.array([0, 0, 0])) == 1


def test_a_region_combines_values():
    """As in BraTS: the whole tumour is all its parts, so that a part predicted as another one is no mistake."""
    masks = torch.tensor([[[1, 2, 3, 0, 255]]], dtype=torch.uint8)
    predicted = torch.tensor([[[2, 2, 1, 3, 3]]], dtype=torch.uint8)
    assert pixel_counts(predicted, masks, [(3,), (1, 2, 3), (1, 3)]).tolist() == [[[0, 1, 1], [3, 1, 0], [1, 1, 1]]]
