"""What the real client notices of a bad connection, a bad server or a bad disk, and what it does not."""

import re
from pathlib import Path

import httpx2
import pytest
from hub_samples import FILES, REPO, WEIGHTS, publish
from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

pytest_plugins = "hub_fixture"
NAME = "model.safetensors"
UPLOADS = "/blobs/*"


def download(**how: object) -> bytes:
    return Path(hf_hub_download(REPO, NAME, **how)).read_bytes()


def nothing_is_left() -> bool:
    """Whether no part of a file stays in the cache."""
    return not [path for path in Path(constants.HF_HUB_CACHE).rglob("*") if path.suffix == ".incomplete"]


@pytest.fixture(params=[False, True], ids=["hub", "cdn"])
def either_address(request, hub_server, hub_commit):
    hub_server.cdn = request.param
    return hub_server


def test_a_flipped_bit_is_cached_under_the_right_name(either_address, hub_commit):
    fault = either_address.fault("flip")
    wrong = download()
    assert fault.used == 1 and len(wrong) == len(WEIGHTS)
    assert sum(a != b for a, b in zip(wrong, WEIGHTS, strict=True)) == 1
    assert download() == wrong  # and stays, although the cache calls it by the sha256 of the right content
    path = Path(hf_hub_download(REPO, NAME)).resolve()
    assert re.fullmatch("[0-9a-f]{64}", path.name)
    mismatches = HfApi().verify_repo_checksums(REPO, revision=hub_commit.oid).mismatches
    assert [row["path"] for row in mismatches] == [NAME]
    assert download(force_download=True) == WEIGHTS


def test_a_cut_body_is_fetched_again_from_its_start(either_address, client_waits):
    fault = either_address.fault("short", times=2)
    assert download() == WEIGHTS
    gets = either_address.requests("GET", f"*{NAME}")
    assert fault.used == 2 and client_waits == [1, 1]
    assert [row.range for row in gets] == ["", "", ""]  # parts below 10 MB are thrown away


def test_a_cut_body_of_more_is_resumed(either_address, client_waits, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 2**16)
    either_address.fault("short", at=2**17 + 100)
    assert download() == WEIGHTS
    gets = either_address.requests("GET", f"*{NAME}")
    assert [(row.status, row.range) for row in gets] == [(200, ""), (206, f"bytes={2**17}-")]


def test_a_resumed_body_that_lies_is_not_noticed(hub_server, hub_commit, client_waits, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 2**16)
    hub_server.fault("short")
    hub_server.fault("flip")
    assert len(download()) == len(WEIGHTS) and download() != WEIGHTS


def test_a_body_that_is_always_cut_is_given_up(hub_server, hub_commit, client_waits):
    fault = hub_server.fault("short", times=None)
    with pytest.raises(httpx2.RemoteProtocolError):
        download()
    assert fault.used == 6 and client_waits == [1] * 5
    assert nothing_is_left()
    hub_server.heal()
    assert download() == WEIGHTS


def test_a_length_that_promises_more_is_asked_again(hub_server, hub_commit, client_waits):
    hub_server.fault("length", by=100)
    assert download() == WEIGHTS
    assert client_waits == [1]


def test_a_length_that_promises_less_is_refused(hub_server, hub_commit, client_waits):
    hub_server.fault("length", by=-100)
    with pytest.raises(OSError, match="should be of size"):
        download()
    assert nothing_is_left() and client_waits == []
    assert download() == WEIGHTS


def test_a_reset_ends_the_download(hub_server, hub_commit, client_waits):
    """Neither tried again nor one of the errors that the client documents: httpx2.ReadError is no OSError."""
    hub_server.fault("reset")
    with pytest.raises(httpx2.ReadError) as caught:
        download()
    assert not isinstance(caught.value, OSError) and client_waits == []
    assert nothing_is_left()
    assert download() == WEIGHTS


@pytest.mark.parametrize("at", [0, None])
def test_silence_ends_by_the_time_limit(hub_server, hub_commit, client_waits, monkeypatch, at):
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    hub_server.fault("stall", at=at)
    assert download() == WEIGHTS
    assert client_waits == [1]


def test_a_short_silence_is_waited_for(hub_server, hub_commit, client_waits):
    hub_server.fault("stall", seconds=0.2)
    assert download() == WEIGHTS
    assert client_waits == [] and len(hub_server.requests("GET", f"*{NAME}")) == 1


@pytest.mark.parametrize(("code", "wait"), [(500, 1), (503, 1), (429, 8)])
def test_one_error_of_the_hub_is_waited_out(hub_server, hub_commit, client_waits, code, wait):
    hub_server.fault("status", times=2, code=code, headers={"Retry-After": "7"} if code == 429 else {})
    assert download() == WEIGHTS
    assert client_waits == [wait]  # the first attempt is not counted: without a cached file there is a second round


def test_too_many_requests_while_downloading(hub_server, hub_commit, client_waits):
    hub_server.fault("status", method="GET", code=429, headers={"Retry-After": "3"})
    assert download() == WEIGHTS
    assert client_waits == [4]


def test_a_server_error_while_downloading_is_final(hub_server, hub_commit, client_waits):
    hub_server.fault("status", method="GET", code=500)
    with pytest.raises(HfHubHTTPError) as caught:
        download()
    assert caught.value.response.status_code == 500 and client_waits == []


def test_a_hub_that_stays_down(hub_server, hub_commit, client_waits):
    hub_server.fault("status", path="*", times=None, code=503)
    with pytest.raises(LocalEntryNotFoundError):
        download()
    assert client_waits == [1, 2, 4, 8, 8]
    with pytest.raises(LocalEntryNotFoundError, match="503"):
        snapshot_download(REPO)
    assert len(client_waits) == 5
    with pytest.raises(HfHubHTTPError):
        HfApi().repo_info(REPO)


def test_what_is_cached_needs_no_hub(hub_server, hub_commit, client_waits):
    folder = snapshot_download(REPO)
    hub_server.fault("status", path="*", times=None, code=503)
    assert snapshot_download(REPO) == folder and download() == WEIGHTS
    before = len(hub_server.log)
    assert snapshot_download(REPO, revision=hub_commit.oid) == folder
    assert len(hub_server.log) == before  # a full commit is asked nobody


def test_an_upload_is_tried_again(hub_server, tmp_path, client_waits):
    HfApi().create_repo(REPO)
    hub_server.fault("reset", path=UPLOADS, method="PUT", at=0)
    hub_server.fault("status", path=UPLOADS, method="PUT", code=503)
    made = publish(tmp_path)
    assert client_waits == [1, 2] and len(hub_server.requests("PUT")) == 3
    assert set(HfApi().list_repo_files(REPO, revision=made.oid)) == {".gitattributes", *FILES}


def test_a_refused_upload_makes_no_commit(hub_server, tmp_path, client_waits):
    HfApi().create_repo(REPO)
    hub_server.fault("status", path=UPLOADS, times=None, method="PUT", code=403)
    with pytest.raises(RuntimeError, match="Error while uploading"):
        publish(tmp_path)
    assert HfApi().list_repo_files(REPO) == [".gitattributes"]


def test_a_commit_whose_answer_is_lost_was_made(hub_server, hub_commit, tmp_path, client_waits):
    hub_server.fault("reset", path="*/commit/*", method="POST", at=0)
    with pytest.raises(httpx2.TransportError):
        publish(tmp_path, {"config.json": b"[1]"})
    made = HfApi().list_repo_commits(REPO)
    assert len(made) == 3 and client_waits == []
    assert publish(tmp_path, {"config.json": b"[1]"}).oid == made[0].commit_id  # pushing again is safe


def test_a_commit_that_failed_was_not_made(hub_server, hub_commit, tmp_path, client_waits):
    hub_server.fault("status", path="*/commit/*", code=500)
    with pytest.raises(HfHubHTTPError):
        publish(tmp_path, {"config.json": b"[1]"})
    assert len(HfApi().list_repo_commits(REPO)) == 2 and client_waits == []


def test_options_are_checked(hub_server):
    with pytest.raises(TypeError, match="flip has no option seconds"):
        hub_server.fault("flip", seconds=1)
