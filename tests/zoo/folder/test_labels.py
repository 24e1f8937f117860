"""What the outputs of a stored head mean: stated facts that have to fit the file's head, and that stay with the weights."""

import json

import pytest
import timm
import torch
from expect import raises
from zoo_samples import CARD, small_model

import medzoo
from medzoo.errors import ConversionError, RegistryError
from medzoo.zoo.add import add
from medzoo.zoo.check.check import check
from medzoo.zoo.folder.card import card_of, render_entry
from medzoo.zoo.folder.config import read_config
from medzoo.zoo.registry import registry

UPSTREAM = 'access = "manual"\ninstructions = "Ask."'
FACTS = {"license": "mit", "data": "ours", "mean": [0.5] * 3, "std": [0.5] * 3, "size": 64}
CHESTXRAY14 = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
    "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia",
)  # fmt: skip


@pytest.fixture
def labelled(entry, tmp_path):
    """An entry that names three outputs, and a file with so many."""
    name = entry(UPSTREAM, extra='[model]\nlabels = ["normal", "pneumonia", "unsure"]\n')

    def file(classes: int):
        torch.save(small_model(num_classes=classes).state_dict(), tmp_path / "w.pth")
        return tmp_path / "w.pth"

    return name, file


def test_labels_that_fit_are_stored(labelled, private_home):
    name, file = labelled
    folder = medzoo.convert(file(3), name)
    assert read_config(folder).label_names == ("normal", "pneumonia", "unsure")
    assert json.loads((folder / "config.json").read_text())["label_names"] == ["normal", "pneumonia", "unsure"]
    assert next(row for row in check(name).rows if row.check == "labels").result == "PASS"
    assert timm.create_model(f"local-dir:{folder}", pretrained=True).pretrained_cfg["label_names"][1] == "pneumonia"
    assert "0. normal\n1. pneumonia" in card_of(str(folder)) and "classifier of 3 outputs" in card_of(str(folder))


@pytest.mark.parametrize("classes", [0, 2, 4])
def test_labels_that_do_not_fit_are_refused(labelled, classes, tmp_path):
    name, file = labelled
    with raises(ConversionError, "label-count-mismatch"):
        medzoo.convert(file(classes), name, out=tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_without_labels_nothing_is_invented(entry, tmp_path):
    torch.save(small_model(num_classes=3).state_dict(), tmp_path / "w.pth")
    folder = medzoo.convert(tmp_path / "w.pth", entry(UPSTREAM), out=tmp_path / "f")
    assert read_config(folder).label_names == () and "label_names" not in (folder / "config.json").read_text()


def test_labels_of_ones_own(tmp_path, private_home):
    torch.save(small_model(num_classes=3).state_dict(), tmp_path / "w.pth")
    with raises(ConversionError, "label-count-mismatch"):
        add(tmp_path / "w.pth", "test_resnet-ours", labels=["a", "b"], **FACTS)
    add(tmp_path / "w.pth", "test_resnet-ours", labels=["a", "b", "c"], **FACTS)
    assert medzoo.info("test_resnet-ours").model.labels == ("a", "b", "c")
    assert "labels  a, b, c" in str(medzoo.info("test_resnet-ours"))
    model = medzoo.load("test_resnet-ours", num_classes="pretrained")
    assert read_config(medzoo.fetch("test_resnet-ours")).label_names == ("a", "b", "c")
    again = medzoo.save(model, tmp_path / "again", card=medzoo.info("test_resnet-ours"))  # the entry is a card, too
    assert read_config(again).label_names == ("a", "b", "c")
    headless = medzoo.save(medzoo.load("test_resnet-ours"), tmp_path / "headless", card=medzoo.info("test_resnet-ours"))
    assert read_config(headless).label_names == ()


@pytest.mark.parametrize("labels", ['["a", "a"]', '["a", " "]', '"a"', "[1, 2]"])
def test_labels_that_are_none(tmp_path, entry, labels):
    name = entry(UPSTREAM, extra=f"[model]\nlabels = {labels}\n")
    with raises(RegistryError, ("labels-invalid", "not-a-list", "wrong-type"), match="labels"):
        registry.read_checkpoint(registry.config_dir() / f"{name}.toml")


def test_the_labels_of_the_registry():
    known = {name: medzoo.info(name).model.labels for name in registry.names() if medzoo.info(name).model.labels}
    assert set(known) == {"resnet50-chestxray14", "resnet50-imagenet-chestxray14", "densenet121-cxr_all_xrv"}
    assert known["resnet50-chestxray14"] == known["resnet50-imagenet-chestxray14"] == CHESTXRAY14
    xrv = known["densenet121-cxr_all_xrv"]
    # of the operating points that TorchXRayVision publishes, one a target, its NIH net lacks those that NIH has no labels of
    assert len(xrv) == 18 and set(xrv[:14]) == set(CHESTXRAY14)
    assert xrv[14:] == ("Lung Lesion", "Fracture", "Lung Opacity", "Enlarged Cardiomediastinum")
    text = render_entry(medzoo.info("densenet121-cxr_all_xrv"))
    assert "with a classifier of 18 outputs" in text and "17. Enlarged Cardiomediastinum" in text


def test_a_card_says_single_label_only_where_that_is_known(tmp_path):
    trained = medzoo.save(small_model(), tmp_path / "f", card=CARD)
    assert "single-label classifier of 3 outputs" in card_of(str(trained))
