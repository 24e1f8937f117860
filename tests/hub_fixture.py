"""Fixtures: the loopback Hub with this process's client pointed at it, and that client's waits without the waiting."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hub_server import HubServer

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo


@pytest.fixture
def hub_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A Hub of this test's own; the client of this process talks to it as its owner, over LFS, from an empty cache.

    Tests that import `datasets` themselves ask for `hub_datasets` too. Child processes are started with
    `env=hub_server.child_environment()`, and share the cache.
    """
    server = HubServer(tmp_path / "hub_server")
    _point_client(monkeypatch, server, Path(server.child_environment()["HF_HOME"]))
    if "datasets.config" in sys.modules:
        _point_datasets(monkeypatch, server, tmp_path / "hf_datasets")
    yield server
    _forget()
    server.close()
    assert not server.crashes, "\n".join(server.crashes)


@pytest.fixture
def hub_commit(hub_server: HubServer, tmp_path: Path) -> CommitInfo:
    """The commit that published a small network as lab/tiny on the Hub of this test."""
    import hub_samples
    from huggingface_hub import HfApi

    HfApi().create_repo(hub_samples.REPO)
    return hub_samples.publish(tmp_path)


@pytest.fixture
def hub_datasets(hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The library `datasets`, which takes its own copy of the endpoint on import, pointed at the loopback Hub."""
    import datasets

    _point_datasets(monkeypatch, hub_server, tmp_path / "hf_datasets")
    return datasets


@pytest.fixture
def client_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the client would have slept between its attempts, instead of the sleep."""
    from huggingface_hub import file_download
    from huggingface_hub.utils import _http

    waits: list[float] = []
    clock = SimpleNamespace(**{**vars(time), "sleep": waits.append})
    for module in (_http, file_download):
        monkeypatch.setattr(module, "time", clock)
    return waits


def _point_client(monkeypatch: pytest.MonkeyPatch, server: HubServer, home: Path) -> None:
    # All of it is imported before anything is patched, so that no module takes this test's values for its own.
    from huggingface_hub import _snapshot_download, constants, file_download, hf_api, hf_file_system, repocard  # noqa: F401
    from huggingface_hub.utils import _cache_manager

    settings = {
        "ENDPOINT": server.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": server.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_TELEMETRY": True,
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": False,
        "HF_HUB_OFFLINE": False,
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(home / "hub"),
        "HUGGINGFACE_HUB_CACHE": str(home / "hub"),
        "HF_ASSETS_CACHE": str(home / "assets"),
        "HF_XET_CACHE": str(home / "xet"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_STORED_TOKENS_PATH": str(home / "stored_tokens"),
        "AGENT_HARNESSES_PATH": str(home / ".agent_harnesses.json"),
    }
    for name, value in settings.items():
        monkeypatch.setattr(constants, name, value)
    # The functions of the module are methods of one object that keeps the endpoint of its birth.
    monkeypatch.setattr(hf_api.api, "endpoint", server.url)
    monkeypatch.setattr(hf_api.api, "_whoami_cache", {})
    monkeypatch.setattr(_cache_manager, "HF_HUB_CACHE", str(home / "hub"))
    for name in ("HF_ENDPOINT", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_OIDC_RESOURCE", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN", server.owner)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    _forget()


def _point_datasets(monkeypatch: pytest.MonkeyPatch, server: HubServer, home: Path) -> None:
    from datasets import config

    monkeypatch.setattr(config, "HF_ENDPOINT", server.url)
    monkeypatch.setattr(config, "HUB_DATASETS_URL", server.url + "/datasets/{repo_id}/resolve/{revision}/{path}")
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(config, "HF_DATASETS_OFFLINE", False)
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", home)
    monkeypatch.setattr(config, "DOWNLOADED_DATASETS_PATH", home / "downloads")
    monkeypatch.setattr(config, "EXTRACTED_DATASETS_PATH", home / "downloads" / "extracted")


def _forget() -> None:
    """Drop what the client keeps between calls: connections, and what it learnt of addresses that may come back."""
    from huggingface_hub import HfFileSystem, close_session
    from huggingface_hub.utils import _xet

    close_session()
    HfFileSystem.clear_instance_cache()
    _xet.XET_CONNECTION_INFO_CACHE.clear()
