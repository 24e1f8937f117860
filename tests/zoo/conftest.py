"""A small folder to load, made once; tests copy it before they damage it."""

import shutil
from pathlib import Path

import pytest
import torch
from zoo_samples import CARD, ENTRY, small_model

import medzoo


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return medzoo.save(small_model(), tmp_path_factory.mktemp("pristine") / "folder", card=CARD)


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    target = tmp_path / "folder"
    shutil.copytree(pristine, target)
    return target


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of one's own: TOML files that a test writes."""
    folder = tmp_path / "hub_configs"
    folder.mkdir()
    monkeypatch.setattr("medzoo.zoo.registry.registry.config_dir", lambda: folder)
    return folder


@pytest.fixture
def entry(configs: Path):
    """Write an entry `test_resnet-drawn`."""

    def write(upstream: str, license: str = "MIT", redistributable: bool = True, extra: str = "") -> str:
        text = ENTRY.format(upstream=upstream, license=license, redistributable=str(redistributable).lower())
        (configs / "test_resnet-drawn.toml").write_text(text + extra)
        return "test_resnet-drawn"

    return write


@pytest.fixture
def segmentation_folder(tmp_path: Path) -> Path:
    """A folder as a segmentation run leaves it."""
    from medzoo.training.segmentation.network import decoder_state
    from medzoo.zoo.folder.facts import TrainedDecoder

    network = medzoo.segmenter("resnet10t-random", classes=1, size=64)
    whole = medzoo.load("resnet10t-random")
    whole.load_state_dict({**whole.state_dict(), **network.encoder.model.state_dict()})
    facts = TrainedDecoder("unet", ("vessel",), 64, "0" * 64)
    card = {"name": "resnet10t-vessels", "license": "mit", "data": ["drive"], "input": {"size": 64}}
    return medzoo.save(whole, tmp_path / "run" / "checkpoint", card=card, decoder=(facts, decoder_state(network)))
