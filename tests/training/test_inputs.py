"""The transform that belongs to a checkpoint: the right scale for any kind of image."""

import numpy as np
import pytest
import torch
from PIL import Image

import medzoo
from medzoo.errors import MedzooError
from medzoo.training.inputs import convention_of, input_size


def grey(side=40, dtype=np.uint8, top=255):
    return np.linspace(0, top, side * side).reshape(side, side).astype(dtype)


@pytest.mark.parametrize("name", medzoo.list_models("*-random"))
def test_shape_and_scale_of_every_random_checkpoint(name):
    facts = medzoo.info(name).input
    view = medzoo.transform(name)(grey())
    assert view.shape == (facts.channels, facts.size, facts.size) and view.dtype == torch.float32
    back = view * torch.tensor(facts.std).view(-1, 1, 1) + torch.tensor(facts.mean).view(-1, 1, 1)
    assert -1e-5 < back.min() < 0.05 and 0.95 < back.max() < 1 + 1e-5


@pytest.mark.parametrize(
    "image",
    [
        grey(), np.stack([grey()] * 3, -1), grey(dtype=np.uint16, top=65535), Image.fromarray(grey()),
        Image.fromarray(grey()).convert("RGB"), Image.fromarray(grey(dtype=np.uint16, top=65535)),
    ],
    ids=["uint8", "rgb", "uint16", "L", "RGB", "I;16"],
)  # fmt: skip
def test_all_kinds_of_one_image_agree(image):
    expected = medzoo.transform("resnet18-random")(grey())
    assert (medzoo.transform("resnet18-random")(image) - expected).abs().max() < 0.02


def test_a_path_is_read(tmp_path):
    Image.fromarray(grey()).save(tmp_path / "x.png")
    view = medzoo.transform("resnet18-random", size=32)
    assert torch.equal(view(tmp_path / "x.png"), view(grey()))


def test_floats_of_unknown_range_are_refused():
    with pytest.raises(MedzooError, match="range"):
        medzoo.transform("resnet18-random")(np.random.rand(8, 8))


def test_training_views_differ_and_follow_the_generator():
    view = medzoo.transform("resnet18-random", train=True, size=32)
    torch.manual_seed(0)
    one, two = view(grey()), view(grey())
    torch.manual_seed(0)
    assert torch.equal(one, view(grey())) and not torch.equal(one, two)


def test_it_is_timms_own_transform_at_the_stored_size(tiny_hub):
    import timm

    model = medzoo.load("lab/tiny", hub=tiny_hub)
    theirs = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    assert (theirs(image) - medzoo.transform(model)(image)).abs().max() < 1e-6


def test_grey_stems_take_grey(tiny_hub):
    model = medzoo.load("lab/tiny", hub=tiny_hub, in_chans=1)
    assert convention_of(model).channels == 1 and input_size(model) == 32
    assert model(medzoo.transform(model)(grey())[None]).shape == (1, model.num_features)
