import json
from types import SimpleNamespace

import pytest
from zoo_samples import CARD, small_model

import medzoo
from medzoo.errors import CardError, IntegrityError, LicenseError, PublishError, UnknownNameError, UsageError


class FakeApi:
    """What HfApi is asked to do; the loopback Hub comes with its own tests."""

    calls: list = []  # noqa: RUF012

    def __init__(self, **arguments):
        self.calls.clear()

    def create_repo(self, repo_id, **arguments):
        self.calls.append(("create_repo", repo_id, arguments))

    def create_branch(self, repo_id, **arguments):
        self.calls.append(("create_branch", repo_id, arguments))

    def create_commit(self, repo_id, operations, **arguments):
        files = {operation.path_in_repo: operation.path_or_fileobj for operation in operations}
        sizes = {
            name: len(content if isinstance(content, bytes) else content.read()) for name, content in files.items()
        }
        self.calls.append(("create_commit", repo_id, {**arguments, "files": sizes}))
        card = files["README.md"].decode()
        self.calls.append(("card", card, {}))
        return SimpleNamespace(
            pr_url="https://hub/pr/1" if arguments["create_pr"] else None, commit_url="https://hub/commit/1"
        )


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", FakeApi)
    FakeApi.calls.clear()
    return FakeApi


def test_one_commit_of_three_files(pristine, folder, api):
    (folder / "optimizer.bin").write_text("private")
    address = medzoo.push(folder, "org/name")
    assert address == "https://hub/commit/1"
    (create, _, how), (commit, _, what), (_, card, _) = api.calls
    assert (create, commit) == ("create_repo", "create_commit") and how["private"] is True
    assert set(what["files"]) == {"model.safetensors", "config.json", "README.md"}
    assert what["files"]["model.safetensors"] == (pristine / "model.safetensors").stat().st_size
    assert 'medzoo.load("org/name")' in card and "hf-hub:org/name" in card


def test_branch_and_pull_request(folder, api):
    assert medzoo.push(folder, "org/name", create_pr=True, private=False) == "https://hub/pr/1"
    medzoo.push(folder, "org/name", revision="v2")
    assert [name for name, _, _ in api.calls][:2] == ["create_repo", "create_branch"]


def test_a_model_is_pushed_with_its_card(tmp_path, api):
    medzoo.push(small_model(), "org/name", card=CARD)
    with pytest.raises(UsageError, match="needs its card"):
        medzoo.push(small_model(), "org/name")
    with pytest.raises(CardError):
        medzoo.push(small_model(), "org/name", card={**CARD, "license": None})
    assert medzoo.push(small_model(), "org/name", card=CARD, hub=tmp_path) == str(tmp_path / "org" / "name")


def test_dry_run_writes_nothing(folder, api, tmp_path):
    medzoo.push(folder, "org/name", dry_run=True)
    medzoo.push(folder, "org/name", dry_run=True, hub=tmp_path / "hub")
    assert not api.calls and not (tmp_path / "hub").exists()


@pytest.mark.parametrize(
    "card",
    [
        {"license": "unknown"},
        {"license": {"id": "other", "redistributable": False, "url": "https://example.org"}},
        {"lineage": [{"data": "a", "name": "base", "redistributable": False}, {"data": "drawn"}]},
    ],
)
def test_what_may_not_be_published_stays(card, tmp_path, api):
    folder = medzoo.save(small_model(), tmp_path / "f", card={**CARD, **card})
    with pytest.raises(LicenseError):
        medzoo.push(folder, "org/name")
    with pytest.raises(LicenseError):
        medzoo.push(folder, "org/name", dry_run=True)
    assert not api.calls
    medzoo.push(folder, "org/name", hub=tmp_path / "hub")  # one's own directory is no publication


def test_what_grew_out_of_barred_weights_is_barred(tmp_path, api):
    base = {**CARD, "license": {"id": "other", "redistributable": False, "url": "https://example.org"}}
    folder = medzoo.save(small_model(), tmp_path / "f", card=base)
    grown = {**CARD, "name": "test_resnet-drawn-b", "license": "mit", "data": ["drawn", "b"]}
    more = medzoo.save(medzoo.load(str(folder), num_classes=3), tmp_path / "g", card=grown)
    with pytest.raises(LicenseError, match="grew out of test_resnet-drawn"):
        medzoo.push(more, "org/name")


def test_a_damaged_folder_is_not_published(folder, api, tmp_path):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"abcd")
    for hub in (None, tmp_path / "hub"):
        with pytest.raises(IntegrityError):
            medzoo.push(folder, "org/name", hub=hub)
    assert not api.calls and not (tmp_path / "hub").exists()


def test_a_folder_without_facts(folder, api):
    rows = json.loads((folder / "config.json").read_text())
    rows.pop("medzoo")
    (folder / "config.json").write_text(json.dumps(rows))
    with pytest.raises(PublishError, match="no licence"):
        medzoo.push(folder, "org/name")


@pytest.mark.parametrize("repo", ["name", "../x", "org/na me", "org/", "a/b/c", "org/..", "/org/name", ""])
def test_bad_repository_names(folder, repo, tmp_path):
    with pytest.raises(UnknownNameError):
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


def test_the_hub_refuses(folder, monkeypatch):
    class Refusing(FakeApi):
        def create_repo(self, repo_id, **arguments):
            raise OSError("403 forbidden")

    monkeypatch.setattr("huggingface_hub.HfApi", Refusing)
    with pytest.raises(PublishError, match=r"403 forbidden.*hf auth login"):
        medzoo.push(folder, "org/name")
