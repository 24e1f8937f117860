import json
import subprocess
import sys

import pytest
import timm
import torch

import medzoo
import medzoo.zoo.variants


def test_small_image_stem():
    model = timm.create_model("resnet18_cifar", num_classes=0).eval()
    assert model.conv1.weight.shape == (64, 3, 3, 3) and model.conv1.stride == (1, 1)
    assert model.forward_features(torch.zeros(1, 3, 28, 28)).shape == (1, 512, 4, 4)
    maps = timm.create_model("resnet18_cifar", features_only=True)
    sizes = [feature.shape[-1] for feature in maps(torch.zeros(1, 3, 32, 32))]
    assert sizes == [32 // reduction for reduction in maps.feature_info.reduction()]


def test_other_channels_and_meta():
    assert timm.create_model("resnet18_cifar", in_chans=1).conv1.weight.shape == (64, 1, 3, 3)
    with torch.device("meta"):
        assert timm.create_model("resnet18_cifar").conv1.weight.is_meta


def test_plain_timm_reads_the_folder_after_one_import(tmp_path):
    model = medzoo.load("resnet18_cifar-random")
    folder = medzoo.save(model, tmp_path / "f", card={"name": "resnet18_cifar-x", "license": "mit", "data": ["x"]})
    assert json.loads((folder / "config.json").read_text())["architecture"] == "resnet18_cifar"
    assert "import medzoo.zoo.variants" in (folder / "README.md").read_text()
    code = (
        "import medzoo.zoo.variants, timm, torch, sys; torch.manual_seed(0);"
        "m = timm.create_model('local-dir:' + sys.argv[1], pretrained=True).eval();"
        "print(float(m(torch.ones(1, 3, 32, 32)).double().sum()))"
    )
    out = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True).stdout
    with torch.no_grad():
        assert abs(float(out) - float(model(torch.ones(1, 3, 32, 32)).double().sum())) < 1e-4


def strided(model) -> list[torch.nn.Conv2d]:
    return [module for module in model.modules() if isinstance(module, torch.nn.Conv2d) and module.stride == (2, 2)]


def test_v1_halves_in_the_first_convolution_of_a_stage():
    with torch.device("meta"):
        plain, v1 = (timm.create_model(name, num_classes=0) for name in ("resnet50", "resnet50_v1"))
    for stage in ("layer2", "layer3", "layer4"):
        first, usual = getattr(v1, stage)[0], getattr(plain, stage)[0]
        assert first.conv1.stride == usual.conv2.stride == (2, 2) and first.conv2.stride == usual.conv1.stride == (1, 1)
    assert {norm.eps for norm in v1.modules() if isinstance(norm, torch.nn.BatchNorm2d)} == {1.001e-5}
    assert plain.state_dict().keys() == v1.state_dict().keys()


def padded_as_tensorflow(x: torch.Tensor, kernel: int, value: float = 0.0) -> torch.Tensor:
    """For stride 2: what is missing, the smaller half before and the larger behind."""
    missing = [max((-(-side // 2) - 1) * 2 + kernel - side, 0) for side in x.shape[-2:]]
    (rows, columns) = missing
    sides = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
    return torch.nn.functional.pad(x, sides, value=value)


@pytest.mark.parametrize("side", [224, 96, 97])
def test_tensorflows_padding(side):
    torch.manual_seed(0)
    same = timm.create_model("resnet50_same", num_classes=0).eval()
    pool_only = timm.create_model("resnet50_samepool", num_classes=0).eval()
    assert not any(module.padding == (3, 3) for module in strided(same) if module.kernel_size == (7, 7))
    with torch.inference_mode():
        x = torch.randn(1, 3, side, side)
        by_hand = torch.nn.functional.conv2d(padded_as_tensorflow(x, 7), same.conv1.weight, stride=2)
        assert torch.equal(same.conv1(x), by_hand)
        y = torch.randn(1, 64, side // 2, side // 2)
        pooled = torch.nn.functional.max_pool2d(padded_as_tensorflow(y, 3, -torch.inf), 3, stride=2)
        assert torch.equal(same.maxpool(y), pooled) and torch.equal(pool_only.maxpool(y), pooled)
        second = same.layer2[0].conv2
        z = torch.randn(1, second.in_channels, side // 4, side // 4)
        by_hand = torch.nn.functional.conv2d(padded_as_tensorflow(z, 3), second.weight, stride=2)
        assert torch.allclose(second(z), by_hand, atol=1e-5)
    assert pool_only.conv1.padding == (3, 3)  # SimCLR's convolutions pad as PyTorch's


def test_kerass_average_pool_leaves_the_padding_out():
    torch.manual_seed(0)
    ours, plain = (timm.create_model(name, num_classes=0).eval() for name in ("inception_v3_keras", "inception_v3"))
    plain.load_state_dict(ours.state_dict())
    block, usual = ours.Mixed_5b, plain.Mixed_5b
    with torch.inference_mode():
        x = torch.randn(1, 192, 9, 9)
        pooled = torch.nn.functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        want = usual.branch_pool(pooled)
        have = block(x)[:, -want.shape[1] :]
        assert torch.allclose(have, want, atol=1e-5)
        assert not torch.allclose(usual(x)[:, -want.shape[1] :], want, atol=1e-2)  # timm's counts it


def test_kerass_densenet_has_its_own_eps():
    with torch.device("meta"):
        model = timm.create_model("densenet121_keras", num_classes=0)
    assert {norm.eps for norm in model.modules() if isinstance(norm, torch.nn.BatchNorm2d)} == {1.001e-5}
