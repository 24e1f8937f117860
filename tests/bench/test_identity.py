"""The identity of a run is the same before its weights are loaded and after."""

import pytest
import timm
import torch

import medzoo
from medzoo.bench.identity import loaded_weights, stored_weights
from medzoo.errors import MedzooError
from medzoo.training.inputs.input_transform import load_at_size
from medzoo.zoo.loading.identify import identify

MINMAX = {"size": 32, "mean": [0.5] * 3, "std": [0.25] * 3, "rule": "per_image_minmax"}


@pytest.fixture
def folder(tmp_path):
    def made(architecture, *, shape=None, **keywords):
        torch.manual_seed(0)
        model = timm.create_model(architecture, num_classes=0, **keywords)
        card = {"name": f"{architecture}-noise", "license": "apache-2.0", "data": ["noise"]}
        return str(medzoo.save(model, tmp_path / "net", card=card | ({"input": shape} if shape else {})))

    return made


@pytest.mark.parametrize(
    ("architecture", "keywords", "size"),
    [
        ("test_resnet", {}, None),
        ("test_resnet", {}, 48),
        ("test_resnet", {"in_chans": 1}, None),
        ("test_resnet", {"shape": MINMAX}, None),
        ("test_vit", {}, None),
        ("test_vit", {"img_size": 64}, 96),
    ],
)
@pytest.mark.parametrize("classes", [0, 3])
def test_a_folder_is_known_before_it_is_loaded(folder, architecture, keywords, size, classes):
    name = folder(architecture, **keywords)
    model, side = load_at_size(name, num_classes=classes, size=size, seed=0, hub=None, accept_license=False)
    assert stored_weights(name, size, None) == loaded_weights(model, side)


@pytest.mark.parametrize("name", ["resnet18-random", "resnet18_cifar-random", "lab/tiny"])
def test_so_are_names(name, tiny_hub):
    hub = str(tiny_hub) if "/" in name else None
    model, side = load_at_size(name, num_classes=2, size=None, seed=0, hub=hub, accept_license=False)
    assert stored_weights(name, None, hub) == loaded_weights(model, side)


def test_what_is_not_here_is_not_fetched(monkeypatch, tiny_hub):
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("fetched"))
    for name in ("resnet50-mocov2-imagenet", "lab/absent", "nothing-like-this", "no/such/folder"):
        with pytest.raises(MedzooError):
            identify(name, hub=str(tiny_hub))
