"""Publishing a name to the loopback Hub: what its licence asks for goes along, and from then on load takes those bytes."""

import dataclasses
import shutil
from pathlib import Path

import pytest
from expect import raises
from huggingface_hub import HfApi, hf_hub_download
from zoo_samples import CARD, small_model

import medzoo
from medzoo import store
from medzoo.cli import app
from medzoo.errors import IntegrityError, LicenseError, PublishError, UsageError
from medzoo.zoo.folder.config import read_config
from medzoo.zoo.folder.facts import Source
from medzoo.zoo.publish.publish import notice, publish
from medzoo.zoo.registry import registry
from medzoo.zoo.registry.locations import cached_folder

DIRECT = 'access = "direct"\nurl = "https://example.org/x.safetensors"'


@pytest.fixture
def named(entry, hub_server):
    """A name with its converted folder in the cache, and an organisation medzoo on the Hub."""
    hub_server.members["medzoo"] = {hub_server.owner}

    def make(license: str = "CC-BY-NC-4.0", redistributable: bool = True) -> str:
        name = entry(DIRECT, license=license, redistributable=redistributable, extra='[citation]\ntitle = "A paper"\n')
        past = medzoo.info(name)
        medzoo.save(small_model(num_classes=0), cached_folder(name), card=past)
        return name

    return make


def test_published_and_pinned(named, hub_server):
    name = named()
    done = publish(name, private=False)
    path = registry.config_dir() / f"{name}.toml"
    assert done.written == (path,)
    pin = medzoo.info(name).hub
    assert (pin.repo, pin.revision) == (f"medzoo/{name}", HfApi().repo_info(f"medzoo/{name}").sha)
    assert pin.sha256 == store.sha256_file(cached_folder(name) / "model.safetensors") and pin.size > 0
    assert medzoo.info(name).golden is not None
    notice = Path(hf_hub_download(pin.repo, "NOTICE")).read_text()
    for words in ("CC-BY-NC-4.0", "A paper", "https://example.org/x.safetensors", "timm's names"):
        assert words in notice
    shutil.rmtree(cached_folder(name))
    model = medzoo.load(name, accept_license=True)  # from the Hub now, not from its authors
    assert model.load_receipt.revision == pin.revision and model.load_receipt.sha256 == pin.sha256
    assert medzoo.check(name).passed
    assert medzoo.list_models(downloaded=True) == [name]


def test_the_same_again_changes_nothing(named, hub_server):
    name = named()
    first = publish(name)
    text = (registry.config_dir() / f"{name}.toml").read_text()
    again = publish(name)
    assert again.pushed.unchanged and again.pushed.commit == first.pushed.commit
    assert (registry.config_dir() / f"{name}.toml").read_text() == text


def test_a_hub_that_holds_other_bytes_than_the_pin(named, hub_server):
    name = named()
    publish(name, private=False)
    path = registry.config_dir() / f"{name}.toml"
    path.write_text(path.read_text().replace(medzoo.info(name).hub.sha256, "0" * 64))
    shutil.rmtree(cached_folder(name))
    with raises(IntegrityError, "weights-hash-wrong"):
        medzoo.load(name, accept_license=True)


def test_without_the_hub_the_authors_file_is_taken(named, hub_server, monkeypatch, capsys):
    name = named("MIT")
    path = registry.config_dir() / f"{name}.toml"
    pin = f'[hub]\nrepo = "medzoo/gone"\nrevision = "{"a" * 40}"\nsha256 = "{"b" * 64}"\nsize = 1\n'
    path.write_text(path.read_text() + pin)
    folder = cached_folder(name).rename(cached_folder(name).with_name("elsewhere"))
    monkeypatch.setattr("medzoo.zoo.download.fetch.from_upstream", lambda *_, **__: folder)
    assert medzoo.load(name).load_receipt.folder == str(folder)
    assert "Using the file of its authors instead" in capsys.readouterr().err


@pytest.mark.parametrize("license", ["MIT", "BSD-3-Clause"])
def test_licences_that_ask_for_their_text(named, hub_server, license, tmp_path):
    name = named(license)
    with raises(LicenseError, "license-text-required", match=r"--license-file LICENSE"):
        publish(name, dry_run=True)
    (tmp_path / "their").write_text("Copyright (c) them")
    done = publish(name, license_file=tmp_path / "their")
    assert Path(hf_hub_download(done.upload.repo, "LICENSE")).read_text() == "Copyright (c) them"
    with raises(UsageError, "license-file-unreadable"):
        publish(name, license_file=tmp_path / "absent")


def test_apaches_text_is_at_hand(named):
    assert b"Apache License" in publish(named("Apache-2.0"), dry_run=True).upload.texts["LICENSE"]


def test_what_may_not_be_published(named, hub_server):
    with raises(LicenseError, "not-redistributable"):
        publish(named("other", redistributable=False))
    assert hub_server.log == []


@pytest.mark.parametrize("name", ["resnet50-radimagenet", "resnet50-inat2021", "resnet50-imagenet-chestxray14"])
def test_names_that_may_not_be_published(name, hub_server):
    with pytest.raises(LicenseError):
        publish(name, dry_run=True)
    with raises(UsageError, "random-weights"):
        publish("resnet50-random")
    assert hub_server.log == []


def test_a_dry_run_writes_nothing(named, hub_server):
    name = named()
    text = (registry.config_dir() / f"{name}.toml").read_text()
    done = publish(name, dry_run=True)
    shown = done.upload.describe()
    assert done.pushed is None and "NOTICE" in shown and f"medzoo/{name}" in shown and hub_server.log == []
    assert (registry.config_dir() / f"{name}.toml").read_text() == text


def test_a_registry_that_cannot_be_written_gets_the_lines(named, hub_server, monkeypatch):
    name = named()

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("medzoo.zoo.publish.publish.store.write_text", refuse)
    with raises(PublishError, "pin-not-written"):
        publish(name)


def test_the_command(named, hub_server, tmp_path):
    from typer.testing import CliRunner

    name = named()
    shown = CliRunner().invoke(app, ["publish", name, "--dry-run"])
    assert shown.exit_code == 0 and "NOTICE" in shown.output and hub_server.log == []
    done = CliRunner().invoke(app, ["publish", name, "--public"])
    assert done.exit_code == 0 and f"{name}.toml" in done.output, done.exception


@pytest.mark.parametrize(("layout", "turned"), [("keras-resnet50", True), ("moco-v2", False)])
def test_a_notice_says_that_the_channels_were_turned_round(tmp_path, layout, turned):
    config = read_config(medzoo.save(small_model(), tmp_path / "folder", card=CARD))
    source = Source(format=layout, file="x", sha256="0" * 64, size=1)
    config = dataclasses.replace(config, facts=dataclasses.replace(config.facts, source=source))
    assert ("RGB, not BGR" in notice(medzoo.info("resnet50-imagenet"), config)) == turned
