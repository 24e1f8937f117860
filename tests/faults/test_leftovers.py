"""What a kill left behind is seen for what it is: half entries, half cards, downloads nobody needs, folders of other facts."""

import os
import time
from types import SimpleNamespace

import pytest
import timm
import torch
from expect import raises
from huggingface_hub import HfApi
from typer.testing import CliRunner

import medzoo
from medzoo import paths
from medzoo.cli import app
from medzoo.errors import IntegrityError
from medzoo.zoo.add import add
from medzoo.zoo.cache import prune
from medzoo.zoo.download import huggingface
from medzoo.zoo.folder import card as cards
from medzoo.zoo.registry import registry
from medzoo.zoo.registry.locations import cached_folder

ENTRY = """
architecture = "test_resnet"
[input]
size = 64
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
[pretraining]
data = ["drawn"]
[upstream]
format = "timm"
access = "manual"
instructions = "Ask."
[license]
id = "MIT"
redistributable = true
"""
OWN = "test_resnet-ours"
FACTS = {"license": "mit", "data": "ours", "std": [0.2, 0.3, 0.4], "size": 64, "redistributable": True}


@pytest.fixture
def weights(tmp_path):
    """Files of two sets of weights."""
    files = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        files.append(tmp_path / f"{seed}.pth")
        torch.save(timm.create_model("test_resnet", num_classes=0).state_dict(), files[-1])
    return files


def test_f26_half_an_entry_is_no_checkpoint(tmp_path, monkeypatch):
    """A release that was killed while it wrote the pin left a temporary file beside the entries."""
    monkeypatch.setattr(registry, "config_dir", lambda: tmp_path)
    (tmp_path / "test_resnet-drawn.toml").write_text(ENTRY)
    (tmp_path / ".tmp-0123456789ab-test_resnet-drawn.toml").write_text(ENTRY[:40])
    assert medzoo.list_models() == ["test_resnet-drawn"]
    done = CliRunner().invoke(app, ["list"])
    assert done.exit_code == 0 and ".tmp-" not in done.output


def test_f26_half_a_card_is_no_card(tmp_path, monkeypatch):
    (tmp_path / ".tmp-0123456789ab-resnet50-imagenet.md").write_text("---\n")
    monkeypatch.setattr(cards, "paths", SimpleNamespace(data_dir=lambda name: tmp_path))
    assert cards.committed_cards() == {} and cards.untrue_cards() == []


def test_f26_an_own_entry_gives_way_to_other_facts(weights):
    add(weights[0], OWN, mean=[0.1, 0.1, 0.1], **FACTS)
    add(weights[1], OWN, mean=[0.5, 0.5, 0.5], replace_old=True, **FACTS)
    assert medzoo.info(OWN).input.mean == (0.5, 0.5, 0.5)
    assert torch.equal(medzoo.load(OWN).state_dict()["conv1.0.weight"], torch.load(weights[1])["conv1.0.weight"])


def test_f26_weights_under_another_normalisation_are_refused(weights):
    """`add --replace` was killed when the folder was new and the entry was not."""
    add(weights[0], OWN, mean=[0.1, 0.1, 0.1], **FACTS)
    entry = registry.own_dir() / f"{OWN}.toml"
    old = entry.read_text()
    add(weights[1], OWN, mean=[0.5, 0.5, 0.5], replace_old=True, **FACTS)
    new = entry.read_text()
    entry.write_text(old)
    for use in (medzoo.load, medzoo.fetch):
        with raises(IntegrityError, "folder-contradicts-entry"):
            use(OWN)
    entry.write_text(new)
    assert medzoo.load(OWN) is not None


def test_f26_more_files_of_a_commit_than_before(hub_server, tiny_hub):
    """An upstream file of a repository came first, and then the repository is loaded as a whole."""
    medzoo.push(tiny_hub / "lab" / "tiny", "lab/net", private=False)
    commit = HfApi().repo_info("lab/net").sha
    hub_server.log.clear()
    huggingface.hub_file("lab/net", "model.safetensors", None, token=None, offline=False, cache_dir=None)
    model = medzoo.load("lab/net")
    assert model.load_receipt.revision == commit and medzoo.check("lab/net").passed
    assert len(hub_server.requests("GET", "*/model.safetensors")) == 1  # what is here is not fetched again


def test_f26_a_download_that_was_used_goes_after_a_day():
    home = paths.home() / "upstream"
    card = {"name": "here-x", "license": "mit", "data": ["x"]}
    medzoo.save(timm.create_model("test_resnet", num_classes=0), cached_folder("here-x"), card=card)
    files = [home / name / "x.pth" for name in ("here-x", "not_yet-x")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x" * 10)
    strays = [home / "here-x" / ".tmp-0123456789ab-x.pth.part.json"]
    strays += [paths.home() / "snapshots" / "lab--net" / ".tmp-0123456789ab-first.json"]
    for stray in strays:
        stray.parent.mkdir(parents=True, exist_ok=True)
        stray.write_text("{")
    assert prune() == []  # it may be in use
    for path in (*files, *strays):
        past = time.time() - 2 * 24 * 3600
        os.utime(path, (past, past))
    prune()
    assert [path.exists() for path in (*files, *strays)] == [False, True, False, False]
