"""Without network every way to the weights that does not need one is told."""

import pytest
from expect import raises

import medzoo
from medzoo.errors import WeightsUnavailableError
from medzoo.zoo.registry.locations import elsewhere, is_folder

DIRECT = 'access = "direct"\nurl = "https://example.org/files/w.pth.tar"'
ON_HUB = 'access = "direct"\nhub = "lab/weights"\nrevision = "{}"\nfile = "model.safetensors"'.format("a" * 40)
BY_HAND = 'access = "manual"\nurl = "https://example.org"\nfile = "Net.pt"\ninstructions = "Ask the authors."'
NOBODY = 'access = "recipe"\ninstructions = "Train it."'
WAYS = {
    DIRECT: r"download https://example\.org/files/w\.pth\.tar on another machine.*`medzoo convert w\.pth\.tar test_resnet-drawn`",
    ON_HUB: r"download https://huggingface\.co/lab/weights/resolve/a{40}/model\.safetensors on another machine.*"
    r"`medzoo convert model\.safetensors test_resnet-drawn`",
    BY_HAND: r"Ask the authors\. Then run `medzoo convert Net\.pt test_resnet-drawn`",
}


@pytest.mark.parametrize("upstream", WAYS, ids=["direct", "hub", "by hand"])
@pytest.mark.parametrize("how", ["argument", "variable"])
def test_an_offline_machine(entry, monkeypatch, upstream, how, private_home):
    name = entry(upstream)
    if how == "variable":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for call in (medzoo.load, medzoo.fetch):
        with raises(WeightsUnavailableError, ("network-off", "manual-download"), match=WAYS[upstream]) as caught:
            call(name, local_files_only=how == "argument")
        assert f"of {name}" in str(caught.value)


@pytest.mark.parametrize("upstream", WAYS, ids=["direct", "hub", "by hand"])
def test_a_directory_hub_that_lacks_it(entry, tmp_path, upstream, private_home):
    name = entry(upstream)
    (tmp_path / "hub").mkdir()
    with raises(WeightsUnavailableError, "not-in-directory-hub", match=WAYS[upstream]):
        medzoo.load(name, hub=tmp_path / "hub")


def test_an_address_that_cannot_be_reached(entry, monkeypatch, private_home):
    from medzoo import http_download as http

    monkeypatch.setattr(http, "TRIES", 1)
    with raises(WeightsUnavailableError, "download-failed", match=WAYS[DIRECT]):
        medzoo.load(entry(DIRECT))
    assert not is_folder(private_home / "checkpoints" / "test_resnet-drawn")


def test_what_nobody_published_promises_no_file(entry):
    assert elsewhere(medzoo.info(entry(NOBODY))) == ""
