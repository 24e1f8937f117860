"""The transform that belongs to a checkpoint: the right scale for any kind of image."""

import inspect
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from expect import raises
from hypothesis import given
from hypothesis.extra import numpy as arrays
from PIL import Image

import medzoo
from medzoo.data.images.pixels import Pixels
from medzoo.errors import ImageError, MedzooError, UsageError
from medzoo.training.inputs.input_transform import convention_of, input_size, load_at_size


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
    with raises(MedzooError, "pixel-range-unknown", match="range"):
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


def test_a_grey_stem_of_timm_takes_the_mean_of_the_statistics():
    """A network that timm made for one channel keeps the statistics of three in its configuration."""
    import timm

    model = timm.create_model("test_resnet", in_chans=1, num_classes=0)
    model.pretrained_cfg = {**model.pretrained_cfg, "mean": (0.1, 0.2, 0.6), "std": (0.2, 0.3, 0.7)}
    convention = convention_of(model)
    assert convention.mean == pytest.approx((0.3,)) and convention.std == pytest.approx((0.4,))
    white = medzoo.transform(model, size=8)(np.full((8, 8), 255, np.uint8))
    assert white.shape == (1, 8, 8) and white.mean().item() == pytest.approx((1 - 0.3) / 0.4)


def test_a_fresh_head_follows_the_seed_and_the_rest_the_file(tiny_hub):
    """For training: seeds differ in their heads, and in nothing that was stored."""
    heads = []
    for seed in (0, 0, 1):
        torch.rand(3)  # whatever was drawn before
        options = {"num_classes": 4, "size": None, "seed": seed, "hub": str(tiny_hub), "accept_license": False}
        model, size = load_at_size("lab/tiny", **options)
        stored = medzoo.load("lab/tiny", hub=tiny_hub).state_dict()
        assert size == 32 and all(torch.equal(model.state_dict()[name], tensor) for name, tensor in stored.items())
        heads.append(model.get_classifier().weight)
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


def unit_of(view, name="resnet18-random"):
    """What stood before mean and std."""
    facts = medzoo.info(name).input
    return view * torch.tensor(facts.std).view(-1, 1, 1) + torch.tensor(facts.mean).view(-1, 1, 1)


@pytest.mark.parametrize("window", [(0.0, 1.0), (-1.0, 1.0), (0, 4095)])
def test_a_stated_range_is_taken(window):
    low, high = window
    image = (grey() / 255 * (high - low) + low).astype(np.float32)
    view = medzoo.transform("resnet18-random", size=40, window=window)
    expected = medzoo.transform("resnet18-random", size=40)(grey())
    for given_image in (image, torch.from_numpy(image), torch.from_numpy(image)[None].bfloat16()):
        assert (view(given_image) - expected).abs().max() < 0.03
    assert torch.equal(view(np.full((4, 4), high + 1e6, np.float32)), view(np.full((4, 4), high, np.float32)))


@pytest.mark.filterwarnings("ignore:A uint16 image")
@given(
    arrays.arrays(np.uint16, arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))
    | arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))
)
def test_no_value_of_an_integer_image_is_clipped(image):
    if image.shape[0] != image.shape[1]:
        image = np.repeat(
            np.repeat(image, image.shape[1], 0), image.shape[0], 1
        )  # square, so that nothing is resampled
    unit = unit_of(medzoo.transform("resnet18-random", size=image.shape[0])(image))
    expected = torch.from_numpy(image.astype(np.float64) / np.iinfo(image.dtype).max).float()
    assert (unit - expected).abs().max() < 1e-5


@given(arrays.arrays(np.uint8, (5, 7, 3)))
def test_a_tensor_in_torchs_order_is_the_array(image):
    view = medzoo.transform("resnet18-random", size=7)
    assert torch.equal(view(torch.from_numpy(image).permute(2, 0, 1)), view(image))


def test_a_narrow_tensor_is_read_in_torchs_order():
    image = np.random.default_rng(0).integers(0, 256, (9, 3, 3), dtype=np.uint8)  # 9 high, 3 wide, colour
    view = medzoo.transform("resnet18-random", size=6)
    assert torch.equal(view(torch.from_numpy(image).permute(2, 0, 1)), view(image))


def test_one_channel_and_another_scale():
    """torchxrayvision's nets take one channel from -1024 to 1024; colour becomes its luminance."""
    view = medzoo.transform("densenet121-cxr_all_xrv", size=8)
    black, white = view(np.zeros((8, 8), np.uint8)), view(np.full((8, 8), 255, np.uint8))
    assert black.shape == (1, 8, 8) and black.unique().item() == -1024 and white.unique().item() == 1024
    green = view(np.stack([np.zeros((8, 8)), np.full((8, 8), 255), np.zeros((8, 8))], -1).astype(np.uint8))
    assert green.mean().item() == pytest.approx((2 * 0.587 - 1) * 1024, abs=0.01)


def test_hounsfield_units_are_clipped_where_the_checkpoint_was():
    name = "resnet50-simclr-radnet12m"
    array = np.array([[-3000, -1024], [3072, 20_000]], np.int16)
    view = medzoo.transform(name, size=2)
    pixels = Pixels(array, (-32768, 32767), "HU")
    clipped = Pixels(np.clip(array, -1024, 3072), (-32768, 32767), "HU")
    assert torch.equal(view(pixels), view(clipped)) and view(pixels).unique().numel() == 2
    assert medzoo.transform("resnet18-random", size=2)(pixels).unique().numel() > 6  # no clip is stated
    assert view(Pixels(array, (-32768, 32767), "grey")).unique().numel() > 2  # no Hounsfield units


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1", "I;16", "CMYK", "YCbCr", "HSV", "I", "F"])
def test_every_mode_of_pillow_or_a_sentence(mode):
    image = (
        Image.fromarray(grey(dtype=np.uint16, top=65535)) if mode == "I;16" else Image.fromarray(grey()).convert(mode)
    )
    if mode in ("I", "F"):
        with raises(ImageError, "pixel-range-unknown"):
            medzoo.transform("resnet18-random", size=40)(image)
        return
    unit = unit_of(medzoo.transform("resnet18-random", size=40)(image))
    expected = torch.from_numpy((grey() > 127).astype(np.float32) if mode == "1" else grey() / 255)
    assert (unit.mean() - expected.mean()).abs() < 0.03
    assert mode == "1" or (unit - expected).abs().max() < 0.03


@pytest.mark.parametrize(
    "image",
    [
        None, 3, "no-such.png", b"", b"<html>", np.zeros((2, 3, 4, 5), np.uint8), np.zeros((0, 4), np.uint8),
        np.full((4, 4), np.nan), np.zeros((4, 4), complex), np.zeros((4, 4), object), torch.zeros(2, 5, 5),
        Pixels(np.zeros((3, 4, 5), np.uint8), (0, 255), "grey"),
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_image_gets_a_sentence(image):
    with pytest.raises(MedzooError) as caught:
        medzoo.transform("resnet18-random")(image)
    assert len(str(caught.value)) > 20


def test_names_folders_and_models(tiny_hub):
    folder = tiny_hub / "lab" / "tiny"
    model = medzoo.load(str(folder))
    views = [medzoo.transform(place)(grey()) for place in (folder, str(folder), f"local-dir:{folder}", model)]
    assert all(torch.equal(view, views[0]) for view in views)
    for wrong in (3, torch.nn.Linear(2, 2), None):
        with raises(UsageError, "input-convention-missing"):
            medzoo.transform(wrong)
    with raises(UsageError, "size-invalid", match="size"):
        medzoo.transform("resnet18-random", size=0)


@pytest.mark.parametrize(
    ("top", "high"), [(256, 4095), (4000, 4095), (4095, 4095), (4096, 8191), (9000, 16383), (16383, 16383)]
)
def test_few_bits_in_sixteen_get_a_warning_that_names_the_window(top, high, tmp_path):
    view = medzoo.transform("resnet18-random", size=40)
    image = grey(dtype=np.uint16, top=top)
    Image.fromarray(image).save(tmp_path / "x.png")
    for given_image in (image, torch.from_numpy(image), Image.fromarray(image), tmp_path / "x.png"):
        with pytest.warns(UserWarning, match=rf"nearly black.*window=\(0, {high}\)"):
            dark = view(given_image)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bright = medzoo.transform("resnet18-random", size=40, window=(0, high))(image)
    assert (unit_of(bright) - unit_of(dark) * 65535 / high).abs().max() < 1e-4


@pytest.mark.parametrize(
    "image",
    [grey(), grey(dtype=np.uint16, top=255), grey(dtype=np.uint16, top=16384), grey(dtype=np.uint16, top=65535)],
)
def test_full_ranges_and_eight_bits_get_no_warning(image):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        medzoo.transform("resnet18-random", size=40)(image)
        medzoo.transform("resnet50-simclr-radnet12m", size=40)(grey(dtype=np.uint16, top=4000))  # stretched anyway


def test_one_place_warns_once_in_a_process():
    code = (
        "import numpy as np, medzoo; view = medzoo.transform('resnet18-random', size=8)\n"
        "for top in (3000, 3500, 4000): view(np.full((8, 8), top, np.uint16))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.count("UserWarning") == 1


@pytest.mark.parametrize(
    "window",
    [(0,), (0, 1, 2), (1, 1), (5, 1), (0, np.inf), (np.nan, 1), (None, 1), ("a", "b"), 3, {"low": 0}, [], "no-window"],
    ids=repr,
)
def test_a_window_is_two_finite_rising_numbers(window):
    with raises(UsageError, ("window-invalid", "unknown-window"), match="window"):
        medzoo.transform("resnet18-random", window=window)
    assert medzoo.transform("resnet18-random", size=4, window=np.array([0, 9]))(np.zeros((4, 4))).shape == (3, 4, 4)


def test_a_name_in_a_directory_hub(tiny_hub, monkeypatch):
    ours = medzoo.transform("lab/tiny", hub=tiny_hub)(grey())
    assert torch.equal(ours, medzoo.transform(tiny_hub / "lab" / "tiny")(grey()))
    monkeypatch.setenv("MEDZOO_HUB", str(tiny_hub))
    assert torch.equal(ours, medzoo.transform("lab/tiny")(grey()))


def test_the_whole_image_is_squashed():
    """No border is cut off, and the aspect is not kept: the docstring and the cards say so."""
    wide = np.zeros((20, 80), np.uint8)
    wide[:, :8] = 255  # a tenth at the left, which a centre crop would lose
    unit = unit_of(medzoo.transform("resnet18-random", size=20)(wide))
    assert unit[0, :, 0].min() > 0.99 and unit[0, :, 3:].max() < 0.01 and unit.mean() == pytest.approx(0.1, abs=0.01)
    assert "to a square" in inspect.getdoc(medzoo.transform) and "bilinear" in inspect.getdoc(medzoo.transform)
