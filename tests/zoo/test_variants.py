import json
import subprocess
import sys

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
