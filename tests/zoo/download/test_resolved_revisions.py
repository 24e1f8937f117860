"""A note of a commit is used for exactly the Hub, repository and revision that it states, whatever the disk makes of names."""

import json
import shutil

import pytest
import torch
from expect import raises
from huggingface_hub import HfApi, constants, hf_api, snapshot_download
from safetensors.torch import load_file, save_file

import medzoo
from medzoo import paths, store
from medzoo.errors import IntegrityError, UsageError, WeightsUnavailableError
from medzoo.zoo.cache import list_cached, prune
from medzoo.zoo.download import huggingface
from medzoo.zoo.download.resolved_revisions import note_commit, noted_commit
from medzoo.zoo.registry.locations import PUBLIC_HUB, repo_folder

REVISIONS = ("first", "a/b", "a--b", "v1", "V1", "refs/pr/1", "con", "x" * 180, "name", "repo")


def numbered(folder, number):
    """Other weights in a folder: their first number says which."""
    path = folder / "model.safetensors"
    state = {name: tensor.clone() for name, tensor in load_file(path).items()}
    state["fc.bias"] = torch.full((3,), float(number))
    save_file(state, path, metadata={"format": "pt"})
    rows = json.loads((folder / "config.json").read_text())
    rows["medzoo"]["sha256"] = store.sha256_file(path)
    (folder / "config.json").write_text(json.dumps(rows))
    return folder


def number(name, **how):
    return int(medzoo.load(name, num_classes="pretrained", **how).fc.bias[0])


@pytest.fixture
def site(hub_server, folder):
    """lab/net: main holds 0, the branch "first" 1, "a/b" 2, "a--b" 3; the tag "v1" stands at 1."""
    medzoo.push(numbered(folder, 0), "lab/net", private=False)
    for value, branch in enumerate(("first", "a/b", "a--b"), start=1):
        HfApi().create_branch("lab/net", branch=branch)
        medzoo.push(numbered(folder, value), "lab/net", revision=branch)
    HfApi().create_tag("lab/net", tag="v1", revision="first")
    return hub_server


def test_each_revision_gives_its_own_weights_online_and_offline(site):
    wanted = {"first": 1, None: 0, "a/b": 2, "a--b": 3, "v1": 1, "main": 0}
    for how in ({}, {"local_files_only": True}, {"local_files_only": True, "verify": "always"}):
        for revision, value in wanted.items():
            assert number("lab/net", revision=revision, **how) == value
            if revision:
                assert number(f"hf-hub:lab/net@{revision}", **how) == value
    for revision in wanted:
        folder = medzoo.fetch("lab/net", revision=revision, local_files_only=True)
        assert medzoo.transform(f"lab/net@{revision}" if revision else "lab/net", size=8) is not None
        assert load_file(folder / "model.safetensors")["fc.bias"][0] == wanted[revision]


@pytest.mark.parametrize(
    ("loaded", "asked"), [("first", None), ("a/b", "a--b"), ("v1", "V1"), (None, "main"), ("main", None)]
)
def test_offline_another_revision_is_not_taken_for_the_one_asked_for(site, loaded, asked):
    medzoo.load("lab/net", revision=loaded)
    with pytest.raises(WeightsUnavailableError) as caught:
        medzoo.load("lab/net", revision=asked, local_files_only=True)
    assert loaded is None or loaded in str(caught.value)  # what is here is said


def test_commits_whole_short_and_in_capitals(site):
    commit = HfApi().repo_info("lab/net", revision="a/b").sha
    with raises(WeightsUnavailableError, "revision-not-found", match="40 digits"):
        medzoo.load("lab/net", revision=commit[:8])
    for revision in (commit, commit.upper()):
        receipt = medzoo.load("lab/net", revision=revision).load_receipt
        assert receipt.revision == commit and not any("the head of" in note for note in receipt.notes)
        assert number("lab/net", revision=revision, local_files_only=True) == 2
    with raises(WeightsUnavailableError, "network-off", match="40 digits"):
        medzoo.load("lab/net", revision=commit[:8], local_files_only=True)


def test_a_hub_that_gives_another_commit_than_was_asked_for(site, monkeypatch):
    real, other = huggingface.look_up, HfApi().repo_info("lab/net", revision="first").sha
    monkeypatch.setattr(huggingface, "look_up", lambda repo, kind, revision, token: real(repo, kind, "a/b", token))
    with raises(IntegrityError, "hub-gave-other-commit"):
        medzoo.load("lab/net", revision=other)


def test_a_moved_tag(site):
    assert number("lab/net", revision="v1") == 1
    HfApi().delete_tag("lab/net", tag="v1")
    HfApi().create_tag("lab/net", tag="v1", revision="a/b")
    assert number("lab/net", revision="v1", local_files_only=True) == 1  # as it was when it was last looked up
    assert number("lab/net", revision="v1") == 2
    assert number("lab/net", revision="v1", local_files_only=True) == 2


def test_a_revision_in_the_name_and_another_beside_it(site):
    assert number("lab/net@first", revision="first") == 1
    for name, revision in (
        ("lab/net@first", "main"),
        ("hf-hub:lab/net@first", "v1"),
        ("lab/net@", None),
        ("lab/net@v1", ""),
    ):
        for call in (medzoo.load, medzoo.fetch):
            with pytest.raises(UsageError):
                call(name, revision=revision)
    commit = HfApi().repo_info("lab/net").sha
    assert number(f"lab/net@{commit.upper()}", revision=commit) == 0  # one commit, spelled in two ways


def test_a_folder_has_no_revision(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, tmp_path / "lab" / "net")
    for name in (str(folder), "lab/net", "./lab/net", f"local-dir:{folder}"):
        with pytest.raises(UsageError):
            medzoo.load(name, revision="v1", local_files_only=True)


@pytest.fixture
def second_hub(site, folder, tmp_path, monkeypatch):
    """Point the client at another Hub, which has a lab/net too (9); and back."""
    from hub_server import HubServer

    server = HubServer(tmp_path / "second")

    def point(at):
        monkeypatch.setattr(constants, "ENDPOINT", at.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", at.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(hf_api.api, "endpoint", at.url)
        monkeypatch.setenv("HF_TOKEN", at.owner)

    point(server)
    medzoo.push(numbered(folder, 9), "lab/net", private=False)
    point(site)
    yield lambda: point(server), lambda: point(site)
    server.close()


def test_each_hub_has_a_cache_of_its_own(site, second_hub):
    there, back = second_hub
    assert number("lab/net") == 0
    there()
    with raises(
        WeightsUnavailableError, "network-off", match="HF_ENDPOINT"
    ):  # the same name at another Hub is another repository
        medzoo.load("lab/net", local_files_only=True)
    assert number("lab/net") == number("lab/net", local_files_only=True) == 9
    back()
    assert number("lab/net") == number("lab/net", local_files_only=True) == 0
    names = [item.name for item in list_cached()]
    assert len(names) == len(set(names)) == 2 and all("lab/net@" in name for name in names)
    prune([next(name.partition("@")[0] for name in names if site.url.partition("://")[2] in name)])
    there()
    assert number("lab/net", local_files_only=True) == 9
    back()
    with pytest.raises(WeightsUnavailableError):
        medzoo.load("lab/net", local_files_only=True)


def test_names_never_meet_on_any_disk():
    words = [
        "lab",
        "Lab",
        "LAB",
        "lab-",
        "a--b",
        "con",
        "CON.x",
        "aux",
        "läb",
        "la\u0308b",
        "x" * 96,
        "x" * 97,
        "lab.",
        "",
        "name~1",
    ]
    names = [paths.file_name(*row) for row in [*[(a, b) for a in words for b in words], *[(a,) for a in words]]]
    assert len({name.casefold() for name in names}) == len(names)  # a disk that ignores case
    for name in names:
        assert name.isascii() and len(name) <= 100 and not name.endswith(".") and not name.startswith((".", "~"))
        assert name.partition(".")[0] not in ("con", "aux", "prn", "nul")  # reserved on Windows, with any ending
    assert paths.file_name("lab", "net") == "lab--net"  # as earlier medzoos wrote it


def test_notes_of_revisions_never_meet(private_home):
    for value, revision in enumerate((None, *REVISIONS)):
        note_commit("lab/net", revision, f"{value:040x}", None)
    for value, revision in enumerate((None, *REVISIONS)):
        assert noted_commit("lab/net", revision, None) == f"{value:040x}"
    files = [path.name for path in repo_folder("lab/net").iterdir()]
    assert len({name.casefold() for name in files}) == len(REVISIONS) + 1


def test_notes_that_state_something_else_are_not_used(private_home):
    note_commit("lab/net", None, "a" * 40, None)
    (path,) = repo_folder("lab/net").glob("*.json")
    good = json.loads(path.read_text())
    assert noted_commit("lab/net", None, None) == "a" * 40
    wrong = [{"repo": "lab/other"}, {"revision": "first"}, {"hub": "https://example.org"}, {"type": "dataset"}]
    wrong += [{"commit": "main"}, {"commit": "../../x"}, {"commit": None}]
    for change in wrong:
        path.write_text(json.dumps({**good, **change}))
        assert noted_commit("lab/net", None, None) is None, change
    for text in ("", "{}", "[]", "null", "x", '{"repo": "lab/net"}'):
        path.write_text(text)
        assert noted_commit("lab/net", None, None) is None, text


@pytest.mark.parametrize("repo", ["lab/net", "Lab/Net"])
def test_caches_of_earlier_medzoos_are_read(pristine, private_home, repo):
    """Their notes named no Hub and wrote "/" as "--", so that "first" and no revision, "a/b" and "a--b" shared a file."""
    earlier = private_home / "snapshots" / repo.replace("/", "--")
    for letter in "ab":
        shutil.copytree(pristine, earlier / (letter * 40))
    for name, rows in (
        ("first", {"repo": repo, "revision": None, "commit": "a" * 40}),
        ("a--b", {"repo": repo, "revision": "a/b", "commit": "b" * 40}),
    ):
        (earlier / f"{name}.json").write_text(json.dumps(rows))
    for revision, letter in ((None, "a"), ("a/b", "b"), ("b" * 40, "b")):
        receipt = medzoo.load(repo, revision=revision, local_files_only=True).load_receipt
        assert receipt.revision == letter * 40 and receipt.folder.startswith(str(earlier))
    for revision in ("first", "a--b", "main"):
        with pytest.raises(WeightsUnavailableError):
            medzoo.load(repo, revision=revision, local_files_only=True)
    (earlier / "first.json").write_text(json.dumps({"repo": repo, "revision": "first", "commit": "a" * 40}))
    with pytest.raises(WeightsUnavailableError):
        medzoo.load(repo, local_files_only=True)


def test_earlier_caches_are_of_the_public_hub_alone(pristine, private_home, monkeypatch):
    earlier = private_home / "snapshots" / "lab--net"
    shutil.copytree(pristine, earlier / ("a" * 40))
    (earlier / "first.json").write_text(json.dumps({"repo": "lab/net", "revision": None, "commit": "a" * 40}))
    monkeypatch.setattr(constants, "ENDPOINT", "https://mirror.example.org/")
    with pytest.raises(WeightsUnavailableError):
        medzoo.load("lab/net", local_files_only=True)
    monkeypatch.setattr(constants, "ENDPOINT", f"{PUBLIC_HUB.replace('huggingface', 'HuggingFace')}/")  # one address
    assert medzoo.load("lab/net", local_files_only=True) is not None


def test_the_cache_of_huggingface_hub_is_asked_by_the_same_words(site):
    for revision in ("first", "a/b"):
        snapshot_download("lab/net", revision=revision)
    assert number("lab/net", revision="first", local_files_only=True) == 1
    for revision in (None, "main", "a--b"):
        with pytest.raises(WeightsUnavailableError):
            medzoo.load("lab/net", revision=revision, local_files_only=True)


def test_a_copy_in_a_directory_hub_knows_its_commit(site, tmp_path):
    stick, commit = tmp_path / "stick", HfApi().repo_info("lab/net", revision="v1").sha
    medzoo.fetch("lab/net@v1", to=stick)
    for revision in (None, "v1", commit):
        assert number("lab/net", revision=revision, hub=stick) == 1
    for revision in ("main", "first", "a" * 40):
        with raises(WeightsUnavailableError, "other-revision-in-directory-hub"):
            medzoo.load("lab/net", revision=revision, hub=stick)
    again = medzoo.fetch("lab/net", hub=stick, to=tmp_path / "second")
    with pytest.raises(WeightsUnavailableError):
        medzoo.load("lab/net@main", hub=tmp_path / "second")
    medzoo.push(again, "lab/net", hub=stick)  # another content of that name: nothing is known of its commit
    assert any("not checked" in note for note in medzoo.load("lab/net@main", hub=stick).load_receipt.notes)
    assert medzoo.check("lab/net", hub=tmp_path / "second").passed


def test_a_directory_hub_and_the_hub_are_not_mixed(site, folder, tmp_path, monkeypatch):
    medzoo.push(numbered(folder, 7), "lab/net", hub=tmp_path / "stick")
    assert number("lab/net") == 0 and number("lab/net", hub=tmp_path / "stick") == 7
    monkeypatch.setenv("MEDZOO_HUB", str(tmp_path / "stick"))
    assert number("lab/net") == number("hf-hub:lab/net", local_files_only=True) == 7
    monkeypatch.delenv("MEDZOO_HUB")
    assert number("lab/net", local_files_only=True) == 0


def test_a_directory_hub_on_a_disk_that_ignores_case(pristine, tmp_path, monkeypatch):
    medzoo.push(pristine, "lab/net", hub=tmp_path)
    (tmp_path / "Lab").symlink_to(tmp_path / "lab")  # as such a disk answers
    monkeypatch.setattr("os.listdir", lambda place: ["lab"] if str(place) == str(tmp_path) else ["net"])
    assert medzoo.load("lab/net", hub=tmp_path) is not None
    with raises(WeightsUnavailableError, "not-in-directory-hub", match="lab/net\\?"):
        medzoo.load("Lab/net", hub=tmp_path)
    with pytest.raises(UsageError):
        medzoo.push(pristine, "Lab/net", hub=tmp_path)


def test_two_folders_of_one_name_do_not_share_a_place_on_a_stick(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    numbered(other, 5)
    first = medzoo.fetch(str(folder), to=tmp_path / "stick")
    assert medzoo.fetch(str(folder), to=tmp_path / "stick") == first
    with raises(UsageError, "name-taken"):
        medzoo.fetch(str(other), to=tmp_path / "stick")
    assert store.sha256_file(first / "model.safetensors") == store.sha256_file(folder / "model.safetensors")
