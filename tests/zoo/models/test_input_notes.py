"""The rule of an input travels where timm's configuration travels: config.json, timm's networks, folders made of them."""

import json

import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from zoo_samples import CARD, small_model

import medzoo
from medzoo.data.images.pixels import Pixels
from medzoo.training.inputs.input_transform import convention_of
from medzoo.zoo.folder.card import card_of, render_entry
from medzoo.zoo.models.input_notes import from_notes, to_notes, window_of_notes

RULE = {"rule": "per_image_minmax", "clip": [-1024.0, 3072.0]}


@pytest.fixture
def minmax(tmp_path):
    """A folder whose input is clipped and stretched image by image."""
    card = {**CARD, "input": {**CARD["input"], **RULE}}
    return medzoo.save(small_model(), tmp_path / "minmax", card=card)


@given(
    st.sampled_from(["unit", "per_image_minmax"]),
    st.none() | st.tuples(st.floats(-4000, 0), st.floats(1, 4000)),
)
def test_what_is_noted_is_read_back(rule, clip):
    notes = to_notes(rule, clip)
    assert from_notes({"notes": notes}) == (rule, clip) and from_notes({"notes": list(notes)}) == (rule, clip)


@pytest.mark.parametrize(
    "notes",
    [None, (), "trained long", ("medzoo input rule: guess",), ("medzoo input clip: a to b HU",),
     ("medzoo input clip: 5 to 1 HU",), ("medzoo input clip: nan to 1 HU",), (3, None)],
)  # fmt: skip
def test_other_notes_mean_nothing(notes):
    assert from_notes({"notes": notes}) == ("unit", None) and from_notes({}) == ("unit", None)


@pytest.mark.parametrize("window", [None, "-45:105 HU", "0:4095", "percentile:1,99", "-1.5e3:2e3"])
def test_a_noted_window_is_read_back(window):
    notes = to_notes("unit", None, window)
    assert window_of_notes({"notes": notes}) == window and from_notes({"notes": notes}) == ("unit", None)
    assert len(notes) == (window is not None)


@pytest.mark.parametrize(
    "notes", [None, (), "medzoo input window: ", "medzoo input window: __import__('os')", (3, None)]
)
def test_other_notes_are_no_window(notes):
    assert window_of_notes({"notes": notes}) is None


def test_the_plain_rule_leaves_no_note(folder, minmax):
    plain, own = (json.loads((path / "config.json").read_text())["pretrained_cfg"] for path in (folder, minmax))
    assert "notes" not in plain and own["notes"] == list(to_notes(RULE["rule"], RULE["clip"]))


def test_a_network_that_timm_loaded_keeps_its_rule(minmax):
    theirs = timm.create_model(f"local-dir:{minmax}", pretrained=True, num_classes=0).eval()
    ours = medzoo.load(str(minmax))
    assert convention_of(theirs) == convention_of(ours) and convention_of(theirs).rule == "per_image_minmax"
    dim = np.random.default_rng(0).integers(10, 60, (64, 64), dtype=np.uint8)
    assert torch.equal(medzoo.transform(theirs)(dim), medzoo.transform(ours)(dim))
    assert torch.equal(medzoo.transform(theirs)(dim), medzoo.transform(minmax)(dim))
    scan = Pixels(np.linspace(-3000, 9000, 64 * 64).reshape(64, 64), (-32768.0, 32767.0), "HU")
    assert torch.equal(medzoo.transform(theirs)(scan), medzoo.transform(ours)(scan))


def test_features_only_and_grey_stems_keep_it_too(minmax):
    for wish in ({"features_only": True}, {"in_chans": 1}):
        theirs = timm.create_model(f"local-dir:{minmax}", pretrained=True, **wish)
        assert convention_of(theirs).rule == "per_image_minmax"


def test_saved_again_from_timms_network_the_rule_stays(minmax, tmp_path):
    theirs = timm.create_model(f"local-dir:{minmax}", pretrained=True)
    again = medzoo.save(theirs, tmp_path / "again", card={**CARD, "input": {}})
    assert medzoo.load(str(again)).load_receipt.input_rule == "per_image_minmax"
    assert medzoo.load(str(again)).load_receipt.input_clip == (-1024.0, 3072.0)
    timm.models.save_for_hf(theirs, tmp_path / "theirs", safe_serialization=True)
    assert medzoo.load(str(tmp_path / "theirs")).load_receipt.input_rule == "per_image_minmax"


def test_the_card_offers_no_processor_that_lacks_the_rule(folder, minmax):
    for text in (card_of(str(minmax)), render_entry(medzoo.info("resnet50-simclr-radnet12m"))):
        assert "import AutoModel\n" in text and "AutoImageProcessor.from_pretrained" not in text
        assert "do not do the scaling by each image's minimum and maximum" in text
    for text in (card_of(str(folder)), render_entry(medzoo.info("resnet50-imagenet"))):
        assert "AutoImageProcessor.from_pretrained" in text and "do not do" not in text


def test_transformers_takes_the_note_along(minmax):
    transformers = pytest.importorskip("transformers")
    config = transformers.AutoModel.from_pretrained(minmax).config
    assert from_notes(config.pretrained_cfg) == ("per_image_minmax", (-1024.0, 3072.0))


def test_the_card_says_how_an_image_becomes_square():
    cropped, squashed = (render_entry(medzoo.info(name)) for name in ("resnet50-imagenet", "resnet50-radimagenet"))
    for text in (cropped, squashed):
        assert "resizes the whole image to a square of this size (antialiased bilinear)" in text
    assert "as the authors did:\nbilinear, 0.875 of the shorter side." in cropped
    assert "crop the centre:\nbilinear, the whole of the shorter side." in squashed


@pytest.fixture
def windowed(tmp_path):
    """The folder of a fine-tuning whose images were clipped."""

    def make(window):
        return medzoo.save(small_model(), tmp_path / "windowed", card={**CARD, "evaluation": {"window": window}})

    return make


SCAN = Pixels(np.linspace(-3000, 9000, 64 * 64).reshape(64, 64), (-32768.0, 32767.0), "HU")


@pytest.mark.parametrize("window", ["-45:105 HU", "0:4095", "percentile:1,99"])
def test_a_network_that_timm_loaded_keeps_the_window_of_its_fine_tuning(windowed, window, tmp_path):
    folder = windowed(window)
    theirs = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    plain = medzoo.transform(folder, window="none")(SCAN)
    for name_or_model in (folder, theirs, medzoo.load(str(folder))):
        found = medzoo.transform(name_or_model)(SCAN)
        assert torch.equal(found, medzoo.transform(str(folder))(SCAN)) and not torch.allclose(found, plain)
    # a folder that timm wrote has no facts of medzoo
    timm.models.save_for_hf(theirs, tmp_path / "theirs", safe_serialization=True)
    for name_or_model in (tmp_path / "theirs", medzoo.load(str(tmp_path / "theirs"))):
        assert torch.equal(medzoo.transform(name_or_model)(SCAN), medzoo.transform(theirs)(SCAN))


@pytest.mark.parametrize("given", [{}, {"evaluation": {"views": "flip"}}])
@pytest.mark.parametrize("by", ["medzoo", "timm", "features"])
def test_saved_again_the_window_stays(windowed, tmp_path, by, given):
    folder = windowed("-45:105 HU")
    model = {
        "medzoo": lambda: medzoo.load(str(folder), num_classes="pretrained"),
        "timm": lambda: timm.create_model(f"local-dir:{folder}", pretrained=True),
        "features": lambda: medzoo.load(str(folder)),
    }[by]()
    card = {**CARD, **given} if by != "features" else {**CARD, "labels": [], **given}
    again = medzoo.save(model, tmp_path / "again", card=card)
    block = json.loads((again / "config.json").read_text())["medzoo"]
    assert block["schema"] == "medzoo.folder/3" and block["evaluation"]["window"] == "-45:105 HU"
    assert block["evaluation"].get("views") == given.get("evaluation", {}).get("views", "none")
    assert torch.equal(medzoo.transform(again)(SCAN), medzoo.transform(folder)(SCAN))


def test_a_card_takes_another_window_or_none(windowed, tmp_path):
    model = medzoo.load(str(windowed("-45:105 HU")), num_classes="pretrained")
    other = medzoo.save(model, tmp_path / "other", card={**CARD, "evaluation": {"window": "0:100 HU"}})
    assert medzoo.load(str(other)).load_receipt.input_window == "0:100 HU"
    none = medzoo.save(model, tmp_path / "none", card={**CARD, "evaluation": {"window": "none"}})
    config = json.loads((none / "config.json").read_text())
    assert config["medzoo"]["schema"] == "medzoo.folder/1" and "notes" not in config["pretrained_cfg"]
    assert medzoo.load(str(none)).load_receipt.input_window is None


def test_a_folder_of_an_earlier_version_keeps_its_window(windowed):
    """Its pretrained_cfg has no note."""
    folder = windowed("0:4095")
    config = json.loads((folder / "config.json").read_text())
    del config["pretrained_cfg"]["notes"]
    (folder / "config.json").write_text(json.dumps(config))
    assert medzoo.load(str(folder)).load_receipt.input_window == "0:4095"
