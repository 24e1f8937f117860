"""Downloads to a disk of 10 MiB: told before the first byte where the size is known, and cleaned up where it is not."""

import http.server
import os
import threading
import time
from contextlib import suppress
from functools import partial

import pytest
from expect import raises
from small_disk import CARD, MIB, model

import medzoo
from medzoo import http_download as download
from medzoo.errors import DiskFullError


class Site(http.server.BaseHTTPRequestHandler):
    """Sends `body`, with or without saying how long it is; `midway` is done in the middle."""

    def __init__(self, shared: dict, *rest: object) -> None:
        self.shared = shared
        super().__init__(*rest)

    def do_GET(self) -> None:
        body, begin = self.shared["body"], 0
        if asked := self.headers.get("Range"):
            begin = int(asked.removeprefix("bytes=").rstrip("-"))
        self.shared["begins"].append(begin)
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        if self.shared["length"]:
            self.send_header("Content-Length", str(len(body) - begin))
        self.send_header("ETag", '"one"')
        self.end_headers()
        with suppress(OSError):  # who is told of a full disk does not listen to the end
            self.wfile.write(body[begin : len(body) // 2])
            self.shared["midway"]()
            self.wfile.write(body[max(begin, len(body) // 2) :])

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setattr(download.time, "sleep", lambda seconds: pytest.fail("a full disk is no reason to wait"))
    shared = {"body": os.urandom(3 * MIB), "length": True, "midway": lambda: None, "begins": []}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Site, shared))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    shared["url"] = f"http://127.0.0.1:{server.server_port}/net.pth"
    yield shared
    server.shutdown()
    server.server_close()


def test_f27_a_size_that_is_known_is_told_before_the_first_byte(mounted, site):
    with mounted.with_room_for(MIB):
        free = mounted.free()
        with raises(DiskFullError, "disk-full"):
            download.download(site["url"], mounted.path / "below" / "net.pth")
        assert mounted.names() == [] and mounted.free() >= free - 8192
    download.download(site["url"], mounted.path / "below" / "net.pth")
    assert (mounted.path / "below" / "net.pth").read_bytes() == site["body"]


def test_f27_a_size_that_is_not_known_leaves_nothing(disk, site):
    site["length"] = False
    with (
        disk.with_room_for(MIB),
        raises(DiskFullError, "disk-full"),
    ):
        download.download(site["url"], disk.path / "net.pth")
    assert disk.names() == []
    download.download(site["url"], disk.path / "net.pth")
    assert (disk.path / "net.pth").read_bytes() == site["body"]


def test_f27_somebody_else_fills_the_disk_meanwhile(mounted, site):
    part = mounted.path / "net.pth.part"

    def fill() -> None:
        """Once the client has written most of the first half: the site sends faster than the client writes."""
        until = time.monotonic() + 20
        while time.monotonic() < until and not (part.is_file() and part.stat().st_size >= MIB):
            threading.Event().wait(0.005)  # time.sleep fails in these tests
        mounted.fill(MIB // 2)

    with mounted.with_room_for(8 * MIB):
        site["midway"] = fill
        with raises(DiskFullError, "disk-full"):
            download.download(site["url"], mounted.path / "net.pth")
    site["midway"] = lambda: None
    download.download(site["url"], mounted.path / "net.pth")
    assert (mounted.path / "net.pth").read_bytes() == site["body"] and site["begins"][-1] >= MIB


@pytest.mark.parametrize("left", [0, 100_000, 1_000_000])
def test_f27_fetch_from_the_hub(mounted, hub_server, tmp_path, fails, monkeypatch, left):
    medzoo.push(medzoo.save(model(0), tmp_path / "net", card=CARD), "lab/net", private=False)
    monkeypatch.setenv("MEDZOO_HOME", str(mounted.path / "home"))
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    with mounted.with_room_for(left):
        said = fails("fetch", "lab/net")
    assert "MEDZOO_HOME" in said or "No space left" in said
    assert [name for name in mounted.names() if ".part/" not in name] == []
    assert medzoo.load("lab/net") is not None and [name for name in mounted.names() if ".part" in name] == []
