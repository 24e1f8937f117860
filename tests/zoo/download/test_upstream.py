"""Downloads from a loopback server: whole or not at all, and the same file as the first time."""

import errno
import hashlib
import http.server
import json
import threading
import types

import pytest
import torch
from expect import raises
from safetensors.torch import save_file
from zoo_samples import small_model

import medzoo
from medzoo import http_download as download
from medzoo.errors import ConversionError, DiskFullError, IntegrityError, WeightsUnavailableError
from medzoo.http_download import RefusedError
from medzoo.zoo.registry.locations import cached_folder


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site that serves `content`; `script` holds what to do first: a status, or "cut"."""
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)

    class Site(http.server.BaseHTTPRequestHandler):
        content, script, hits, tag, ranges, asked = b"", [], 0, '"first"', [], "1"

        def do_GET(self):
            Site.hits += 1
            step = Site.script.pop(0) if Site.script else 200
            begin = 0
            asked = self.headers.get("Range")
            if asked and Site.tag and self.headers.get("If-Range") == Site.tag and step in (200, "cut"):
                begin = int(asked.removeprefix("bytes=").rstrip("-"))
            Site.ranges.append(begin)
            body = Site.content[begin:]
            if step in (200, "cut", "page"):
                self.send_response(206 if begin else 200)
                if begin:
                    size = len(Site.content)
                    self.send_header("Content-Range", f"bytes {begin}-{size - 1}/{size}")
                self.send_header("Content-Type", "text/html" if step == "page" else "application/octet-stream")
                self.send_header("Content-Length", str(len(body)))
                if Site.tag:
                    self.send_header("ETag", Site.tag)
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if step == "cut" else body)
            else:
                self.send_response(step)
                self.send_header("Retry-After", Site.asked)
                self.end_headers()

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = tmp_path / "upstream.safetensors"
    save_file(small_model(num_classes=7).state_dict(), path)
    Site.content = path.read_bytes()
    Site.url = f"http://127.0.0.1:{server.server_port}/weights.safetensors"
    yield Site
    server.shutdown()
    server.server_close()


def test_download_convert_load(entry, site, private_home):
    name = entry(f'access = "direct"\nurl = "{site.url}"')
    model = medzoo.load(name)
    assert model.load_receipt.folder == str(cached_folder(name).resolve())
    assert torch.equal(model.conv1[0].weight, small_model(num_classes=7).conv1[0].weight)
    assert medzoo.load(name, num_classes="pretrained").fc.weight.shape[0] == 7
    assert site.hits == 1  # the second came from the cache
    source = json.loads((cached_folder(name) / "config.json").read_text())["medzoo"]["source"]
    assert source["url"] == site.url and source["sha256"] == hashlib.sha256(site.content).hexdigest()
    assert not list((private_home / "upstream" / name).iterdir())  # the upstream file is not kept twice
    assert medzoo.list_models(downloaded=True) == [name]


def test_another_file_than_the_first_time(entry, site):
    import shutil

    name = entry(f'access = "direct"\nurl = "{site.url}"')
    medzoo.load(name)
    shutil.rmtree(cached_folder(name))
    site.content = site.content[:-4] + b"\0\0\0\0"
    with raises(IntegrityError, "upstream-file-changed"):
        medzoo.load(name)
    assert not cached_folder(name).exists()


def test_a_file_that_does_not_fit_is_not_fetched_twice(entry, site, private_home):
    name = entry(f'access = "direct"\nurl = "{site.url}"')
    good = site.content
    site.content = good.replace(b'"fc.bias"', b'"fc.bios"')
    for _ in range(2):
        with raises(ConversionError, "weights-differ-from-architecture"):
            medzoo.load(name)
    assert site.hits == 1
    (private_home / "upstream" / name / "weights.safetensors").unlink()
    site.content = good
    assert medzoo.load(name) is not None and site.hits == 2


def test_an_interrupted_conversion_keeps_the_download(entry, site, monkeypatch):
    name = entry(f'access = "direct"\nurl = "{site.url}"')

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("medzoo.zoo.convert.convert.convert_entry", stop)
        with pytest.raises(KeyboardInterrupt):
            medzoo.load(name)
    assert medzoo.load(name) is not None and site.hits == 1


@pytest.mark.parametrize("key", ["md5", "sha256"])
def test_published_hashes_count(entry, site, key):
    good = hashlib.new(key, site.content).hexdigest()
    name = entry(f'access = "direct"\nurl = "{site.url}"\n{key} = "{"0" * len(good)}"')
    with raises(IntegrityError, "upstream-hash-wrong"):
        medzoo.load(name)
    entry(f'access = "direct"\nurl = "{site.url}"\n{key} = "{good}"')
    folder = medzoo.fetch(name)
    assert "It has the hash that its authors published." in (folder / "README.md").read_text()


def test_retries_and_cut_connections(entry, site):
    name = entry(f'access = "direct"\nurl = "{site.url}"')
    site.script = [503, "cut", 429]
    medzoo.load(name)
    assert site.hits == 4


@pytest.mark.parametrize(
    "script, cause", [([404], "http-error"), ([500] * 9, "http-error"), (["cut"] * 9, "download-failed")]
)
def test_in_the_end_a_clear_error_and_nothing_half(entry, site, private_home, script, cause):
    name = entry(f'access = "direct"\nurl = "{site.url}"')
    site.script, site.tag = script, None  # without a validator no try gets further than the one before
    with raises(WeightsUnavailableError, cause, match=r"127\.0\.0\.1"):
        medzoo.load(name)
    assert site.hits <= 5
    left = [path for path in private_home.rglob("*") if path.is_file()]
    assert not [path for path in left if path.suffix == ".safetensors" or path.name.startswith(".tmp-")]


def test_four_at_once_download_once(entry, site):
    name = entry(f'access = "direct"\nurl = "{site.url}"')
    folders: list = []
    threads = [threading.Thread(target=lambda: folders.append(medzoo.fetch(name))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folders == [cached_folder(name)] * 4 and site.hits == 1


def test_nobody_answers(entry, monkeypatch):
    name = entry('access = "direct"\nurl = "http://127.0.0.1:9/x.pth"')
    monkeypatch.setattr(download, "TRIES", 1)
    with raises(WeightsUnavailableError, "download-failed"):
        medzoo.load(name)


def test_a_cut_download_goes_on_where_it_broke(entry, site):
    name = entry(f'access = "direct"\nurl = "{site.url}"')
    site.script = ["cut", "cut"]
    medzoo.load(name)
    half = len(site.content) // 2
    assert site.ranges == [0, half, half + (len(site.content) - half) // 2]


def test_a_line_that_breaks_often_gets_there(entry, site):
    """Tries are counted anew after each that got further."""
    name = entry(f'access = "direct"\nurl = "{site.url}"')
    site.script = ["cut", 500, 503] * 4
    assert medzoo.load(name) is not None and site.hits == 13


@pytest.mark.parametrize(("asked", "waits"), [("7", 7.0), ("100000", 120.0)])
def test_f22_a_site_that_asks_to_wait_is_obeyed_within_bounds(entry, site, monkeypatch, asked, waits):
    name = entry(f'access = "direct"\nurl = "{site.url}"')
    site.script, site.asked = [429], asked
    slept = []
    monkeypatch.setattr(download.time, "sleep", slept.append)
    assert medzoo.load(name) is not None and slept == [waits]


def test_f21_a_drip_is_as_good_as_silence(entry, site, monkeypatch):
    name = entry(f'access = "direct"\nurl = "{site.url}"')
    site.tag = None
    monkeypatch.setattr(download, "GRACE", -1.0)
    monkeypatch.setattr(download, "SLOWEST", 10**15)
    with raises(WeightsUnavailableError, "download-failed"):
        medzoo.load(name)


def test_a_login_is_not_taken_to_another_site(tmp_path):
    seen = []

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.server.server_port, self.headers.get("Authorization"), self.headers.get("User-Agent")))
            if self.path == "/here":
                self.send_response(302)
                self.send_header("Location", f"http://127.0.0.1:{servers[1].server_port}/there")
                self.end_headers()
            else:
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

        def log_message(self, *arguments):
            pass

    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{servers[0].server_port}/here"
    download.download(url, tmp_path / "x", headers={"Authorization": "Bearer hf_x"})
    for server in servers:
        server.shutdown()
        server.server_close()
    assert [login for _, login, _ in seen] == ["Bearer hf_x", None] and seen[1][2] == "medzoo"


def test_another_day_goes_on_too(entry, site, private_home):
    name = entry(f'access = "direct"\nurl = "{site.url}"')
    site.script = ["cut"] + [500] * 5
    with pytest.raises(WeightsUnavailableError):
        medzoo.load(name)
    medzoo.load(name)
    assert site.ranges[-1] == len(site.content) // 2
    assert not list((private_home / "upstream" / name).iterdir())


@pytest.mark.parametrize("tag", ['"second"', None, 'W/"first"'])
def test_a_file_that_may_have_changed_meanwhile_begins_anew(entry, site, tag):
    name = entry(f'access = "direct"\nurl = "{site.url}"')
    if tag != '"second"':
        site.tag = tag
    site.script = ["cut"] + [500] * 5
    with pytest.raises(WeightsUnavailableError):
        medzoo.load(name)
    site.tag = tag
    model = medzoo.load(name)
    assert site.ranges[-1] == 0 and model.load_receipt.sha256


def test_a_beginning_that_does_not_fit_is_thrown_away(entry, site, private_home):
    name = entry(f'access = "direct"\nurl = "{site.url}"')
    place = private_home / "upstream" / name
    place.mkdir(parents=True)
    (place / "weights.safetensors.part").write_bytes(b"x" * 10)
    (place / "weights.safetensors.part.json").write_text(json.dumps({"url": site.url, "validator": '"first"'}))
    site.script = [416]
    medzoo.load(name)
    assert site.ranges == [0, 0]


def test_a_web_page_is_no_file_and_is_not_asked_for_twice(entry, site):
    name = entry(f'access = "direct"\nurl = "{site.url}"')
    site.script = ["page"]
    with raises(WeightsUnavailableError, "web-page-instead-of-file"):
        medzoo.load(name)
    assert site.hits == 1


def test_f27_a_full_disk_is_told_before_the_first_byte(entry, site, monkeypatch):
    name = entry(f'access = "direct"\nurl = "{site.url}"')
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=1000))
    with raises(DiskFullError, "disk-full", match=f"{len(site.content):,} bytes"):
        medzoo.load(name)
    assert site.hits == 1


def test_f27_a_disk_that_fills_up_keeps_what_came(entry, site, monkeypatch, private_home):
    name = entry(f'access = "direct"\nurl = "{site.url}"')
    half = len(site.content) // 2
    site.script = ["cut"]

    def full_now(path, total, have):
        if have:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(download, "_require_space", full_now)
        with raises(DiskFullError, "disk-full", match=f"{half:,} bytes are kept"):
            medzoo.load(name)
    (part,) = (private_home / "upstream" / name).glob("*.part")
    assert part.stat().st_size == half
    medzoo.load(name)
    assert site.ranges == [0, half, half]


def test_a_site_that_refuses_is_named_with_its_status(entry, site):
    name = entry(f'access = "direct"\nurl = "{site.url}"')
    site.script = [403]
    with raises(RefusedError, "http-error", match="answered 403") as caught:
        medzoo.load(name)
    assert caught.value.status == 403 and "medzoo convert" in str(caught.value)
    assert site.hits == 1


def test_a_file_that_stayed_is_of_its_own_address(entry, site):
    """Two addresses may end in the same word; what was fetched from one is not taken for the other's."""
    name = entry(f'access = "direct"\nurl = "{site.url}"')
    good = site.content
    site.content = good.replace(b'"fc.bias"', b'"fc.bios"')
    with raises(ConversionError, "weights-differ-from-architecture"):
        medzoo.load(name)
    site.content, elsewhere = good, site.url.replace("/weights", "/v2/weights")
    entry(f'access = "direct"\nurl = "{elsewhere}"')
    assert medzoo.load(name) is not None and site.hits == 2
