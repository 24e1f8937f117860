"""Models and results are read from the Hub with the same errors, the same tries and the same check of hashes."""

import errno
import hashlib

import pytest
from expect import raises
from huggingface_hub import HfApi, constants

from medzoo import http_download as http
from medzoo.bench.sharing.repository import download_files, fork_of, repository
from medzoo.errors import DiskFullError, IntegrityError, LicenseError, ResultError, WeightsUnavailableError
from medzoo.zoo.download.hub_client import Head, RemoteFile, look_up, verified

REPO = "lab/shared"
UNAVAILABLE = {"model": WeightsUnavailableError, "dataset": ResultError}


@pytest.fixture(params=["model", "dataset"])
def kind(request, hub_server, monkeypatch):
    """The kind of lab/shared, a public repository with one file."""
    monkeypatch.setattr(http.time, "sleep", lambda seconds: None)
    HfApi().create_repo(REPO, private=False, repo_type=request.param)
    HfApi().upload_file(path_or_fileobj=b"hello", path_in_repo="a.txt", repo_id=REPO, repo_type=request.param)
    return request.param


def test_both_kinds_are_refused_alike(kind, hub_server):
    with raises(UNAVAILABLE[kind], "repository-not-found", match=f"no {kind} lab/none"):
        look_up("lab/none", kind, None, None)
    with raises(UNAVAILABLE[kind], "revision-not-found", match="40 digits"):
        look_up(REPO, kind, "abcdef12", None)
    hub_server.fault("status", path="/api/*", times=None, code=400)
    with raises(UNAVAILABLE[kind], "hub-error", match="answered 400"):
        look_up(REPO, kind, None, None)
    hub_server.close()
    with raises(UNAVAILABLE[kind], "hub-unreachable", match="no network"):
        look_up(REPO, kind, None, None)


def test_a_machine_without_network_is_told_what_to_run(kind, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    command = {"model": f"medzoo fetch {REPO} --to DIR", "dataset": f"medzoo results pull {REPO}"}[kind]
    with raises(UNAVAILABLE[kind], "network-off", match=command):
        look_up(REPO, kind, None, None)


@pytest.mark.parametrize("code", [429, 503])
def test_f22_a_busy_hub_is_asked_again(kind, hub_server, code):
    fault = hub_server.fault("status", path="/api/*", times=2, code=code)
    assert list(look_up(REPO, kind, None, None).files) and fault.used == 2


def test_f22_results_survive_a_busy_hub(hub_server, monkeypatch):
    slept = []
    monkeypatch.setattr(http.time, "sleep", slept.append)
    HfApi().create_repo(REPO, repo_type="dataset")
    HfApi().upload_file(path_or_fileobj=b"hello", path_in_repo="a.txt", repo_id=REPO, repo_type="dataset")
    head = repository(REPO)
    fault = hub_server.fault("status", path="*/a.txt", times=2, method="HEAD", code=503)
    assert download_files(head, ["a.txt"])["a.txt"].read_bytes() == b"hello"
    assert fault.used == 2 and slept
    HfApi().upload_file(path_or_fileobj=b"other", path_in_repo="b.txt", repo_id=REPO, repo_type="dataset")
    hub_server.fault("status", path="*/b.txt", times=None, code=503)
    with raises(ResultError, "hub-error", match="answered 503"):  # huggingface_hub itself hides the status
        download_files(repository(REPO), ["b.txt"])
    assert len(hub_server.requests("HEAD", "*/b.txt")) <= 8  # its own tries are not multiplied
    hub_server.heal()
    hub_server.fault("status", path="/api/datasets/*", times=2, code=503)
    assert fork_of(REPO, head.commit) == head.commit


def test_the_terms_of_results_are_asked_for(hub_server):
    HfApi().create_repo(REPO, private=False, repo_type="dataset")
    HfApi().upload_file(path_or_fileobj=b"hello", path_in_repo="a.txt", repo_id=REPO, repo_type="dataset")
    HfApi().update_repo_settings(REPO, gated="manual", repo_type="dataset")
    head = repository(REPO, token=hub_server.stranger)
    with raises(LicenseError, "hub-terms-not-accepted", match=f"datasets/{REPO}"):
        download_files(head, ["a.txt"], token=hub_server.stranger)


def test_f27_a_full_disk_under_the_cache_of_huggingface_hub(kind, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", full)
    with raises(DiskFullError, "disk-full", match=constants.HF_HUB_CACHE):
        download_files(look_up(REPO, kind, None, None), ["a.txt"])


def test_a_file_is_compared_by_the_hash_that_the_hub_has(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"hello")
    git = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"
    for digest in (git, hashlib.sha256(b"hello").hexdigest(), ""):
        for content in (path, b"hello"):
            assert RemoteFile(5, digest).matches(content) and RemoteFile(0, digest).matches(content)
            assert not RemoteFile(6, digest).matches(content)
        assert RemoteFile(5, digest).matches(b"hallo") is (digest == "")
    head = Head(REPO, "model", None, "c" * 40, {"a.txt": RemoteFile(5, git), "b": RemoteFile(5, "")})
    assert head.holds("a.txt", path) and not head.holds("a.txt", b"hallo")
    assert not head.holds("b", b"hello") and not head.holds("c", b"hello")  # without a hash it is uploaded again


def test_a_wrong_file_is_fetched_once_more_and_never_kept(tmp_path):
    path, contents = tmp_path / "a.txt", [b"hallo", b"hello", b"hallo", b"hullo"]
    head = Head(REPO, "dataset", None, "c" * 40, {"a.txt": RemoteFile(5, hashlib.sha256(b"hello").hexdigest())})

    def get():
        path.write_bytes(contents.pop(0))
        return path

    assert verified(head, "a.txt", get).read_bytes() == b"hello"
    with raises(IntegrityError, "download-hash-wrong"):
        verified(head, "a.txt", get)
    assert not path.exists()
