"""huggingface_hub loads files one by one: its cache may hold weights and configuration of a commit, and no decoder or card."""

import shutil

import pytest
import torch
from expect import raises
from huggingface_hub import HfApi, snapshot_download

import medzoo
from medzoo.errors import IntegrityError
from medzoo.zoo.registry.locations import snapshot_folder


@pytest.fixture
def partial(hub_server, segmentation_folder):
    """lab/net on the loopback Hub, and a part of it in the cache of huggingface_hub; gives its commit."""
    medzoo.push(segmentation_folder.parent, "lab/net", private=False)
    snapshot_download("lab/net", allow_patterns=["config.json", "model.safetensors"])
    hub_server.log.clear()
    return HfApi().repo_info("lab/net").sha


def outputs(name, **where):
    with torch.inference_mode():
        return medzoo.segmenter(name, **where)(torch.ones(1, 3, 64, 64) / 3)


@pytest.mark.parametrize("revision", ["", "@main", "@{}"])
def test_the_decoder_and_the_card_are_downloaded(hub_server, partial, segmentation_folder, revision):
    name = f"hf-hub:lab/net{revision.format(partial)}"
    assert torch.equal(outputs(name), outputs(str(segmentation_folder)))
    folder = medzoo.fetch(name)
    assert (folder / "README.md").is_file() and (folder / "decoder.safetensors").is_file()
    # the weights of that cache are used
    assert not hub_server.requests("GET", "*/model.safetensors")
    hub_server.log.clear()
    outputs(f"hf-hub:lab/net@{partial}")
    assert hub_server.log == []


def test_a_card_alone_is_downloaded_too(hub_server, pristine):
    medzoo.push(pristine, "lab/plain", private=False)
    snapshot_download("lab/plain", allow_patterns=["config.json", "model.safetensors"])
    commit = HfApi().repo_info("lab/plain").sha
    assert (medzoo.fetch(f"lab/plain@{commit}") / "README.md").is_file()


def test_without_a_network_the_part_is_used(hub_server, partial, monkeypatch):
    pinned = f"hf-hub:lab/net@{partial}"
    for offline in (True, False):
        if not offline:  # the Hub cannot be reached, and nothing says so
            monkeypatch.setattr("medzoo.http_download.time.sleep", lambda _: None)
            hub_server.fault("reset", path="*", times=None)
        where = {"local_files_only": offline}
        assert medzoo.load(pinned, **where)(torch.zeros(1, 3, 64, 64)).ndim == 2
        with raises(IntegrityError, "decoder-file-missing", match="medzoo fetch"):
            medzoo.segmenter(pinned, **where)


def test_a_snapshot_of_an_earlier_version_gets_its_decoder(hub_server, partial, segmentation_folder):
    """It downloaded no decoder."""
    shutil.copytree(segmentation_folder, folder := snapshot_folder("lab/net", partial))
    (folder / "decoder.safetensors").unlink()
    assert torch.equal(outputs(f"hf-hub:lab/net@{partial}"), outputs(str(segmentation_folder)))
    assert (folder / "decoder.safetensors").is_file() and not hub_server.requests("GET", "*/model.safetensors")
