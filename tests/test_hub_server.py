"""The real client against the loopback Hub: what it pushes comes back, and who may not is told so as by the real one."""

import http.client
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hub_samples import CARD, FILES, REPO, WEIGHTS, contents, publish
from huggingface_hub import (
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    errors,
    hf_hub_download,
    snapshot_download,
)

pytest_plugins = "hub_fixture"


def status(error: pytest.ExceptionInfo) -> int:
    return error.value.response.status_code


def test_whoami_and_tokens(hub_server):
    api = HfApi()
    told = api.whoami()
    assert told["name"] == "owner" and [org["name"] for org in told["orgs"]] == ["lab"]
    assert api.whoami(token=hub_server.reader)["auth"]["accessToken"]["role"] == "read"
    with pytest.raises(errors.HfHubHTTPError, match="Invalid user token") as caught:
        api.whoami(token="hf_wrong")
    assert status(caught) == 401


def test_create_exists_delete(hub_server):
    api = HfApi()
    url = api.create_repo(REPO)
    assert (url, url.repo_id, url.repo_type) == (f"{hub_server.url}/lab/tiny", REPO, "model")
    with pytest.raises(errors.HfHubHTTPError) as caught:
        api.create_repo(REPO)
    assert status(caught) == 409
    assert api.create_repo(REPO, exist_ok=True).repo_id == REPO
    assert api.create_repo("mine").repo_id == "owner/mine"
    assert api.create_repo(REPO, repo_type="dataset").repo_type == "dataset"
    api.delete_repo(REPO)
    assert not api.repo_exists(REPO) and api.repo_exists(REPO, repo_type="dataset")
    with pytest.raises(errors.RepositoryNotFoundError):
        api.delete_repo(REPO)


def test_push_and_pull(hub_server, hub_commit):
    folder = snapshot_download(REPO)
    assert Path(folder).name == hub_commit.oid
    found = contents(folder)
    assert b"filter=lfs" in found.pop(".gitattributes")
    assert found == FILES
    assert [row.status for row in hub_server.requests("PUT")] == [200]  # the weights alone went up by LFS
    assert snapshot_download(REPO, revision=hub_commit.oid) == folder


def test_what_has_not_changed_is_not_sent(hub_server, hub_commit, tmp_path):
    again = publish(tmp_path)
    assert again.oid == hub_commit.oid and len(hub_server.requests("PUT")) == 1
    changed = publish(tmp_path, FILES | {"config.json": b'{"a": 1}'})
    assert changed.oid != hub_commit.oid and len(hub_server.requests("PUT")) == 1


def test_objects_are_sent_to_each_repository_itself(hub_server, hub_commit, tmp_path):
    api = HfApi()
    api.create_repo("lab/other")
    (tmp_path / "w.safetensors").write_bytes(WEIGHTS)
    api.upload_file(path_or_fileobj=tmp_path / "w.safetensors", path_in_repo="w.safetensors", repo_id="lab/other")
    assert len(hub_server.requests("PUT")) == 2
    moved = [CommitOperationCopy("w.safetensors", "a/b.safetensors"), CommitOperationDelete("w.safetensors")]
    api.create_commit("lab/other", moved, commit_message="Rename")
    assert api.list_repo_files("lab/other") == [".gitattributes", "a/b.safetensors"]
    assert len(hub_server.requests("PUT")) == 2


def test_one_file_by_every_name_of_its_commit(hub_server, hub_commit, tmp_path):
    api = HfApi()
    api.create_tag(REPO, tag="v1")
    api.create_branch(REPO, branch="wide/2", revision=hub_commit.oid)
    pull = publish(tmp_path, {"config.json": b'{"pull": 1}'}, create_pr=True)
    publish(tmp_path, {"config.json": b'{"branch": 2}'}, revision="wide/2")
    publish(tmp_path, {"config.json": b'{"main": 3}'})
    expected = {hub_commit.oid: b"{}", "v1": b"{}", "refs/pr/1": b'{"pull": 1}', "wide/2": b'{"branch": 2}'}
    assert pull.pr_revision == "refs/pr/1"
    for revision, content in (expected | {"main": b'{"main": 3}'}).items():
        assert Path(hf_hub_download(REPO, "config.json", revision=revision)).read_bytes() == content
    assert Path(hf_hub_download(REPO, "notes/read me.txt", revision="v1")).read_bytes() == b"spaces too"


def test_what_is_not_there(hub_server, hub_commit):
    with pytest.raises(errors.EntryNotFoundError):
        hf_hub_download(REPO, "pytorch_model.bin")
    with pytest.raises(errors.RevisionNotFoundError):
        hf_hub_download(REPO, "config.json", revision="v9")
    with pytest.raises(errors.RevisionNotFoundError):
        snapshot_download(REPO, revision="0" * 40)
    with pytest.raises(errors.RepositoryNotFoundError):
        snapshot_download("lab/none")
    with pytest.raises(errors.EntryNotFoundError):
        HfApi().create_commit(REPO, [CommitOperationDelete("none.txt")], commit_message="delete")


def test_a_stale_parent_is_refused(hub_server, hub_commit, tmp_path):
    newer = publish(tmp_path, {"config.json": b"[]"}, parent_commit=hub_commit.oid)
    with pytest.raises(errors.HfHubHTTPError) as caught:
        publish(tmp_path, {"config.json": b"[1]"}, parent_commit=hub_commit.oid)
    assert status(caught) == 412
    assert publish(tmp_path, {"config.json": b"[2]"}, parent_commit=newer.oid[:7]).oid != newer.oid


def test_branches_and_tags(hub_server, hub_commit):
    api = HfApi()
    api.create_branch(REPO, branch="b")
    api.create_tag(REPO, tag="v1", tag_message="first", revision="b")
    for again in (lambda: api.create_branch(REPO, branch="b"), lambda: api.create_tag(REPO, tag="v1")):
        with pytest.raises(errors.HfHubHTTPError) as caught:
            again()
        assert status(caught) == 409
    api.create_branch(REPO, branch="b", exist_ok=True)
    refs = api.list_repo_refs(REPO, include_pull_requests=True)
    assert {(ref.name, ref.ref, ref.target_commit) for ref in [*refs.branches, *refs.tags]} == {
        (name, ref, hub_commit.oid)
        for name, ref in (("main", "refs/heads/main"), ("b", "refs/heads/b"), ("v1", "refs/tags/v1"))
    }
    assert refs.pull_requests == []
    api.delete_branch(REPO, branch="b")
    api.delete_tag(REPO, tag="v1")
    refs = api.list_repo_refs(REPO)
    assert [ref.name for ref in refs.branches] == ["main"] and refs.tags == []


def test_a_pull_request_of_a_stranger_is_merged(hub_server, hub_commit, tmp_path):
    api = HfApi()
    files = {"README.md": CARD + b"More.\n", "extra.safetensors": b"\0" * 10}
    pull = publish(tmp_path, files, token=hub_server.stranger, create_pr=True)
    assert pull.pr_url == f"{hub_server.url}/lab/tiny/discussions/1"
    assert publish(tmp_path, {"a.txt": b"a"}, token=hub_server.stranger, revision="refs/pr/1").oid != pull.oid
    ours = publish(tmp_path, {"config.json": b"[]"})
    with pytest.raises(errors.HfHubHTTPError):
        api.merge_pull_request(REPO, 1, token=hub_server.stranger)
    api.merge_pull_request(REPO, 1)
    merged = api.get_discussion_details(REPO, 1)
    head = api.repo_info(REPO).sha
    assert (merged.status, merged.merge_commit_oid, merged.target_branch) == ("merged", head, "refs/heads/main")
    assert merged.author == "stranger" and [event.type for event in merged.events] == ["comment", "status-change"]
    found = contents(snapshot_download(REPO))
    assert found["config.json"] == b"[]" and found["a.txt"] == b"a" and found["README.md"].endswith(b"More.\n")
    assert [row.commit_id for row in api.list_repo_commits(REPO)][:2] == [head, ours.oid]


def test_a_drafted_pull_request_and_a_conflict(hub_server, hub_commit, tmp_path):
    api = HfApi()
    api.create_discussion(REPO, title="A question")
    draft = api.create_pull_request(REPO, title="Better")
    assert (draft.num, draft.status) == (2, "draft")
    publish(tmp_path, {"config.json": b"[1]"}, revision=draft.git_reference)
    with pytest.raises(errors.BadRequestError, match="draft"):
        api.merge_pull_request(REPO, 2)
    api.comment_discussion(REPO, 2, "Ready.")
    api.change_discussion_status(REPO, 2, "open")
    publish(tmp_path, {"config.json": b"[2]"})
    with pytest.raises(errors.HfHubHTTPError, match=r"config\.json") as caught:
        api.merge_pull_request(REPO, 2)
    assert status(caught) == 409
    api.rename_discussion(REPO, 2, "Best")
    assert [row.title for row in api.get_repo_discussions(REPO)] == ["Best", "A question"]
    assert [row.num for row in api.get_repo_discussions(REPO, discussion_type="pull_request")] == [2]


def test_a_private_repository(hub_server, hub_commit):
    api = HfApi()
    api.create_repo("lab/secret", private=True)
    assert api.repo_info("lab/secret").private
    for token in (False, hub_server.stranger):
        for read in (snapshot_download, HfApi().repo_info):
            with pytest.raises(errors.RepositoryNotFoundError):
                read("lab/secret", token=token)
    for token in (hub_server.writer, hub_server.reader):
        assert Path(snapshot_download("lab/secret", token=token)).is_dir()
    api.update_repo_settings("lab/secret", private=False)
    api.auth_check("lab/secret", token=False)


def test_a_gated_repository(hub_server, hub_commit):
    api = HfApi()
    api.update_repo_settings(REPO, gated="manual")
    assert api.repo_info(REPO, token=False).gated == "manual"  # what there is stays public
    assert "model.safetensors" in api.list_repo_files(REPO, token=False)
    for token in (False, hub_server.stranger):
        with pytest.raises(errors.GatedRepoError):
            hf_hub_download(REPO, "model.safetensors", token=token)
    api.grant_access(REPO, "stranger")
    assert Path(hf_hub_download(REPO, "model.safetensors", token=hub_server.stranger)).read_bytes() == WEIGHTS


@pytest.mark.parametrize("who", ["reader", "stranger", None])
def test_who_may_not_write(hub_server, hub_commit, tmp_path, who):
    api = HfApi(token=getattr(hub_server, who) if who else False)
    expected = 403 if who else 401
    attempts = [
        lambda: api.create_repo("lab/new"),
        lambda: api.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=REPO),
        lambda: api.create_tag(REPO, tag="v1"),
        lambda: api.update_repo_settings(REPO, private=True),
        lambda: api.delete_repo(REPO),
    ]
    for attempt in attempts:
        with pytest.raises(errors.HfHubHTTPError) as caught:
            attempt()
        assert status(caught) == expected
    if who != "stranger":
        with pytest.raises(errors.HfHubHTTPError):
            api.create_discussion(REPO, title="hello")
    assert publish(tmp_path, {"a.txt": b"1"}, token=hub_server.writer).oid != hub_commit.oid


def test_a_bad_token_reads_nothing_at_all(hub_server, hub_commit):
    with pytest.raises(errors.HfHubHTTPError, match="Invalid credentials") as caught:
        hf_hub_download(REPO, "config.json", token="hf_wrong")
    assert status(caught) == 401 and not isinstance(caught.value, errors.RepositoryNotFoundError)


def test_listings(hub_server, hub_commit, tmp_path):
    api = HfApi()
    later = publish(tmp_path, {"notes/b.txt": b"b"})
    hub_server.api.page = 2
    rows = {row.path: row for row in api.list_repo_tree(REPO, recursive=True, expand=True)}
    assert set(rows) == {".gitattributes", *FILES, "notes", "notes/b.txt"}
    assert len(hub_server.requests("GET", "*/tree/*")) == 4
    weights = rows["model.safetensors"]
    assert (weights.size, weights.lfs.size, weights.lfs.pointer_size) == (len(WEIGHTS), len(WEIGHTS), 131)
    assert weights.last_commit.oid == hub_commit.oid
    assert rows["notes"].last_commit.oid == later.oid
    assert [row.path for row in api.list_repo_tree(REPO, "notes")] == ["notes/b.txt", "notes/read me.txt"]
    with pytest.raises(errors.EntryNotFoundError):
        list(api.list_repo_tree(REPO, "none"))
    found = api.get_paths_info(REPO, ["notes", "config.json", "none"], expand=True)
    assert [row.path for row in found] == ["notes", "config.json"]
    assert api.get_paths_info(REPO, "README.md", revision=hub_commit.oid)[0].size == len(CARD)
    commits = api.list_repo_commits(REPO)
    assert [row.title for row in commits] == ["Publish", "Publish", "initial commit"]
    assert commits[0].authors == ["owner"] and commits[0].created_at >= commits[1].created_at


def test_info_and_checksums(hub_server, hub_commit):
    info = HfApi().model_info(REPO, files_metadata=True)
    assert (info.sha, info.library_name, info.card_data.license) == (hub_commit.oid, "timm", "apache-2.0")
    assert "medical" in info.tags
    sizes = {row.rfilename: row.size for row in info.siblings}
    assert sizes["model.safetensors"] == len(WEIGHTS)
    snapshot_download(REPO)
    verified = HfApi().verify_repo_checksums(REPO)  # git's hashes of the small files, sha256 of the weights
    assert verified.mismatches == [] and verified.checked_count == len(FILES) + 1


def test_ranges(hub_server, hub_commit):
    metadata = HfApi().get_safetensors_metadata(REPO)
    assert metadata.files_metadata["model.safetensors"].tensors["weight"].shape == [200, 300]
    assert [row.status for row in hub_server.requests("GET", "*.safetensors")] == [206]
    with HfFileSystem().open(f"{REPO}/model.safetensors", "rb", block_size=1000) as file:
        file.seek(5000)
        assert file.read(100) == WEIGHTS[5000:5100]
        file.seek(-7, 2)
        assert file.read() == WEIGHTS[-7:]


def test_lfs_files_come_from_another_address(hub_server, hub_commit):
    hub_server.cdn = True
    HfApi().update_repo_settings(REPO, private=True)
    assert Path(hf_hub_download(REPO, "model.safetensors")).read_bytes() == WEIGHTS
    (head,) = hub_server.requests("HEAD", "*.safetensors")
    (get,) = hub_server.requests("GET", "*.safetensors")
    assert (head.status, head.origin, head.user) == (302, "hub", "owner")
    assert (get.status, get.origin, get.user) == (200, "storage", None)  # the token stays at the Hub
    assert HfApi().get_safetensors_metadata(REPO).sharded is False
    assert contents(snapshot_download(REPO))["model.safetensors"] == WEIGHTS


def test_commits_at_the_same_time_all_land(hub_server, hub_commit):
    api = HfApi()
    with ThreadPoolExecutor(8) as threads:
        made = threads.map(
            lambda n: api.upload_file(path_or_fileobj=b"%d" % n, path_in_repo=f"{n}.txt", repo_id=REPO).oid, range(8)
        )
    assert set(made) == {row.commit_id for row in api.list_repo_commits(REPO)[:8]}
    assert {f"{n}.txt" for n in range(8)} < set(api.list_repo_files(REPO))


def test_bodies_may_come_in_chunks(hub_server):
    connection = http.client.HTTPConnection(hub_server.url.removeprefix("http://"))
    body = [b'{"content": "---\\ntags: ', b'3\\n---"}']
    connection.request("POST", "/api/validate-yaml", iter(body), encode_chunked=True)
    answer = connection.getresponse()
    assert answer.status == 400 and b"tags" in answer.read()
    connection.close()
