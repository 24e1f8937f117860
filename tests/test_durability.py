"""What is written survives a loss of power: contents are flushed before a rename, and the folder that holds the name after it."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from durable import Trail, survives

from medzoo import store
from medzoo.data.decode_cache.cache import decoded
from medzoo.data.task_registry import load_task
from medzoo.http_download import download
from medzoo.zoo.download import huggingface
from medzoo.zoo.download.hub_client import Head, RemoteFile


@pytest.fixture
def trail(monkeypatch):
    return Trail(monkeypatch)


@pytest.mark.parametrize("write", ["text", "bytes", "json", "path"])
def test_a_file(tmp_path, trail, write):
    path = tmp_path / "deep" / "a"
    if write == "path":
        with store.atomic_path(path) as temporary:
            temporary.write_text("x")
    else:
        {"text": store.write_text, "bytes": store.write_bytes, "json": store.write_json}[write](
            path, {"text": "x", "bytes": b"x", "json": [1]}[write]
        )
    survives(trail, path)


@pytest.mark.parametrize("manifest", [True, False])
@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize("replaced", [True, False])
def test_a_folder(tmp_path, trail, monkeypatch, replaced, exchange, manifest):
    """Each file in it, the folder itself, and the folder that holds it; also where it takes the place of an older one."""
    if not exchange:
        monkeypatch.setattr(store, "_exchange", lambda one, other: False)
    folder = tmp_path / "deep" / "state"
    for text in ["old", "new"] if replaced else ["new"]:
        trail.rows.clear()
        with store.atomic_folder(folder, manifest=manifest) as temporary:
            (temporary / "sub").mkdir()
            (temporary / "sub" / "x").write_text(text)
    last = max(trail.flushed(folder.parent))
    for path in (folder / "sub" / "x", *([folder / store.MANIFEST] if manifest else []), folder):
        assert trail.flushed(path) and min(trail.flushed(path)) < last
    assert max(trail.flushed(folder / "sub" / "x")) < max(trail.flushed(folder))
    if not (replaced and exchange):  # an exchange goes past Python's functions
        assert trail.named(folder) < last


def test_a_folder_that_cannot_be_flushed_is_no_error(tmp_path, monkeypatch):
    """Some network disks have no handles of folders."""

    def refuse(*arguments):
        raise OSError("no handles here")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        store.fsync_folder(tmp_path)
    handles = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 0
    for _ in range(5):
        store.fsync_folder(tmp_path)
    if handles:
        assert len(list(Path("/proc/self/fd").iterdir())) <= handles  # and none stays open


def test_a_part_of_decoded_images(tmp_path, trail):
    task = load_task("phantom_oct,n=4,n_validation=4,n_test=4,image_size=16")
    decoded(task, "test", size=16, cache_dir=tmp_path / "rows")
    (part,) = (tmp_path / "rows").rglob("part-*.safetensors")
    survives(trail, part)


def test_a_download(tmp_path, trail, monkeypatch):
    """Of several files of a commit: each one, and the folder that gets its name when all are whole."""
    contents = {"config.json": b"{}", "model.safetensors": b"weights"}

    def download(url, path, headers=None):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(contents[path.name])
            file.flush()
            os.fsync(file.fileno())

    monkeypatch.setattr(huggingface, "download", download)
    files = {name: RemoteFile(len(content), "") for name, content in contents.items()}
    head = Head("org/name", "model", None, "c" * 40, files)
    folder = tmp_path / "a" / ("c" * 40)
    huggingface._download_to(folder, head, list(contents), None)
    named = trail.named(folder)
    assert any(place > named for place in trail.flushed(folder.parent))
    assert any(place < named for place in trail.flushed(folder))


def test_a_file_over_http(tmp_path, trail):
    """What is fetched from an authors' site, before its note of an unfinished download goes."""
    content = b"weights" * 1000

    class Site(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", '"1"')
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        download(f"http://127.0.0.1:{server.server_port}/w.bin", tmp_path / "a" / "w.bin")
    finally:
        server.shutdown()
        server.server_close()
    assert (tmp_path / "a" / "w.bin").read_bytes() == content
    survives(trail, tmp_path / "a" / "w.bin")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["w.bin"]


def test_shards_and_their_index(tmp_path, trail):
    from medzoo.data.shards.write import write_shards

    task = load_task("phantom_oct,n=6,n_validation=4,n_test=4,image_size=16")
    write_shards(task, tmp_path / "s", images_per_shard=3, progress=False)
    for path in (tmp_path / "s").glob("train-*"):
        survives(trail, path)
    survives(trail, tmp_path / "s" / "index.json")
