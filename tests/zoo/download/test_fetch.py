import json
import shutil

import pytest
import torch
from expect import raises

import medzoo
from medzoo.errors import IntegrityError, LicenseError, UsageError, WeightsUnavailableError
from medzoo.zoo.download import huggingface, upstream
from medzoo.zoo.registry.locations import cached_folder

DIRECT = 'access = "direct"\nurl = "https://example.org/x.safetensors"'
MANUAL = 'access = "manual"\nfile = "their.pt"\ninstructions = "Write to the authors."'


@pytest.fixture
def no_hub(monkeypatch):
    """Neither the Hub nor upstream may be asked."""

    def refuse(*arguments, **keywords):
        raise AssertionError("something else was contacted")

    monkeypatch.setattr(huggingface, "look_up", refuse)
    monkeypatch.setattr(upstream, "download", refuse)


def test_a_directory_is_the_hub(pristine, tmp_path, no_hub, monkeypatch):
    directory = tmp_path / "hub"
    assert medzoo.push(pristine, "org/name", hub=directory) == str(directory / "org" / "name")
    for name in ("org/name", "hf-hub:org/name"):
        assert medzoo.load(name, hub=directory).load_receipt.name == "test_resnet-drawn"
    monkeypatch.setenv("MEDZOO_HUB", str(directory))
    assert medzoo.fetch("org/name") == directory / "org" / "name"
    pinned = medzoo.load("hf-hub:org/name@v1")
    assert any("no revisions" in note for note in pinned.load_receipt.notes)
    with raises(WeightsUnavailableError, "not-in-directory-hub"):
        medzoo.load("org/nam")
    with raises(WeightsUnavailableError, "directory-hub-missing"):
        medzoo.load("org/name", hub=tmp_path / "none")


def test_a_stick_for_a_hospital(entry, pristine, tmp_path, no_hub):
    """Where there is a network: fetch --to. Where there is none: load by the registry's name."""
    name = entry(DIRECT)
    shutil.copytree(pristine, cached_folder(name))
    stick = tmp_path / "stick"
    assert medzoo.fetch(name, to=stick) == stick / "medzoo" / name
    shutil.rmtree(cached_folder(name))
    model = medzoo.load(name, hub=stick)
    assert model.load_receipt.folder == str(stick / "medzoo" / name)
    assert medzoo.list_models(downloaded=True) == []
    with raises(WeightsUnavailableError, "not-in-directory-hub"):
        medzoo.load(name, hub=tmp_path)
    again = medzoo.fetch("hf-hub:medzoo/" + name, hub=stick, to=tmp_path / "second")
    assert again == tmp_path / "second" / "medzoo" / name and not list(again.parent.glob(".tmp-*"))


def test_fetch_refuses_a_damaged_source_and_leaves_the_target(entry, pristine, tmp_path, no_hub):
    name = entry(DIRECT)
    cache = cached_folder(name)
    shutil.copytree(pristine, cache)
    good = medzoo.fetch(name, to=tmp_path)
    weights = cache / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with raises(IntegrityError, "weights-hash-wrong", match="sha256"):
        medzoo.fetch(name, to=tmp_path)
    with raises(IntegrityError, "weights-hash-wrong", match="sha256"):
        medzoo.load(name)
    medzoo.load(f"local-dir:{good}", verify="always")


def test_a_cached_folder_under_the_wrong_name(entry, pristine, no_hub):
    name = entry(DIRECT)
    shutil.copytree(pristine, cached_folder(name))
    config = cached_folder(name) / "config.json"
    rows = json.loads(config.read_text())
    rows["medzoo"]["name"] = "test_resnet-other"
    config.write_text(json.dumps(rows))
    with raises(IntegrityError, "folder-of-other-checkpoint", match="holds test_resnet-other"):
        medzoo.load(name)


def test_the_registry_pin_counts_too(entry, pristine, tmp_path, monkeypatch):
    pin = f'\n[hub]\nrepo = "medzoo/x"\nrevision = "{"a" * 40}"\nsha256 = "{"b" * 64}"\nsize = 1\n'
    name = entry(DIRECT, extra=pin)
    asked = []
    monkeypatch.setattr(
        huggingface, "snapshot", lambda repo, revision, **rest: asked.append((repo, revision)) or (pristine, "a" * 40)
    )
    with raises(IntegrityError, "weights-hash-wrong"):
        medzoo.load(name)
    assert asked == [("medzoo/x", "a" * 40)]
    digest = json.loads((pristine / "config.json").read_text())["medzoo"]["sha256"]
    path = medzoo.zoo.registry.registry.config_dir() / f"{name}.toml"
    path.write_text(path.read_text().replace("b" * 64, digest))
    assert medzoo.load(name).load_receipt.revision == "a" * 40


def test_offline_says_how_to_go_on(entry, monkeypatch):
    name = entry(DIRECT)
    monkeypatch.setattr(upstream, "download", lambda *_: pytest.fail("network"))
    with raises(WeightsUnavailableError, "network-off"):
        medzoo.load(name, local_files_only=True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with raises(WeightsUnavailableError, "network-off"):
        medzoo.load(name)
    with raises(WeightsUnavailableError, "network-off"):
        medzoo.load("hf-hub:someone/something")


@pytest.mark.parametrize("redistributable", [True, False])
def test_manual_weights_say_how(entry, redistributable):
    name = entry(MANUAL, redistributable=redistributable)
    with raises(WeightsUnavailableError, "manual-download"):
        medzoo.load(name)
    with raises(WeightsUnavailableError, "manual-download"):
        medzoo.fetch(name, local_files_only=True)


@pytest.mark.parametrize(
    ("license", "redistributable"), [("CC-BY-NC-4.0", True), ("unknown", False), ("cc-by-nc-sa-4.0", True)]
)
def test_terms_have_to_be_accepted_once(entry, pristine, private_home, monkeypatch, license, redistributable):
    name = entry(DIRECT, license, redistributable)
    shutil.copytree(pristine, cached_folder(name))
    for call in (medzoo.load, medzoo.fetch):
        with raises(
            LicenseError,
            "license-not-accepted",
            match=rf"https://example.org/terms.*accept_license=True.*MEDZOO_ACCEPT_LICENSE={name}",
        ):
            call(name)
    monkeypatch.setenv("MEDZOO_ACCEPT_LICENSE", "other,another")
    with pytest.raises(LicenseError):
        medzoo.load(name)
    monkeypatch.delenv("MEDZOO_ACCEPT_LICENSE")
    medzoo.load(name, accept_license=True)
    medzoo.load(name)  # remembered
    entry(DIRECT, "cc-by-nc-nd-4.0", redistributable)  # other terms ask again
    with pytest.raises(LicenseError):
        medzoo.load(name)
    for value in ("all", f"x, {name}"):
        shutil.rmtree(private_home / "accepted")
        monkeypatch.setenv("MEDZOO_ACCEPT_LICENSE", value)
        medzoo.load(name)


@pytest.mark.parametrize("place", ["cache", "directory hub", "upstream"])
def test_an_alias_opens_no_other_door(entry, pristine, private_home, tmp_path, monkeypatch, place):
    """Terms are asked for under every name of a checkpoint, wherever its weights lie, and remembered for all of them."""
    name = entry(DIRECT, "cc-by-nc-4.0")
    path = medzoo.zoo.registry.registry.config_dir() / f"{name}.toml"
    path.write_text('alias = ["test_resnet-old", "test_resnet-older"]\n' + path.read_text())
    monkeypatch.setattr(upstream, "download", lambda *_: pytest.fail("fetched before the terms were accepted"))
    options = {}
    if place == "cache":
        shutil.copytree(pristine, cached_folder(name))
    elif place == "directory hub":
        shutil.copytree(pristine, tmp_path / "hub" / "medzoo" / name)
        options["hub"] = tmp_path / "hub"
    for called in ("test_resnet-old", "test_resnet-older", name):
        for call in (medzoo.load, medzoo.fetch):
            with pytest.raises(LicenseError):
                call(called, **options)
    if place == "upstream":
        return
    medzoo.load("test_resnet-old", accept_license=True, **options)
    for called in ("test_resnet-older", name):
        medzoo.load(called, **options)
    shutil.rmtree(private_home / "accepted")
    monkeypatch.setenv("MEDZOO_ACCEPT_LICENSE", "test_resnet-old")
    medzoo.load("test_resnet-older", **options)


def test_free_weights_ask_nothing(entry, pristine):
    name = entry(DIRECT)
    shutil.copytree(pristine, cached_folder(name))
    assert isinstance(medzoo.load(name), torch.nn.Module)


def test_random_weights_have_no_file():
    with raises(UsageError, "nothing-to-fetch"):
        medzoo.fetch("resnet18-random")


def test_cache_dir_moves_the_cache(entry, pristine, tmp_path):
    name = entry(DIRECT)
    shutil.copytree(pristine, cached_folder(name, tmp_path / "mine"))
    assert medzoo.load(name, cache_dir=tmp_path / "mine").load_receipt.folder.startswith(str(tmp_path / "mine"))


def test_a_link_out_of_the_directory_hub(pristine, tmp_path):
    directory = tmp_path / "hub"
    (directory / "org").mkdir(parents=True)
    (directory / "org" / "name").symlink_to(pristine)
    with raises(IntegrityError, "outside-directory-hub"):
        medzoo.load("hf-hub:org/name", hub=directory)
