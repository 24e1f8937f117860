"""Masks of blocks: their shares, their shape, and the images that have none."""

import pytest
import torch

from medzoo.training.pretraining.masking.block_masks import NUMBERS, block_masks


def numbers(count=400):
    return torch.rand(count, NUMBERS, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("grid", [(2, 2), (4, 6), (14, 14), (37, 37)])
def test_no_image_has_more_masked_patches_than_wanted_and_most_have_nearly_as_many(grid):
    masks = block_masks(numbers(), grid, probability=1.0, least=0.1, most=0.5)
    share = 0.1 + 0.4 * numbers()[:, 1]
    counts, wanted = masks.sum((1, 2)), (share * grid[0] * grid[1]).floor()
    assert masks.shape == (400, *grid) and (counts <= wanted).all()
    assert float(counts.sum() / wanted.sum()) > 0.9


def test_half_of_the_images_are_masked():
    masks = block_masks(numbers(), (8, 8), probability=0.5, least=0.2, most=0.5)
    assert abs(float(masks.any(2).any(1).float().mean()) - 0.5) < 0.08
    assert not block_masks(numbers(), (8, 8), probability=0.0, least=0.2, most=0.5).any()
    assert not block_masks(numbers(), (2, 2), probability=1.0, least=0.1, most=0.2).any(), "less than one patch"


def test_masked_patches_are_neighbours_and_lie_everywhere():
    masks = block_masks(numbers(), (10, 10), probability=1.0, least=0.2, most=0.2)
    around = torch.nn.functional.pad(masks, (1, 1, 1, 1))
    beside = around[:, :-2, 1:-1] | around[:, 2:, 1:-1] | around[:, 1:-1, :-2] | around[:, 1:-1, 2:]
    assert float((beside & masks).sum() / masks.sum()) > 0.9
    often = masks.float().mean(0)
    assert often.min() > 0.02 and often.max() < 0.5


def test_a_mask_depends_on_the_numbers_of_its_image_only():
    whole = block_masks(numbers(), (7, 7), probability=0.7, least=0.1, most=0.5)
    assert torch.equal(block_masks(numbers()[5:9], (7, 7), probability=0.7, least=0.1, most=0.5), whole[5:9])
