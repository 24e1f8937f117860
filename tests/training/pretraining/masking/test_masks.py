"""Masks have exact counts and belong to their image; patches go back to their place; noise is that of the step."""

import numpy as np
import pytest
import torch
from expect import raises

from medzoo.errors import UsageError
from medzoo.training.pretraining.masking.masks import (
    block_side,
    masked_count,
    patchify,
    random_masks,
    shifted_noise,
    spread,
    unpatchify,
)
from medzoo.training.trainable import Trainable


def test_every_image_has_the_same_number_and_its_own_mask():
    masks = random_masks(torch.rand(50, 36, generator=torch.Generator().manual_seed(0)), 27)
    assert (masks.sum(1) == 27).all() and len({tuple(row) for row in masks.tolist()}) == 50
    assert masks.float().mean(0).min() > 0.5, "each cell is masked about as often as the others"


def test_a_mask_belongs_to_an_image_and_an_epoch_not_to_a_batch():
    part = Trainable(torch.nn.Identity())
    part.start(steps=20, epoch_steps=5, seed=3)
    one = part.random_numbers({"index": np.array([4, 9, 2])}, 6, "mask", 16)
    other = part.random_numbers({"index": np.array([9])}, 8, "mask", 16)
    assert torch.equal(one[1:2], other), "steps 6 and 8 are in the same epoch"
    assert not torch.equal(other, part.random_numbers({"index": np.array([9])}, 10, "mask", 16))
    assert not torch.equal(other, part.random_numbers({"index": np.array([9])}, 8, "blocks", 16))


@pytest.mark.parametrize(("share", "cells"), [(0.01, 16), (0.99, 16), (0.4, 1)])
def test_none_and_all_masked_are_refused(share, cells):
    with raises(UsageError, "mask-share-impossible"):
        masked_count("mae", share, cells)


@pytest.mark.parametrize(
    ("grid", "most", "side"), [((14, 14), 2, 2), ((56, 56), 8, 8), ((16, 16), 8, 4), ((7, 7), 8, 1), ((8, 12), 9, 2)]
)
def test_blocks_cover_the_grid(grid, most, side):
    assert block_side(grid, most) == side and all(part % side == 0 for part in grid)


def test_patches_hold_their_pixels_row_by_row():
    images = torch.arange(2 * 3 * 4 * 6, dtype=torch.float32).view(2, 3, 4, 6)
    patches = patchify(images, 2)
    assert patches.shape == (2, 6, 12)
    assert torch.equal(patches[1, 4].view(3, 2, 2), images[1, :, 2:4, 2:4])
    assert torch.equal(unpatchify(patches, 2, (4, 6)), images)


def test_a_mask_is_spread_over_its_pixels():
    fine = spread(torch.tensor([[[True, False], [False, True]]]), 4, 6)
    assert fine.shape == (1, 4, 6) and fine[0, :2, :3].all() and not fine[0, :2, 3:].any() and fine[0, 2:, 3:].all()


def test_noise_depends_on_the_image_and_the_step_only():
    images, numbers = torch.zeros(3, 3, 8, 8), torch.tensor([[0.1, 0.9], [0.6, 0.3], [0.8, 0.8]])
    whole = shifted_noise(images, numbers, 0, 5)
    assert torch.equal(whole[1:2], shifted_noise(images[1:2], numbers[1:2], 0, 5))
    assert not torch.equal(whole, shifted_noise(images, numbers, 0, 6)) and not torch.equal(whole[0], whole[1])
    assert abs(float(whole.mean())) < 0.2 and abs(float(whole.std()) - 1) < 0.2
