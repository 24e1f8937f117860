"""Pushes to the loopback Hub, over HTTP and by the real client, and into directories."""

import json

import pytest
import torch
from expect import raises
from huggingface_hub import HfApi
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner
from zoo_samples import CARD, small_model

import medzoo
from medzoo import store
from medzoo.cli import app
from medzoo.errors import (
    CardError,
    IntegrityError,
    LicenseError,
    PublishError,
    UsageError,
    WeightsMismatchError,
)
from medzoo.zoo.publish import upload
from medzoo.zoo.publish.push import plan_push, pushed


def held(repo="org/name", revision=None):
    """The files of a repository at the loopback Hub, with their sizes."""
    return {row.rfilename: row.size for row in HfApi().repo_info(repo, revision=revision, files_metadata=True).siblings}


def commits(repo="org/name"):
    return [row.title for row in HfApi().list_repo_commits(repo)]


@pytest.fixture
def hub(hub_server):
    for name in ("org",):
        hub_server.members[name] = {hub_server.owner}
    return hub_server


def test_one_commit_of_the_allowed_files(pristine, folder, hub):
    (folder / "optimizer.bin").write_text("private")
    address = medzoo.push(folder, "org/name")
    files = held()
    assert set(files) == {"model.safetensors", "config.json", "README.md", ".gitattributes"}
    assert files["model.safetensors"] == (pristine / "model.safetensors").stat().st_size
    info = HfApi().repo_info("org/name")
    assert info.private and address.endswith(info.sha) and commits()[0] == "Publish test_resnet-drawn"
    assert len([entry for entry in hub.requests("POST", "*/commit/*") if entry.status == 200]) == 1
    model = medzoo.load("org/name")
    assert torch.equal(model.conv1[0].weight, load_file(folder / "model.safetensors")["conv1.0.weight"])
    card = (store_of(model) / "README.md").read_text()
    assert 'medzoo.load("org/name")' in card and "hf-hub:org/name" in card


def store_of(model):
    from pathlib import Path

    return Path(model.load_receipt.folder)


def test_f44_the_same_again_changes_nothing(folder, hub):
    first = medzoo.push(folder, "org/name")
    assert medzoo.push(folder, "org/name") == first and commits().count("Publish test_resnet-drawn") == 1
    config = json.loads((folder / "config.json").read_text())
    config["medzoo"]["note"] = "another note"
    (folder / "config.json").write_text(json.dumps(config))
    medzoo.push(folder, "org/name")
    assert commits().count("Publish test_resnet-drawn") == 2
    assert len(hub.requests("PUT")) == 1  # the weights went up once


def test_f44_somebody_commits_meanwhile(folder, hub, monkeypatch):
    medzoo.push(folder, "org/name")
    (folder / "README.md").write_text((folder / "README.md").read_text() + "\nMore.\n")
    seen = upload._changed

    def look_and_be_overtaken(*given):
        found = seen(*given)
        HfApi().upload_file(path_or_fileobj=b"x", path_in_repo="notes.txt", repo_id="org/name")
        return found

    monkeypatch.setattr(upload, "_changed", look_and_be_overtaken)
    with raises(PublishError, "committed-meanwhile"):
        medzoo.push(folder, "org/name")
    assert commits()[0] != "Publish test_resnet-drawn"
    monkeypatch.setattr(upload, "_changed", seen)
    medzoo.push(folder, "org/name")
    assert "notes.txt" in held()  # what others put there stays


def test_branch_pull_request_and_publicity(folder, hub):
    medzoo.push(folder, "org/name", private=False)
    assert not HfApi().repo_info("org/name").private
    (folder / "README.md").write_text((folder / "README.md").read_text() + "\nMore.\n")
    address = medzoo.push(folder, "org/name", create_pr=True)
    assert "discussions/1" in address and held(revision="refs/pr/1")
    medzoo.push(folder, "org/name", revision="v2")
    assert held(revision="v2")["README.md"] == held(revision="refs/pr/1")["README.md"] != held()["README.md"]


@pytest.mark.parametrize(
    ("path", "method", "kind"),
    [
        ("*/repos/create", "POST", "reset"),
        ("*/commit/*", "POST", "reset"),
        ("*/preupload/*", None, "status"),
        ("*", "PUT", "reset"),
    ],
)
def test_f44_a_broken_push_says_so_and_the_next_goes_on(folder, hub, path, method, kind, client_waits):
    options = {"at": 0} if kind == "reset" else {"code": 500}
    hub.fault(kind, path=path, method=method, times=20, **options)
    with raises(PublishError, "push-failed", match="Push again"):
        medzoo.push(folder, "org/name")
    hub.heal()
    medzoo.push(folder, "org/name")
    assert commits().count("Publish test_resnet-drawn") == 1
    assert medzoo.load("org/name") is not None


@pytest.mark.parametrize("who", ["reader", "stranger"])
def test_f44_a_token_without_the_right(folder, hub, who):
    with raises(PublishError, "push-failed"):
        medzoo.push(folder, "org/name", token=getattr(hub, who))
    with raises(PublishError, "push-failed"):
        medzoo.push(folder, "org/name", token="hf_wrong")


def test_a_model_is_pushed_with_its_card(tmp_path, hub):
    medzoo.push(small_model(), "org/name", card=CARD)
    with raises(UsageError, "card-required"):
        medzoo.push(small_model(), "org/name")
    with pytest.raises(CardError):
        medzoo.push(small_model(), "org/name", card={**CARD, "license": None})
    assert medzoo.push(small_model(), "org/name", card=CARD, hub=tmp_path) == str(tmp_path / "org" / "name")


def test_a_dry_run_contacts_nobody_and_writes_nothing(folder, hub, tmp_path):
    (folder / "optimizer.bin").write_text("private")
    medzoo.push(folder, "org/name", dry_run=True)
    medzoo.push(folder, "org/name", dry_run=True, hub=tmp_path / "hub")
    assert hub.log == [] and not (tmp_path / "hub").exists()
    shown = plan_push(folder, "org/name").describe()
    digest = store.sha256_file(folder / "model.safetensors")
    assert digest in shown and "not uploaded: optimizer.bin" in shown and "# test_resnet-drawn" in shown


LEAKS = {
    "a Hugging Face token": "hf_" + "aB3dE5gH" * 4, "a path on this machine": "/mnt/ward3/scans/x.png",
    "an identifier of a patient": "PatientID: 4711",
}  # fmt: skip


@pytest.mark.parametrize("what", LEAKS)
@pytest.mark.parametrize("where", ["card", "config", "metadata", "notice", "licence"])
def test_f45_what_must_not_leave_stays(folder, hub, what, where):
    if where == "card":
        (folder / "README.md").write_text((folder / "README.md").read_text() + f"\n{LEAKS[what]}\n")
    elif where in ("notice", "licence"):
        (folder / {"notice": "NOTICE", "licence": "LICENSE"}[where]).write_text(f"Terms.\n{LEAKS[what]}")
    elif where == "config":
        rows = json.loads((folder / "config.json").read_text())
        rows["medzoo"]["hyperparameters"] = {"note": LEAKS[what]}
        (folder / "config.json").write_text(json.dumps(rows))
    else:
        save_file(load_file(folder / "model.safetensors"), folder / "model.safetensors", metadata={"x": LEAKS[what]})
        rows = json.loads((folder / "config.json").read_text())
        rows["medzoo"]["sha256"] = store.sha256_file(folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(rows))
    for dry in (True, False):
        with raises(PublishError, "private-data", match=what) as caught:
            medzoo.push(folder, "org/name", dry_run=dry)
    assert hub.log == [] and LEAKS["a Hugging Face token"] not in str(caught.value)


def test_a_card_that_is_wrong_stays(folder, hub):
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(text.replace('license: "apache-2.0"', "license: free"))
    with raises(PublishError, "card-invalid"):
        medzoo.push(folder, "org/name")
    assert hub.log == []


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE", "README.md"])
def test_f45_a_link_to_a_file_elsewhere_stays(folder, hub, tmp_path, name):
    text = (folder / name).read_text() if name == "README.md" else "my own notes"
    (folder / name).unlink(missing_ok=True)
    (tmp_path / "notes.txt").write_text(text)
    (folder / name).symlink_to(tmp_path / "notes.txt")
    with raises(PublishError, "link-out-of-folder"):
        medzoo.push(folder, "org/name")
    (folder / name).unlink()
    (folder / "kept.txt").write_text(text)
    (folder / name).symlink_to("kept.txt")
    plan_push(folder, "org/name")
    assert hub.log == []


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE", "README.md"])
def test_texts_that_are_no_texts_stay(folder, name):
    (folder / name).write_bytes(b"\xff\xfe\x00")
    with raises(PublishError, "not-utf8"):
        plan_push(folder, "org/name")


def test_a_licence_is_no_place_for_other_things(folder):
    (folder / "LICENSE").write_bytes(b"x" * (1024 * 1024 + 1))
    with raises(PublishError, "license-file-too-large"):
        plan_push(folder, "org/name")


def test_a_card_cannot_give_another_licence(folder, hub):
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(text.replace('license: "apache-2.0"', "license: mit"))
    with raises(PublishError, "card-license-differs"):
        medzoo.push(folder, "org/name")
    assert hub.log == []


def test_f16_a_configuration_for_other_tools_stays(folder):
    rows = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(rows | {"auto_map": {"AutoModel": "x.Model"}}))
    with raises(PublishError, "config-unknown-keys", match="auto_map"):
        plan_push(folder, "org/name")


@pytest.mark.parametrize("how", ["a tensor too many", "not finite"])
def test_weights_that_nobody_could_load_stay(folder, how):
    state = load_file(folder / "model.safetensors")
    if how == "not finite":
        state["conv1.0.weight"][0] = float("nan")
    else:
        state["more"] = torch.zeros(1)
    save_file(state, folder / "model.safetensors")
    rows = json.loads((folder / "config.json").read_text())
    rows["medzoo"]["sha256"] = store.sha256_file(folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(rows))
    with pytest.raises(IntegrityError if how == "not finite" else WeightsMismatchError):
        plan_push(folder, "org/name")


@pytest.mark.parametrize(
    "card",
    [
        {"license": "unknown"},
        {"license": {"id": "other", "redistributable": False, "url": "https://example.org"}},
        {"lineage": [{"data": "a", "name": "base", "redistributable": False}, {"data": "drawn"}]},
    ],
)
def test_what_may_not_be_published_stays(card, tmp_path, hub):
    folder = medzoo.save(small_model(), tmp_path / "f", card={**CARD, **card})
    with pytest.raises(LicenseError):
        medzoo.push(folder, "org/name")
    with pytest.raises(LicenseError):
        medzoo.push(folder, "org/name", dry_run=True)
    assert hub.log == []
    medzoo.push(folder, "org/name", hub=tmp_path / "hub")  # one's own directory is no publication


def test_what_grew_out_of_barred_weights_is_barred(tmp_path, hub):
    base = {**CARD, "license": {"id": "other", "redistributable": False, "url": "https://example.org"}}
    folder = medzoo.save(small_model(), tmp_path / "f", card=base)
    grown = {**CARD, "name": "test_resnet-drawn-b", "license": "mit", "data": ["drawn", "b"]}
    more = medzoo.save(medzoo.load(str(folder), num_classes=3), tmp_path / "g", card=grown)
    with raises(LicenseError, "not-redistributable"):
        medzoo.push(more, "org/name")


def test_a_damaged_folder_is_not_published(folder, hub, tmp_path):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"abcd")
    for directory in (None, tmp_path / "hub"):
        with pytest.raises(IntegrityError):
            medzoo.push(folder, "org/name", hub=directory)
    assert hub.log == [] and not (tmp_path / "hub").exists()


def test_a_folder_without_facts(folder, hub):
    rows = json.loads((folder / "config.json").read_text())
    rows.pop("medzoo")
    (folder / "config.json").write_text(json.dumps(rows))
    with raises(PublishError, "facts-missing"):
        medzoo.push(folder, "org/name")


@pytest.mark.parametrize(
    "repo", ["name", "../x", "org/na me", "org/", "a/b/c", "org/..", "/org/name", "", "org/a.git", "org/a-"]
)
def test_bad_repository_names(folder, repo, tmp_path):
    with raises(UsageError, "repository-name-invalid"):
        medzoo.push(folder, repo, hub=tmp_path / "hub")


def test_an_edited_card_is_kept(folder, tmp_path):
    card = folder / "README.md"
    card.write_text(card.read_text() + "\nMy own words.\n")
    medzoo.push(folder, "org/name", hub=tmp_path)
    assert "My own words." in (tmp_path / "org" / "name" / "README.md").read_text()


def test_pushing_again_replaces(folder, tmp_path):
    medzoo.push(folder, "org/name", hub=tmp_path)
    medzoo.push(small_model(seed=5), "org/name", card=CARD, hub=tmp_path)
    assert len(list((tmp_path / "org").iterdir())) == 1
    medzoo.load("org/name", hub=tmp_path)
    medzoo.push(tmp_path / "org" / "name", "org/name", hub=tmp_path)  # onto itself
    medzoo.load("org/name", hub=tmp_path)


def test_the_same_pull_request_is_opened_once(folder, hub):
    HfApi().create_repo("org/name")
    first = medzoo.push(folder, "org/name", create_pr=True)
    again = pushed(folder, "org/name", create_pr=True)
    assert again.address == first and again.unchanged and first.endswith("/discussions/1")
    (folder / "NOTICE").write_text("Made by us.")
    assert medzoo.push(folder, "org/name", create_pr=True).endswith("/discussions/2")


def test_f45_what_should_be_private_does_not_go_to_a_public_repository(folder, hub, capsys):
    HfApi().create_repo("org/name", private=False)
    with raises(PublishError, "repository-public"):
        medzoo.push(folder, "org/name", private=True)
    assert "config.json" not in held()
    medzoo.push(folder, "org/name")  # nothing was asked for: it is taken as it is
    medzoo.push(folder, "org/closed")
    assert HfApi().repo_info("org/closed").private and capsys.readouterr().err == ""
    medzoo.push(folder, "org/closed", private=False)
    assert HfApi().repo_info("org/closed").private and "stays private" in capsys.readouterr().err


def test_a_directory_has_no_pull_requests_and_no_branches(folder, tmp_path):
    for options in ({"create_pr": True}, {"revision": "v1"}):
        with raises(UsageError, "directory-hub-without-branches"):
            medzoo.push(folder, "org/name", hub=tmp_path / "hub", **options)
    assert not (tmp_path / "hub").exists()


def test_licence_and_notice_travel_with_the_weights(folder, hub, tmp_path):
    (folder / "NOTICE").write_text("Made by us.")
    (folder / "LICENSE").write_text("Do what you like.")
    medzoo.push(folder, "org/name")
    copy = medzoo.fetch("org/name", to=tmp_path / "stick")
    assert (copy / "NOTICE").read_text() == "Made by us." and (copy / "LICENSE").is_file()
    medzoo.push(folder, "org/name", hub=tmp_path / "hub")
    assert (tmp_path / "hub" / "org" / "name" / "LICENSE").is_file()


def test_the_command_says_whether_something_was_written(folder, hub, tmp_path):
    def run(*words):
        return CliRunner().invoke(app, list(map(str, words))).output

    assert "nothing was written" not in run("push", folder, "org/name")
    assert "nothing was written" in run("push", folder, "org/name")
    shown = run("push", folder, "org/name", "--dry-run", "--hub", tmp_path / "hub")
    assert "model.safetensors" in shown and "# test_resnet-drawn" in shown and not (tmp_path / "hub").exists()


def test_offline_a_push_names_the_way_without(folder, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with raises(PublishError, "push-failed", match="--hub DIR") as caught:
        medzoo.push(folder, "org/name")
    assert "hf auth login" not in str(caught.value)
