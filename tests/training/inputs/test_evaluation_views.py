"""The views of an evaluation: centre, mirror image, ten crops."""

import pytest
import torch
import torchvision.transforms.v2.functional as tv

from medzoo.data.transforms.apply import whole
from medzoo.training.inputs.evaluation_views import evaluation_views, stored_side

IMAGES = torch.rand(2, 1, 64, 64)


def test_the_whole_image_by_default():
    (view,) = evaluation_views(56)
    assert torch.equal(view(IMAGES), whole(IMAGES, 56)) and stored_side(56, 1.0) == 56


def test_the_centre_and_its_mirror_image():
    one, two = evaluation_views(56, 0.875, "flip")
    assert stored_side(56, 0.875) == 64
    assert torch.equal(one(IMAGES), tv.center_crop(IMAGES, [56, 56])) and torch.equal(two(IMAGES), one(IMAGES).flip(-1))


def test_ten_crops_are_those_of_torchvision():
    ours = {view(IMAGES).numpy().tobytes() for view in evaluation_views(56, 0.875, "ten_crop")}
    assert ours == {crop.numpy().tobytes() for crop in tv.ten_crop(IMAGES, [56, 56])} and len(ours) == 10


@pytest.mark.parametrize("share", [0.3, 0.875, 1.0])
def test_every_view_has_the_size_of_the_network(share):
    assert {view(IMAGES).shape[-1] for view in evaluation_views(40, share, "ten_crop")} == {40}
