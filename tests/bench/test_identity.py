"""The identity of a run is the same before its weights are loaded and after."""

import pytest
import timm
import torch
from expect import raises
from zoo_samples import OWN_ENTRY, small_model

import medzoo
from medzoo.bench.cell_options import CellOptions
from medzoo.bench.dry_run import missing_of
from medzoo.bench.identity import known_result, loaded_weights, stored_weights
from medzoo.bench.suite_options import places_of
from medzoo.bench.suites.read import load_suite
from medzoo.errors import LicenseError, MedzooError
from medzoo.training.inputs.input_transform import load_at_size
from medzoo.zoo.check.check import check
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


TASK = "phantom_oct,n=8,n_validation=4,n_test=4"
SUITE = f'seeds = [0]\ncheckpoints = ["test_resnet-ours"]\n[[tasks]]\nname = "{TASK}"\ntitle = "OCT"\n'


def dry_run(name, tmp_path):
    (tmp_path / "suite.toml").write_text(SUITE)
    suite = load_suite(tmp_path / "suite.toml")
    return missing_of(suite, places_of(suite, tmp_path / "out", device="cpu"))


def look_up(name, tmp_path):
    return known_result(
        CellOptions(checkpoint=name, task=TASK, out=str(tmp_path / "out"), results=str(tmp_path / "r")), "finetune"
    )


@pytest.mark.parametrize(
    "look", [dry_run, look_up, lambda name, _: check(name), lambda name, _: identify(name)],
    ids=["dry run", "known result", "check", "identify"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["cache", "directory hub"])
def test_looking_is_not_accepting(private_home, tmp_path, monkeypatch, look, place):
    name, card = "test_resnet-ours", {"license": "cc-by-nc-4.0", "data": ["ours"]}
    (private_home / "hub_configs").mkdir(parents=True)
    (private_home / "hub_configs" / f"{name}.toml").write_text(OWN_ENTRY.replace('"mit"', '"cc-by-nc-4.0"'))
    folder = private_home / "checkpoints" / name
    if place == "directory hub":
        folder = tmp_path / "hub" / "medzoo" / name
        monkeypatch.setenv("MEDZOO_HUB", str(tmp_path / "hub"))
    half = {"size": 64, "mean": [0.5] * 3, "std": [0.5] * 3}
    medzoo.save(small_model(num_classes=0), folder, card={"name": name, "input": half, **card})
    found = look(name, tmp_path)
    assert not getattr(found, "unknown", None) and not (private_home / "accepted").exists()
    with raises(LicenseError, "license-not-accepted"):
        medzoo.load(name)
