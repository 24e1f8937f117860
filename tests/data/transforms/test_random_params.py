"""What is drawn for a view follows its law: factors about 1, shares as stated, boxes everywhere, each draw for itself."""

from itertools import combinations

import numpy as np
import pytest

from medzoo.data.rng import uniform
from medzoo.data.transforms.augmentation_law import Augmentation
from medzoo.data.transforms.random_params import CROP_TRIES, crop_boxes, draw

COUNT = 4000
LAW = Augmentation(
    min_area=0.3, flip=0.3, brightness=0.2, contrast=0.5, saturation=0.8, tone=0.6, grey=0.15, blur=0.25, rotation=10.0
)


def drawn(law=LAW, count=COUNT, size=32, **options):
    usual = {"seed": 0, "epoch": 0, "indices": np.arange(count), "stream": "v"}
    return draw(law, (40, 40), size, **{**usual, **options})


def near(share, expected, count=COUNT):
    return abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / count)


@pytest.mark.parametrize(("name", "strength"), [("brightness", 0.2), ("contrast", 0.5), ("saturation", 0.8)])
def test_factors_lie_evenly_about_one(name, strength):
    values = getattr(drawn(Augmentation(brightness=0.2, contrast=0.5, saturation=0.8)), name).numpy()
    assert values.min() >= 1 - strength and values.max() <= 1 + strength
    assert (
        np.abs(np.quantile(values, [0.1, 0.5, 0.9]) - (1 + strength * np.array([-0.8, 0, 0.8]))).max() < 0.1 * strength
    )


def test_tones_are_drawn_for_their_share_of_the_images():
    """All three together, or none of them."""
    found = drawn()
    plain = np.stack([getattr(found, name).numpy() == 1 for name in ("brightness", "contrast")])
    assert near(1 - plain[0].mean(), 0.6) and (plain[0] == plain[1]).all()
    colourless = found.saturation.numpy() == 0
    assert near(colourless.mean(), 0.15)
    assert (found.saturation.numpy()[plain[0] & ~colourless] == 1).all()


def test_flips_and_blurs_come_in_their_share():
    found = drawn()
    assert near(found.flip.numpy().mean(), 0.3) and near(len(found.blurred) / COUNT, 0.25)
    sigma = found.sigma.numpy()
    assert sigma.min() >= 0.1 and sigma.max() <= 1.1 and abs(sigma.mean() - 0.6) < 0.05
    for law, flips, blurs in ((Augmentation(), 0, 0), (Augmentation(flip=1.0, blur=1.0), COUNT, COUNT)):
        assert (int(drawn(law).flip.sum()), len(drawn(law).blurred)) == (flips, blurs)


def test_no_draw_follows_another():
    """A flip that came with every bright image would be a label of its own."""
    found = drawn(
        Augmentation(min_area=0.3, flip=0.5, brightness=0.2, contrast=0.2, saturation=0.2, blur=0.5, rotation=5)
    )
    blurred = np.zeros(COUNT)
    blurred[found.blurred.numpy()] = 1
    columns = {name: getattr(found, name).numpy().astype(float) for name in
               ("flip", "angle", "brightness", "contrast", "saturation", "top", "height")}  # fmt: skip
    columns["blurred"] = blurred
    for (one, first), (other, second) in combinations(columns.items(), 2):
        if {one, other} != {"top", "height"}:  # a large box has few places
            assert abs(np.corrcoef(first, second)[0, 1]) < 0.08, (one, other)


@pytest.mark.parametrize("change", [{"epoch": 1}, {"seed": 1}, {"stream": "w"}, {"indices": np.arange(COUNT) + COUNT}])
def test_every_draw_is_another_one_elsewhere(change):
    one, other = (
        drawn(Augmentation(brightness=0.2, rotation=5)),
        drawn(Augmentation(brightness=0.2, rotation=5), **change),
    )
    for name in ("brightness", "angle"):
        assert abs(np.corrcoef(getattr(one, name), getattr(other, name))[0, 1]) < 0.08


def test_boxes_reach_every_border():
    """The first and the last row and column are seen as often as one expects of a uniform place."""
    boxes = crop_boxes(uniform("a", 0, 0, np.arange(COUNT), 2 * CROP_TRIES + 2), 12, 12, 0.3, 4 / 3)
    top, left, height, width = boxes.T
    for start, length in ((top, height), (left, width)):
        free = length < 12
        for length_of in np.unique(length[free]):
            chosen = start[length == length_of]
            share = 1 / (12 - length_of + 1)
            assert near((chosen == 0).mean(), share, len(chosen)) and near(
                (chosen == 12 - length_of).mean(), share, len(chosen)
            )


def test_a_crop_has_at_most_the_largest_share():
    draws = np.random.default_rng(0).random((2000, 2 * CROP_TRIES + 2))
    boxes = crop_boxes(draws, 200, 200, 0.05, 4 / 3, max_area=0.3)
    shares = boxes[:, 2] * boxes[:, 3] / 200**2
    assert shares.min() > 0.045 and 0.28 < shares.max() < 0.31 and abs(shares.mean() - 0.175) < 0.01
    law = Augmentation(min_area=0.05, max_area=0.3)
    drawn = draw(law, (200, 200), 32, seed=0, epoch=0, indices=np.arange(500), stream="view")
    assert float((drawn.height * drawn.width).max()) < 0.31 * 200**2
