"""A folder that states no licence is given one when it goes up: in card and configuration alike, and not on this machine."""

import shutil

import pytest
import timm
import torch
from expect import raises
from huggingface_hub import HfApi
from safetensors.torch import load_file
from typer.testing import CliRunner
from zoo_samples import CARD, small_model

import medzoo
from medzoo import store
from medzoo.cli import app
from medzoo.errors import LicenseError, PublishError, UsageError
from medzoo.zoo.check.check import check
from medzoo.zoo.folder.card_checks import problems, stated_license
from medzoo.zoo.folder.config import read_config
from medzoo.zoo.publish.push import plan_push, pushed
from medzoo.zoo.registry import registry

UNKNOWN = {**CARD, "license": "unknown"}


@pytest.fixture
def unlicensed(tmp_path):
    """What a recipe leaves without --license: a run folder."""
    medzoo.save(small_model(), tmp_path / "run" / "checkpoint", card=UNKNOWN)
    (tmp_path / "run" / "status.json").write_text('{"schema": "medzoo.status/1", "state": "done"}')
    return tmp_path / "run"


def content(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def states(folder, license):
    """Whether config, lineage, timm's configuration and card all state a licence."""
    config, card = read_config(folder), (folder / "README.md").read_text()
    assert config.facts.license.id == config.facts.lineage[-1].license == config.pretrained_cfg["license"] == license
    assert (
        stated_license(card) == license
        and problems(card) == []
        and "unknown" not in card.partition("## Licence")[2].split("##")[0]
    )
    return True


@pytest.mark.parametrize("which", ["run", "run/checkpoint", "plain"])
@pytest.mark.parametrize("typed", ["cc-by-4.0", "CC-BY-4.0"])
def test_into_a_directory_hub(unlicensed, tmp_path, which, typed):
    if which == "plain":
        shutil.copytree(unlicensed / "checkpoint", tmp_path / "plain")
    folder = tmp_path / which
    before = content(folder)
    target = medzoo.push(folder, "lab/net", license=typed, hub=tmp_path / "hub")
    target = tmp_path / "hub" / "lab" / "net"
    assert states(target, "cc-by-4.0") and content(folder) == before
    assert check(str(target)).passed and (target / "model.safetensors").read_bytes() == before["model.safetensors"]
    assert 'medzoo.load("lab/net")' in (target / "README.md").read_text()
    model = medzoo.load("lab/net", hub=tmp_path / "hub", num_classes="pretrained")
    assert model.load_receipt.lineage[-1]["license"] == "cc-by-4.0" and model.load_receipt.labels == ("a", "b", "c")


def test_to_the_hub_in_one_commit_and_again_unchanged(unlicensed, hub_server):
    with raises(LicenseError, "license-unknown"):
        medzoo.push(unlicensed, "lab/net")
    assert hub_server.log == []
    first = pushed(unlicensed, "lab/net", license="mit")
    again = pushed(unlicensed, "lab/net", license="mit")
    assert not first.unchanged and again.unchanged and again.commit == first.commit
    assert states(medzoo.fetch("lab/net"), "mit")
    receipt = medzoo.load("lab/net", num_classes="pretrained").load_receipt
    assert receipt.lineage[-1]["license"] == "mit" and receipt.revision == HfApi().repo_info("lab/net").sha
    with pytest.raises(LicenseError):
        medzoo.push(unlicensed, "lab/net")  # the folder here is as it was


def test_a_dry_run_shows_it_and_writes_nothing(unlicensed, tmp_path, hub_server):
    before = content(unlicensed)
    for hub in (None, tmp_path / "hub"):
        shown = plan_push(unlicensed, "lab/net", license="mit", hub=hub).describe()
        assert 'license: "mit"' in shown and "\nmit\n" in shown
        medzoo.push(unlicensed, "lab/net", license="mit", hub=hub, dry_run=True)
    assert content(unlicensed) == before and not (tmp_path / "hub").exists() and hub_server.log == []


def test_another_licence_is_not_overwritten_silently(pristine, tmp_path, capsys):
    """The folder states apache-2.0."""
    hub = tmp_path / "hub"
    with raises(LicenseError, "license-differs", match=r"apache-2\.0.*--replace-license"):
        medzoo.push(pristine, "lab/net", license="mit", hub=hub)
    assert not hub.exists()
    medzoo.push(pristine, "lab/net", license="Apache-2.0", hub=hub)  # the same: nothing is changed
    assert (hub / "lab" / "net" / "config.json").read_bytes() == (pristine / "config.json").read_bytes()
    medzoo.push(pristine, "lab/net", license="mit", replace_license=True, hub=hub)
    assert states(hub / "lab" / "net", "mit") and "apache-2.0" in capsys.readouterr().err
    with pytest.raises(UsageError):
        medzoo.push(pristine, "lab/net", replace_license=True, hub=hub)


@pytest.mark.parametrize(
    "license",
    ["", " ", "free", "GPL-3.0-only", "unknown", "UNKNOWN", "other", 5, ["mit"], {"url": "x"}, {"id": "free"}],
)
def test_ids_that_are_no_licence(unlicensed, tmp_path, license):
    with pytest.raises(UsageError):
        medzoo.push(unlicensed, "lab/net", license=license, hub=tmp_path / "hub")
    assert not (tmp_path / "hub").exists()


def test_own_terms_need_their_address(unlicensed, tmp_path):
    terms = {"id": "other", "url": "https://example.org/terms", "note": "Research only: see there"}
    medzoo.push(unlicensed, "lab/net", license=terms, hub=tmp_path)
    assert states(tmp_path / "lab" / "net", "other")
    card = (tmp_path / "lab" / "net" / "README.md").read_text()
    assert 'license_link: "https://example.org/terms"' in card and "Research only" in card


def test_an_edited_card_keeps_its_words(unlicensed, tmp_path):
    path = unlicensed / "checkpoint" / "README.md"
    path.write_text(path.read_text().replace("## Use", "Our own words about the unknown.\n\n## Use"))
    medzoo.push(unlicensed, "lab/net", license="mit", hub=tmp_path)
    assert states(tmp_path / "lab" / "net", "mit")
    assert "Our own words about the unknown." in (tmp_path / "lab" / "net" / "README.md").read_text()
    path.write_text(path.read_text().replace("## Licence\n\nunknown", "## Licence\n\nAsk us."))
    with raises(PublishError, "card-license-edited"):
        medzoo.push(unlicensed, "lab/other", license="mit", hub=tmp_path)


def test_weights_of_others_get_no_licence_from_us(unlicensed, entry, pristine, tmp_path, hub_server, monkeypatch):
    """Neither those of the registry, nor what may not be published, nor what grew out of such weights."""
    base = {
        **CARD,
        "name": "test_resnet-base",
        "license": {"id": "other", "redistributable": False, "url": "https://example.org"},
    }
    barred = medzoo.save(small_model(), tmp_path / "barred", card=base)
    with raises(LicenseError, "not-redistributable"):
        medzoo.push(barred, "lab/net", license="mit", replace_license=True)
    grown = {**UNKNOWN, "name": "test_resnet-grown", "data": ["drawn", "b"]}
    more = medzoo.save(medzoo.load(str(barred), num_classes=3, fresh_head=True), tmp_path / "grown", card=grown)
    with raises(LicenseError, "not-redistributable"):
        medzoo.push(more, "lab/net", license="mit")
    entry(
        'access = "manual"\ninstructions = "Ask."', "unknown", redistributable=False
    )  # test_resnet-drawn of the registry
    for wish in ({}, {"replace_license": True}):
        with raises(LicenseError, "license-of-authors"):
            medzoo.push(unlicensed, "lab/net", license="mit", **wish)
    assert hub_server.log == []


def test_an_entry_of_ones_own_is_ones_own(tmp_path, private_home):
    torch.save(small_model().state_dict(), tmp_path / "w.pth")
    medzoo.add(
        tmp_path / "w.pth", "test_resnet-ours", license="unknown", data="ours", mean=[0.5] * 3, std=[0.5] * 3, size=64
    )
    folder = medzoo.fetch("test_resnet-ours")
    before = content(folder)
    medzoo.push(folder, "lab/ours", license="cc-by-4.0", hub=tmp_path / "hub")
    assert states(tmp_path / "hub" / "lab" / "ours", "cc-by-4.0") and content(folder) == before
    assert registry.info("test_resnet-ours").license.id == "unknown"


def test_a_model_has_its_licence_in_its_card(tmp_path):
    with raises(UsageError, "license-outside-card", match="card="):
        medzoo.push(small_model(), "lab/net", card=CARD, license="mit", hub=tmp_path)


def test_onto_itself_all_else_stays(unlicensed, tmp_path):
    medzoo.push(unlicensed, "lab/net", hub=tmp_path / "hub")
    place = tmp_path / "hub" / "lab" / "net"
    (place / "notes.txt").write_text("mine")
    medzoo.push(place, "lab/net", license="mit", hub=tmp_path / "hub")
    assert states(place, "mit") and (place / "notes.txt").read_text() == "mine"


def test_the_command(unlicensed, tmp_path, hub_server):
    def run(*words):
        return CliRunner().invoke(app, ["push", str(unlicensed), "lab/net", *map(str, words)])

    assert isinstance(run().exception, LicenseError) and "--license ID" in str(run().exception)
    done = run("--license", "cc-by-4.0")
    assert done.exit_code == 0 and "nothing was written" in run("--license", "cc-by-4.0").output
    assert 'license: "cc-by-4.0"' in run("--license", "cc-by-4.0", "--dry-run").output
    assert isinstance(run("--license", "free").exception, UsageError)
    assert isinstance(run("--license-url", "https://example.org").exception, UsageError)
    assert isinstance(run("--license", "other").exception, UsageError)
    other = run("--license", "other", "--license-url", "https://example.org/terms", "--hub", tmp_path / "hub")
    assert other.exit_code == 0 and states(tmp_path / "hub" / "lab" / "net", "other")


def test_class_names_go_all_the_way_round(unlicensed, tmp_path):
    """Pushed, fetched onto a stick, and read there by medzoo, timm and transformers."""
    transformers = pytest.importorskip("transformers")
    medzoo.push(unlicensed, "lab/net", license="mit", hub=tmp_path / "hub")
    stick = medzoo.fetch("lab/net", hub=tmp_path / "hub", to=tmp_path / "stick")
    for place in (str(unlicensed), str(unlicensed / "checkpoint"), str(stick)):
        model = medzoo.load(place, num_classes="pretrained")
        assert model.load_receipt.labels == model.pretrained_cfg["label_names"] == ("a", "b", "c")
    assert list(timm.create_model(f"local-dir:{stick}", pretrained=True).pretrained_cfg["label_names"]) == [
        "a",
        "b",
        "c",
    ]
    classifier = transformers.AutoModelForImageClassification.from_pretrained(stick)
    assert classifier.config.id2label == {0: "a", 1: "b", 2: "c"}
    again = medzoo.save(model, tmp_path / "again", card={**CARD, "labels": model.load_receipt.labels})
    assert read_config(again).label_names == ("a", "b", "c")
    assert store.sha256_file(again / "model.safetensors") == store.sha256_file(stick / "model.safetensors")
    assert load_file(again / "model.safetensors").keys() == load_file(stick / "model.safetensors").keys()
