"""A stored head that is left out for a fresh one is said: in a warning, and in the receipt with every tensor that was drawn."""

import sys
import warnings

import pytest
import torch
from expect import raises
from zoo_samples import CARD, draw_statistics, small_model

import medzoo
from medzoo.errors import MissingExtraError, UsageError
from medzoo.training.inputs.input_transform import load_at_size

# architecture, its keywords, and the modules that its head consists of
NETS = {
    "resnet": ("test_resnet", {}, ("fc",)),
    "vit": ("test_vit", {}, ("head",)),
    "vit with fc_norm": ("test_vit", {"global_pool": "avg"}, ("head",)),
    "convnext": ("test_convnext", {}, ("head.fc",)),
    "swin": (
        "swin_tiny_patch4_window7_224",
        {"embed_dim": 24, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8]},
        ("head.fc",),
    ),
    "two heads": ("deit_tiny_distilled_patch16_224", {"embed_dim": 48, "depth": 2}, ("head", "head_dist")),
    "a norm in the head": ("efficientvit_m0", {}, ("head",)),
}


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Folders with heads of three outputs, made when they are asked for."""
    made = {}

    def make(kind):
        if kind not in made:
            architecture, keywords, _ = NETS[kind]
            keywords = {key: tuple(value) if isinstance(value, list) else value for key, value in keywords.items()}
            model = draw_statistics(small_model(architecture, **keywords))
            card = {**CARD, "name": f"{architecture}-drawn", "input": {}, "model": {"kwargs": keywords}}
            made[kind] = model, medzoo.save(model, tmp_path_factory.mktemp("net") / "folder", card=card)
        return made[kind]

    return make


def under(names, heads):
    return {name for name in names if any(name.startswith(f"{head}.") for head in heads)}


@pytest.mark.parametrize("classes", [3, 2])
@pytest.mark.parametrize("kind", NETS)
def test_a_fresh_head_is_said_and_listed(nets, kind, classes):
    model, folder = nets(kind)
    stored, head = model.state_dict(), NETS[kind][2]
    with pytest.warns(UserWarning, match='num_classes="pretrained"') as caught:
        loaded = medzoo.load(str(folder), num_classes=classes)
    assert len(caught) == 1 and caught[0].filename == __file__
    receipt, now = loaded.load_receipt, loaded.state_dict()
    assert receipt.head == "fresh" and receipt.labels == () and "label_names" not in loaded.pretrained_cfg
    assert set(receipt.fresh) == under(now, head) and set(receipt.dropped) == under(stored, head)
    for name, tensor in now.items():  # what is not listed is the file's
        assert name in receipt.fresh or torch.equal(tensor, stored[name])
    assert any("stored head of 3 outputs (a, b, c)" in note for note in receipt.notes) == (classes == 3)


@pytest.mark.parametrize("kind", NETS)
def test_the_stored_head_and_no_head_are_quiet(nets, kind):
    model, folder = nets(kind)
    stored, head = model.state_dict(), NETS[kind][2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = medzoo.load(str(folder), num_classes="pretrained")
        features = medzoo.load(str(folder))
        meant = medzoo.load(str(folder), num_classes=3, fresh_head=True)
    assert whole.load_receipt.head == "stored" and whole.load_receipt.fresh == whole.load_receipt.dropped == ()
    assert features.load_receipt.head == "none" and features.load_receipt.fresh == ()
    assert set(features.load_receipt.dropped) == under(stored, head)
    assert whole.load_receipt.labels == features.load_receipt.labels == ("a", "b", "c")
    assert set(meant.load_receipt.fresh) == under(meant.state_dict(), head)  # the receipt says it all the same
    assert any("replaces the stored head" in note for note in meant.load_receipt.notes)


def test_a_stored_head_of_many_more_outputs(tmp_path):
    labels = [f"label {number}" for number in range(20)]
    folder = medzoo.save(small_model(num_classes=20), tmp_path / "f", card={**CARD, "labels": labels})
    with pytest.warns(UserWarning, match=r"20 outputs \(label 0, .* and 14 more\)"):
        receipt = medzoo.load(str(folder), num_classes=3).load_receipt
    assert receipt.fresh == receipt.dropped == ("fc.bias", "fc.weight")


def test_without_a_stored_head_nothing_is_discarded(tmp_path):
    folder = medzoo.save(small_model(num_classes=0), tmp_path / "f", card={**CARD, "labels": []})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        receipt = medzoo.load(str(folder), num_classes=3).load_receipt
        assert receipt.head == "fresh" and receipt.fresh == ("fc.bias", "fc.weight") and receipt.dropped == ()
        assert medzoo.load("resnet18_cifar-random", num_classes=3).load_receipt.head == "fresh"
        assert medzoo.load("resnet18_cifar-random").load_receipt.head == "none"


@pytest.mark.parametrize("wish", [{"in_chans": 1}, {"drop_path_rate": 0.1}, {"img_size": 96}, {"dtype": "float16"}])
@pytest.mark.parametrize("kind", ["vit", "a norm in the head"])
def test_other_ways_through_load(nets, kind, wish):
    if kind != "vit" and set(wish) & {"drop_path_rate", "img_size"}:
        wish = {"drop_rate": 0.1}
    model, folder = nets(kind)
    stored, head = model.state_dict(), NETS[kind][2]
    with pytest.warns(UserWarning, match="replaces it"):
        loaded = medzoo.load(str(folder), num_classes=3, **wish)
    receipt = loaded.load_receipt
    assert set(receipt.fresh) == under(loaded.state_dict(), head) and set(receipt.dropped) == under(stored, head)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = medzoo.load(str(folder), num_classes="pretrained", **wish)
        assert whole.load_receipt.labels == whole.pretrained_cfg["label_names"] == ("a", "b", "c")
        assert medzoo.load(str(folder), **wish).load_receipt.head == "none"


def test_feature_maps_and_segmenters_are_quiet(folder):
    pytest.importorskip("segmentation_models_pytorch")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert medzoo.load(str(folder), features_only=True).load_receipt.head == "none"
        assert medzoo.segmenter(str(folder), 3).load_receipt.head == "none"


def test_the_recipes_mean_a_fresh_head(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        how = {"size": None, "seed": 0, "hub": None, "accept_license": False}
        model, _ = load_at_size(str(folder), num_classes=3, **how)
        features, _ = load_at_size(str(folder), num_classes=0, **how)
    assert model.load_receipt.head == "fresh" and features.load_receipt.head == "none"


@pytest.mark.parametrize("classes", [0, "pretrained"])
def test_a_fresh_head_needs_a_number(folder, classes):
    with pytest.raises(UsageError):
        medzoo.load(str(folder), num_classes=classes, fresh_head=True)


def test_labels_of_the_registry_are_carried(entry, tmp_path):
    """A folder that was converted before the labels were stated takes them from the facts; a fresh head takes none."""
    name = entry('access = "manual"\ninstructions = "Ask."')
    torch.save(small_model().state_dict(), tmp_path / "w.pth")
    medzoo.convert(tmp_path / "w.pth", name)
    assert medzoo.load(name, num_classes="pretrained").load_receipt.labels == ()
    for labels, known in ((["x", "y", "z"], ("x", "y", "z")), (["x", "y"], ())):
        entry('access = "manual"\ninstructions = "Ask."', extra=f"[model]\nlabels = {labels}\n")
        assert medzoo.load(name, num_classes="pretrained").load_receipt.labels == known
        with pytest.warns(UserWarning):
            assert medzoo.load(name, num_classes=3).load_receipt.labels == ()


def test_a_segmenter_without_its_library_names_the_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch.base", None)
    with raises(MissingExtraError, "missing-segmentation-models-pytorch", match="recipes"):
        medzoo.segmenter(str(folder), 3)
