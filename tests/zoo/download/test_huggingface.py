"""Checkpoints from the loopback Hub, over HTTP: right bytes or a sentence, once, and again without it."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from expect import raises
from huggingface_hub import HfApi, snapshot_download
from safetensors.torch import load_file
from zoo_samples import CARD, small_model

import medzoo
from medzoo import http_download as http
from medzoo import store
from medzoo.errors import DiskFullError, IntegrityError, LicenseError, UsageError, WeightsUnavailableError
from medzoo.zoo.download import huggingface
from medzoo.zoo.registry.locations import snapshot_folder

FILES = ("*/resolve/*",)


@pytest.fixture
def site(hub_server, pristine, monkeypatch):
    """lab/net on the loopback Hub; waiting between tries takes no time."""
    medzoo.push(pristine, "lab/net", private=False)
    hub_server.log.clear()
    monkeypatch.setattr(http.time, "sleep", lambda seconds: None)
    return hub_server


def right(model, pristine) -> bool:
    return torch.equal(model.conv1[0].weight, load_file(pristine / "model.safetensors")["conv1.0.weight"])


def parts(home):
    return [path for path in home.rglob("*") if ".part" in path.name or path.name.startswith(".tmp-")]


@pytest.mark.parametrize("name", ["lab/net", "hf-hub:lab/net", "hf-hub:lab/net@main"])
@pytest.mark.parametrize("cdn", [True, False])
def test_load_from_the_hub(site, pristine, private_home, name, cdn):
    site.cdn = cdn
    model = medzoo.load(name)
    commit = HfApi().repo_info("lab/net").sha
    assert right(model, pristine) and model.load_receipt.revision == commit
    assert Path(model.load_receipt.folder) == snapshot_folder("lab/net", commit)
    assert any(commit in note for note in model.load_receipt.notes)
    assert parts(private_home) == [] and (Path(model.load_receipt.folder) / "README.md").is_file()


def test_the_head_is_looked_up_once(site, pristine, capsys):
    first = medzoo.load("lab/net").load_receipt.revision
    assert f"lab/net: main is {first}" in capsys.readouterr().err
    other = medzoo.save(small_model(seed=3), pristine.parent / "other", card=CARD)
    medzoo.push(other, "lab/net")
    site.log.clear()
    again = medzoo.load("lab/net")
    assert again.load_receipt.revision == first and site.log == []  # what a person compared with stays the same
    today = medzoo.load("lab/net", revision="main")
    assert today.load_receipt.revision != first and not right(today, pristine)
    assert right(medzoo.load("lab/net", revision=first), pristine)
    shutil.rmtree(other)


def test_f24_offline_makes_no_connection(site, pristine, monkeypatch):
    import socket

    model = medzoo.load("lab/net")
    medzoo.load("lab/net", revision="main")

    def refuse(*_):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for how in ({"local_files_only": True}, {}):
        if not how:
            monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        assert right(medzoo.load("lab/net", **how), pristine)
        assert right(medzoo.load("lab/net", revision="main", **how), pristine)
        assert right(medzoo.load("lab/net", revision=model.load_receipt.revision, **how), pristine)
        for absent in ("lab/other", "resnet18-imagenet", "hf-hub:lab/net@v9"):
            with raises(WeightsUnavailableError, "network-off"):
                medzoo.load(absent, **how)


def test_what_huggingface_hub_has_is_used(site, pristine, private_home):
    snapshot_download("lab/net")
    commit = HfApi().repo_info("lab/net").sha
    site.log.clear()
    assert right(medzoo.load(f"hf-hub:lab/net@{commit}"), pristine) and site.log == []
    assert not (private_home / "snapshots").exists()


@pytest.mark.parametrize("kind", ["flip", "short", "reset", "length"])
def test_f21_f23_one_broken_answer_is_mended(site, pristine, private_home, kind):
    site.fault(kind, times=1)
    assert right(medzoo.load("lab/net"), pristine) and parts(private_home) == []


def test_f02_bytes_that_stay_wrong_are_refused(site, private_home):
    site.fault("flip", times=None)
    with raises(IntegrityError, "download-hash-wrong"):
        medzoo.load("lab/net")
    assert not list(private_home.rglob("model.safetensors*"))
    site.heal()
    medzoo.load("lab/net")


@pytest.mark.parametrize("at", [10_000, 50_000])
def test_f26_a_download_goes_on_where_it_broke(site, pristine, private_home, at):
    site.fault("short", times=1, at=at)
    site.fault("reset", times=None, at=0)
    with raises(WeightsUnavailableError, "download-failed"):
        medzoo.load("lab/net")
    site.heal()
    site.log.clear()
    assert right(medzoo.load("lab/net"), pristine)
    (asked,) = [entry.range for entry in site.requests("GET", "*/model.safetensors")]
    assert asked == f"bytes={at}-"


@pytest.mark.parametrize(("code", "headers"), [(500, {}), (503, {}), (429, {"Retry-After": "100000"}), (408, {})])
@pytest.mark.parametrize("path", ["*/resolve/*", "/api/models/*"])
def test_f22_a_busy_hub_is_asked_again(site, pristine, monkeypatch, code, headers, path):
    slept = []
    monkeypatch.setattr(http.time, "sleep", slept.append)
    site.fault("status", path=path, times=2, code=code, headers=headers)
    assert right(medzoo.load("lab/net"), pristine)
    assert len(slept) == 2 and max(slept) <= 120


@pytest.mark.parametrize("path", ["*/resolve/*", "/api/models/*"])
def test_f22_a_hub_that_stays_busy_is_given_up_clearly(site, path):
    site.fault("status", path=path, times=None, code=503)
    with raises(WeightsUnavailableError, ("hub-error", "http-error"), match="503"):
        medzoo.load("lab/net")
    assert len(site.log) <= 8


def test_f21_a_hub_that_is_silent_is_given_up(site, monkeypatch):
    monkeypatch.setattr(http, "TIMEOUT", 0.3)
    monkeypatch.setattr(http, "TRIES", 2)
    site.fault("stall", times=None, seconds=2)
    with raises(WeightsUnavailableError, "download-failed"):
        medzoo.load("lab/net")


def test_f24_an_unreachable_hub_costs_no_patience(monkeypatch, hub_server):
    hub_server.close()
    start = time.monotonic()
    with raises(WeightsUnavailableError, "hub-unreachable"):
        medzoo.load("lab/net")
    assert time.monotonic() - start < 3


def test_private_gated_and_absent(site):
    HfApi().update_repo_settings("lab/net", private=True)
    assert medzoo.load("lab/net", token=site.reader) is not None
    for token in (False, site.stranger):
        with raises(WeightsUnavailableError, "repository-not-found"):
            medzoo.load("hf-hub:lab/net@main", token=token)
    with raises(WeightsUnavailableError, "repository-not-found"):
        medzoo.load("lab/none")
    with raises(WeightsUnavailableError, "revision-not-found"):
        medzoo.load("hf-hub:lab/net@v9")


def test_gated_files_ask_for_the_terms(hub_server, pristine):
    medzoo.push(pristine, "lab/gated", private=False)
    HfApi().update_repo_settings("lab/gated", gated="manual")
    with raises(LicenseError, "hub-terms-not-accepted"):
        medzoo.load("lab/gated", token=hub_server.stranger)


def test_a_repository_of_something_else(hub_server):
    HfApi().create_repo("lab/text", private=False)
    HfApi().upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="lab/text")
    with raises(WeightsUnavailableError, "file-not-in-repository"):
        medzoo.load("lab/text")


def test_f27_a_full_disk_is_told_before_the_first_byte(site, private_home, monkeypatch):
    from types import SimpleNamespace

    monkeypatch.setattr(http.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with raises(DiskFullError, "disk-full"):
        medzoo.load("lab/net")


CODE = """
import sys, json
from pathlib import Path
import medzoo
from medzoo import store
folder = Path(medzoo.fetch("lab/net"))
print(json.dumps([str(folder), store.sha256_file(folder / "model.safetensors")]))
"""


@pytest.mark.slow
def test_f25_eight_processes_one_download_and_eight_equal_hashes(site, pristine, private_home):
    environment = site.child_environment() | {"MEDZOO_HOME": str(private_home)}
    racers = [
        subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE, text=True, env=os.environ | environment)
        for _ in range(8)
    ]
    found = {tuple(json.loads(racer.communicate()[0].splitlines()[-1])) for racer in racers}
    assert len(found) == 1 and found.pop()[1] == store.sha256_file(pristine / "model.safetensors")
    assert len(site.requests("GET", "*/model.safetensors")) == 1 and parts(private_home) == []


@pytest.mark.parametrize("revision", ["../../../../tmp/x", "/etc/passwd", "-rf", "a..b", "a b", "x\n", "refs/../.."])
def test_f17_revisions_that_would_leave_the_cache(site, revision):
    for call in (
        lambda: medzoo.load("lab/net", revision=revision),
        lambda: medzoo.push("x", "lab/net", revision=revision),
    ):
        with raises(UsageError, "invalid-revision"):
            call()
    assert site.log == []


def test_f29_a_cache_that_cannot_be_written_serves_what_it_has(site, pristine, private_home, monkeypatch):
    medzoo.load("lab/net")
    monkeypatch.setattr(store, "atomic_path", None)  # nothing may be written any more
    monkeypatch.setattr(huggingface.store, "write_json", None)
    assert right(medzoo.load("lab/net"), pristine)
