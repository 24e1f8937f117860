"""The layouts of Keras and RadImageNet do not show whether a network takes RGB or BGR: `medzoo add` asks."""

import pytest
import timm
import torch
from expect import raises
from keras_file import write_keras
from safetensors.torch import save_file

import medzoo
from medzoo.errors import UsageError
from medzoo.zoo.registry.registry import own_dir

FACTS = {"license": "mit", "data": ["ours"], "mean": [0.5] * 3, "std": [0.5] * 3, "size": 32}
NAME = "densenet121-ours"


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return timm.create_model("densenet121", num_classes=0).eval()


def keras(network, folder):
    return write_keras(network, folder / "net.h5"), {"architecture": "densenet121_keras"}


def below_backbone(network, folder):
    names = {name: f"backbone.0.{name.removeprefix('features.')}" for name in network.state_dict()}
    save_file({names[name]: value for name, value in network.state_dict().items()}, folder / "net.safetensors")
    return folder / "net.safetensors", {}


def plain(network, folder):
    save_file(network.state_dict(), folder / "net.safetensors")
    return folder / "net.safetensors", {}


def stem(model):
    return model.get_parameter("features.conv0.weight")


@pytest.mark.parametrize("form", [keras, below_backbone])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_the_order_of_the_channels_is_asked_for(network, private_home, tmp_path, form, order):
    file, more = form(network, tmp_path)
    with raises(UsageError, "channel-order-required", match="--channel-order rgb"):
        medzoo.add(file, NAME, **FACTS, **more)
    assert not list(own_dir().glob("*")) and NAME not in medzoo.list_models()
    report = medzoo.add(file, NAME, channel_order=order, **FACTS, **more)
    (row,) = [row for row in report.rows if row.check == "channel order"]
    assert report.passed and order.upper() in row.detail and ("reversed" in row.detail) == (order == "bgr")
    expected = stem(network) if order == "rgb" else stem(network).flip(1)
    assert torch.equal(stem(medzoo.load(NAME)), expected)
    # a later conversion from the entry gives the same
    assert medzoo.info(NAME).upstream.channel_order == order
    assert torch.equal(stem(medzoo.load(str(medzoo.convert(file, NAME, out=tmp_path / "again")))), expected)


@pytest.mark.parametrize("order", [None, "rgb", "bgr"])
def test_a_plain_file_takes_rgb_unless_the_user_says_bgr(network, private_home, tmp_path, order):
    report = medzoo.add(plain(network, tmp_path)[0], NAME, channel_order=order, **FACTS)
    expected = stem(network).flip(1) if order == "bgr" else stem(network)
    assert torch.equal(stem(medzoo.load(NAME)), expected)
    assert ("channel order" in {row.check for row in report.rows}) == (order is not None)


def test_one_channel_has_no_order(private_home, tmp_path):
    grey = timm.create_model("densenet121", num_classes=0, in_chans=1)
    file, _ = below_backbone(grey, tmp_path)
    facts = {**FACTS, "mean": [0.5], "std": [0.5]}
    with raises(UsageError, "channel-order-without-colour"):
        medzoo.add(file, NAME, channel_order="bgr", **facts)
    assert medzoo.add(file, NAME, **facts).passed


def test_the_command(run, network, private_home, tmp_path):
    file, _ = below_backbone(network, tmp_path)
    facts = ["--license", "mit", "--data", "ours", "--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5", "--size", "32"]
    code, _, err = run("add", file, NAME, *facts, "--channel-order", "grb")
    assert code == 2 and "grb" in err
    code, out, _ = run("add", file, NAME, *facts, "--channel-order", "bgr")
    assert code == 0 and "channel order" in out and torch.equal(stem(medzoo.load(NAME)), stem(network).flip(1))
