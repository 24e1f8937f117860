"""The doctor on the zoo: each WARN and FAIL from a real fault, the Hub played on loopback."""

import http.server
import json
import os
import shutil
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
from doctor_samples import TOKEN, hub_server, nobody_there, play_torch, rows_of, whole  # noqa: F401 - fixtures
from huggingface_hub import constants

from medzoo import store
from medzoo.zoo.doctor import checkpoints
from medzoo.zoo.doctor.doctor import diagnose
from medzoo.zoo.registry import registry
from medzoo.zoo.registry.license_acceptance import require_acceptance

# --- where weights come from ---


WHO = json.dumps({"name": "jdoe", "auth": {"accessToken": {"role": "read"}}}).encode()


@pytest.mark.parametrize(
    ("token", "status", "body", "kind", "results"),
    [
        (None, 401, b'{"error": "who?"}', "application/json", {"weights from": "PASS", "token": "PASS"}),
        (TOKEN, 200, WHO, "application/json", {"weights from": "PASS", "token": "PASS"}),
        (TOKEN, 401, b"{}", "application/json", {"weights from": "PASS", "token": "WARN"}),
        (TOKEN, 200, b"<html>log in", "text/html", {"weights from": "WARN", "token": "PASS"}),
        (None, 503, b"{}", "application/json", {"weights from": "WARN", "token": "PASS"}),
        (None, 407, b"{}", "application/json", {"weights from": "WARN", "token": "PASS"}),
        (TOKEN, 200, b"no json", "application/json", {"weights from": "WARN", "token": "PASS"}),
    ],
)
def test_what_the_hub_answers(monkeypatch, token, status, body, kind, results):
    heard = []
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with hub_server(status, body, kind, heard) as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        report = diagnose()
    rows = {row.check: row for row in report.rows}
    assert {check: rows[check].result for check in results} == results
    assert heard == [("/api/whoami-v2", f"Bearer {token}" if token else None)]
    assert ("(read)" in rows["token"].detail) == (body == WHO)
    assert TOKEN not in json.dumps(report.to_dict()) and "jdoe" not in str(report) and report.passed


def test_a_token_that_is_no_header_is_not_quoted(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "sword\u2603fish")
    with hub_server(200, WHO) as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        row = rows_of(checkpoints.sources, offline=False, seconds=3.0)["weights from"]
    assert row.result == "WARN" and "UnicodeEncodeError" in row.detail and "fish" not in row.detail


def test_a_token_does_not_follow_a_redirect(monkeypatch):
    heard = []
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with hub_server(200, b"{}", heard=heard) as there:

        class Away(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(302)
                self.send_header("Location", f"{there}/elsewhere")
                self.end_headers()

            def log_message(self, *_):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Away) as server:
            threading.Thread(target=server.handle_request, daemon=True).start()
            monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
            rows_of(checkpoints.sources, offline=False, seconds=3.0)
    assert heard == [("/elsewhere", None)]


def test_a_closed_port():
    rows = whole()
    row = rows["weights from"]
    assert row.result == "WARN" and "refused" in row.detail and row.fix == "medzoo fetch NAME --to DIR"
    assert "MEDZOO_HUB" in row.detail and "127.0.0.1" not in row.detail


def silent_server(monkeypatch, stop):
    server = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
    return server


def dribbling_server(monkeypatch, stop):
    server = silent_server(monkeypatch, stop)

    def dribble():
        connection, _ = server.accept()
        with connection:
            while not stop.wait(0.2):
                connection.send(b"H")

    threading.Thread(target=dribble, daemon=True).start()
    return server


def hanging_names(monkeypatch, stop):
    monkeypatch.setattr(constants, "ENDPOINT", "https://huggingface.co")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: stop.wait(60) or [])
    return socket.socket()


@pytest.mark.parametrize("fault", [silent_server, dribbling_server, hanging_names])
def test_a_hub_that_never_answers_costs_three_seconds(monkeypatch, fault):
    stop = threading.Event()
    with fault(monkeypatch, stop):
        start = time.perf_counter()
        row = rows_of(checkpoints.sources, offline=False, seconds=3.0)["weights from"]
        took = time.perf_counter() - start
        stop.set()
    assert took < 5 and row.result == "WARN" and "no answer within 3 s" in row.detail


def test_an_unknown_name_and_an_untrusted_certificate(monkeypatch):
    for error, says, fix in (
        (socket.gaierror(-2, "Name or service not known"), "its name is not known", "medzoo fetch NAME --to DIR"),
        (
            ssl.SSLCertVerificationError("self-signed"),
            "certificate is not trusted",
            "export SSL_CERT_FILE=/path/to/ca.pem",
        ),
        (OSError(101, "Network is unreachable"), "Network is unreachable", "medzoo fetch NAME --to DIR"),
    ):

        def fail(*_, error=error, **__):
            raise error

        monkeypatch.setattr(socket, "create_connection", fail)
        row = rows_of(checkpoints.sources, offline=False, seconds=3.0)["weights from"]
        assert row.result == "WARN" and says in row.detail and row.fix == fix


@pytest.mark.parametrize("way", ["option", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "MEDZOO_HUB"])
def test_offline_makes_no_connection(monkeypatch, way, tiny_hub):
    tried = []

    def caught(*arguments, **_):
        tried.append(arguments)
        raise OSError("blocked")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, caught)
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, caught)
    if way != "option":
        monkeypatch.setenv(way, str(tiny_hub) if way == "MEDZOO_HUB" else "1")
    rows = whole(offline=way == "option")
    assert tried == [] and rows["weights from"].result == "PASS" and "token" not in rows
    assert rows["usable now"].result == ("PASS" if way == "MEDZOO_HUB" else "WARN")
    assert "only with a network" in rows["by download"].detail


def test_repositories_that_were_fetched_are_usable_offline(monkeypatch, private_home, tiny_hub):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    shutil.copytree(tiny_hub / "lab" / "tiny", private_home / "snapshots" / "lab--net" / ("a" * 40))
    row = whole()["usable now"]
    assert row.result == "PASS" and row.detail.startswith("1 repository: lab/net; ")


def test_directory_hubs(monkeypatch, tiny_hub, tmp_path):
    monkeypatch.setenv("MEDZOO_HUB", str(tiny_hub))
    row = whole()["weights from"]
    assert row.result == "PASS" and row.names == ("lab/tiny",) and "1 checkpoint: lab/tiny" in row.detail
    usable = whole()["usable now"]
    assert usable.detail.startswith("1 repository: lab/tiny; ") and "lab/tiny" in usable.names
    monkeypatch.setenv("MEDZOO_HUB", str(tmp_path / "nowhere"))
    row = whole()["weights from"]
    assert row.result == "FAIL" and row.fix == "unset MEDZOO_HUB"
    (tmp_path / "nowhere").mkdir()
    row = whole()["weights from"]
    assert row.result == "WARN" and row.fix == f"medzoo fetch NAME --to {tmp_path}/nowhere"


# --- registry and checkpoints ---

OWN = """architecture = "resnet18"
[input]
size = 64
mean = [0.5, 0.5, 0.5]
std = [1.0, 1.0, 1.0]
[license]
id = "mit"
redistributable = true
"""


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("resnet18-ours", "architecture = ", "is not valid TOML"),
        ("resnet18-ours", OWN + "colour = 3\n", "colour"),
        ("resnet18-ours", b"\xff\xfe", "is not valid TOML"),
        ("No_Name", OWN, "is not a checkpoint name"),
    ],
)
def test_a_broken_own_entry(private_home, name, content, says):
    path = registry.own_dir() / f"{name}.toml"
    path.parent.mkdir()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    rows = whole(offline=True)
    assert rows["registry"].result == "FAIL" and says in rows["registry"].detail
    assert rows["registry"].detail.count(f"{name}.toml") == 1
    assert rows["registry"].fix == f"mv {path} {path.with_suffix('.broken')}"
    assert "resnet18-random" in rows["usable now"].names  # the others stay usable
    shutil.move(path, path.with_suffix(".broken"))
    assert whole(offline=True)["registry"].result == "PASS"


def test_own_entries_are_counted(private_home):
    registry.own_dir().mkdir()
    (registry.own_dir() / "resnet18-ours-random.toml").write_text(OWN)
    rows = whole(offline=True)
    assert "1 of them your own" in rows["registry"].detail and "resnet18-ours-random" in rows["usable now"].names


def test_a_broken_shipped_entry(configs):
    (configs / "resnet18-random.toml").write_text("x")
    row = rows_of(checkpoints.entries)["registry"]
    assert row.result == "FAIL" and row.detail.startswith("resnet18-random.toml") and "reinstall" in row.fix


def test_every_name_stands_in_one_row():
    rows = rows_of(checkpoints.checkpoints, offline=False)
    assert sorted(name for row in rows.values() for name in row.names) == sorted(registry.names())
    assert rows["usable now"].names == tuple(registry.list_models("*-random"))
    assert "resnet50-radimagenet" in rows["by hand"].names and "resnet50-mocov2-imagenet" in rows["by download"].names
    assert "accept their terms" in rows["by download"].detail


def test_terms_that_nobody_accepted(monkeypatch, entry, folder, private_home):
    name = entry('access = "direct"\nurl = "https://example.org/x"', license="CC-BY-NC-4.0")
    shutil.copytree(folder, private_home / "checkpoints" / name)
    rows = rows_of(checkpoints.checkpoints, offline=True)
    assert rows["licences"].names == (name,) and rows["licences"].fix == f"export MEDZOO_ACCEPT_LICENSE={name}"
    assert name not in rows["usable now"].names
    for accepted in (name, "all"):
        monkeypatch.setenv("MEDZOO_ACCEPT_LICENSE", accepted)
        rows = rows_of(checkpoints.checkpoints, offline=True)
        assert "licences" not in rows and rows["usable now"].names == (name,) and rows["usable now"].result == "PASS"
    assert not (private_home / "accepted").exists()  # looking is not accepting
    monkeypatch.delenv("MEDZOO_ACCEPT_LICENSE")
    require_acceptance(name, registry.info(name).license, accepted=True)
    assert rows_of(checkpoints.checkpoints, offline=True)["usable now"].names == (name,)


# --- what was left over ---


def aged(path: Path, seconds: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (time.time() - seconds,) * 2)
    return path


def test_broken_downloads(private_home):
    for name in ("resnet50-a", "resnet50-b"):
        path = private_home / "upstream" / name / "x.pth.part"
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(600_000))
        aged(path, 400)
    aged(private_home / "upstream" / "resnet50-c" / "x.pth.part", 1)  # comes just now
    row = rows_of(checkpoints.leftovers)["downloads"]
    assert row.result == "WARN" and "2 downloads" in row.detail and "1.2 MB" in row.detail
    assert row.fix == "medzoo fetch resnet50-a resnet50-b"


def test_orphans(private_home):
    aged(private_home / f"{store.TEMPORARY}new", 3600)
    assert "left over" in rows_of(checkpoints.leftovers)
    aged(private_home / "decoded" / f"{store.TEMPORARY}1", 2 * 24 * 3600)
    (private_home / "checkpoints" / f"{store.TEMPORARY}2").mkdir(parents=True)
    (private_home / "checkpoints" / f"{store.TEMPORARY}2" / "model.safetensors").write_bytes(bytes(5_000_000))
    aged(private_home / "checkpoints" / f"{store.TEMPORARY}2", 2 * 24 * 3600)
    row = rows_of(checkpoints.leftovers)["left over"]
    assert row.result == "WARN" and "2 temporary" in row.detail and "5.0 MB" in row.detail
    assert row.fix == "medzoo cache prune"


def test_stale_locks(private_home):
    lock = private_home / "checkpoints" / ".resnet50-x.lock"
    lock.parent.mkdir()
    with store.claim(lock):
        assert "locks" not in rows_of(checkpoints.leftovers)
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 0"], {})
    os.waitpid(pid, 0)
    lock.write_text(json.dumps({"host": socket.gethostname(), "pid": pid}))
    there = lock.with_name(".resnet50-y.lock")
    there.write_text(json.dumps({"host": "another", "pid": 1}))
    (lock.parent / ".resnet50-z.lock").write_text("")  # begins just now
    row = rows_of(checkpoints.leftovers)["locks"]
    assert row.result == "WARN" and row.fix == f"rm {lock}"
    aged(there, 2 * 3600)
    assert "2 locks" in rows_of(checkpoints.leftovers)["locks"].detail
