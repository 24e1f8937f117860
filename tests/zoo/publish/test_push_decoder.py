"""A folder with a trained decoder: pushed, fetched and copied as a whole, verified, and refused if the decoder is damaged."""

import pytest
import torch
from expect import raises
from huggingface_hub import HfApi

import medzoo
from medzoo.errors import IntegrityError
from medzoo.training.segmentation.network import decoder_state
from medzoo.zoo.folder.card_checks import problems
from medzoo.zoo.folder.facts import TrainedDecoder
from medzoo.zoo.publish.push import plan_push


@pytest.fixture
def trained(tmp_path):
    """A folder as a segmentation run leaves it."""
    network = medzoo.segmenter("resnet10t-random", classes=1, size=64)
    whole = medzoo.load("resnet10t-random")
    whole.load_state_dict({**whole.state_dict(), **network.encoder.model.state_dict()})
    facts = TrainedDecoder("unet", ("vessel",), 64, "0" * 64)
    card = {"name": "resnet10t-vessels", "license": "mit", "data": ["drive"], "input": {"size": 64}}
    return medzoo.save(whole, tmp_path / "run" / "checkpoint", card=card, decoder=(facts, decoder_state(network)))


def outputs(name, **where):
    with torch.inference_mode():
        return medzoo.segmenter(name, **where)(torch.ones(1, 3, 64, 64) / 3)


def test_to_the_hub_and_back(trained, hub_server):
    hub_server.members["org"] = {hub_server.owner}
    assert "decoder.safetensors" in plan_push(trained.parent, "org/vessels").describe()
    medzoo.push(trained.parent, "org/vessels")
    files = {row.rfilename for row in HfApi().repo_info("org/vessels", files_metadata=True).siblings}
    assert {"decoder.safetensors", "model.safetensors", "config.json", "README.md"} <= files
    assert torch.equal(outputs("hf-hub:org/vessels"), outputs(str(trained)))
    card = (trained / "README.md").read_text()
    assert (
        "medzoo.segmenter(" in card and "image-segmentation" in card and "vessel" in card and not list(problems(card))
    )
    assert medzoo.load("org/vessels")(torch.zeros(1, 3, 64, 64)).ndim == 2  # the encoder alone
    assert "org/vessels" in medzoo.push(trained.parent, "org/vessels")


def test_through_directory_hubs(trained, tmp_path):
    medzoo.push(trained.parent, "lab/vessels", hub=tmp_path / "stick")
    assert torch.equal(outputs("lab/vessels", hub=tmp_path / "stick"), outputs(str(trained)))
    copy = medzoo.fetch(str(trained), to=tmp_path / "other")
    assert torch.equal(outputs(str(copy)), outputs(str(trained)))


def test_a_damaged_or_missing_decoder_is_not_pushed(trained, tmp_path):
    file = trained / "decoder.safetensors"
    content = file.read_bytes()
    for damage, code in (
        (content[:-1] + bytes([content[-1] ^ 1]), "decoder-hash-wrong"),
        (None, "decoder-file-missing"),
    ):
        file.unlink()
        if damage is not None:
            file.write_bytes(damage)
        for hub in (tmp_path / "stick", None):
            with raises(IntegrityError, code):
                medzoo.push(trained.parent, "lab/vessels", hub=hub, dry_run=hub is None)
        assert not (tmp_path / "stick" / "lab" / "vessels").exists()
