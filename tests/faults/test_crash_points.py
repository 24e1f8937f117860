"""Everything that medzoo writes, killed at every call that changes the disk: the old or the new is read, and never a mixture.

crash_shim.c sees the calls, crashes.py tries each, crash_scenarios.py says what is written and how it is read. After each point
the same is done again, and has to give the new and leave nothing but what belongs there.
"""

import hashlib
import http.server
import json
import shutil
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
from crash_tools import unflushed
from hub_server import HubServer

HERE = Path(__file__).parent


class Site(http.server.BaseHTTPRequestHandler):
    """A site of plain files: a range holds for the ETag that it was asked with."""

    def __init__(self, folder: Path, begins: dict[str, list[int]], *rest: object) -> None:
        self.folder, self.begins = folder, begins
        super().__init__(*rest)

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        content = (self.folder / name).read_bytes()
        tag, asked, begin = f'"{hashlib.sha256(content).hexdigest()}"', self.headers.get("Range"), 0
        if asked and self.headers.get("If-Range") == tag:
            begin = int(asked.removeprefix("bytes=").rstrip("-"))
        self.begins.setdefault(name, []).append(begin)
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - begin))
        self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(content[begin:])

    def log_message(self, *arguments: object) -> None:
        """Nothing on stderr."""


@pytest.fixture(scope="module")
def shim(tmp_path_factory) -> Path:
    """crash_shim.c, built."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not sys.platform.startswith("linux") or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    built = tmp_path_factory.mktemp("shim") / "crash_shim.so"
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", built, HERE / "crash_shim.c"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{compiler} does not build the shim: {done.stderr[-500:]}")
    return built


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A Hub for the children; `begins` has the first bytes that they asked the plain site beside it for."""
    hub = HubServer(tmp_path_factory.mktemp("crashes") / "hub_server")
    hub.begins = {}
    yield hub
    hub.close()
    assert not hub.crashes, "\n".join(hub.crashes)


@pytest.fixture(scope="module")
def sweep(shim, server, tmp_path_factory):
    """The process that imported everything; a scenario's name gives its row."""
    root = tmp_path_factory.mktemp("work")
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Site, root / "given" / "site", server.begins))
    threading.Thread(target=site.serve_forever, daemon=True).start()
    environment = server.child_environment() | {
        "CRASH_SHIM": str(shim), "CRASH_WORK": str(root), "CRASH_SITE": f"http://127.0.0.1:{site.server_port}",
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    said = root.parent / "crashes.txt"
    process = subprocess.Popen(
        [sys.executable, HERE / "crashes.py"], env=environment, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=said.open("w"),
    )  # fmt: skip

    def one(name: str, kills: bool = False) -> dict:
        process.stdin.write(f"{name} {'kills' * kills}\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, said.read_text()[-3000:]
        row = json.loads(line)
        if "lets no process watch" in row.get("error", ""):
            pytest.skip("this machine lets no process watch its own calls (seccomp)")
        assert "error" not in row, row["error"]
        print({key: value for key, value in row.items() if key != "failures"})  # pytest -rP shows the numbers
        assert not row["failures"], json.dumps(row["failures"][:5], indent=1)
        assert not row["unflushed"], row["unflushed"]
        assert not row["not_shown"], row["not_shown"]
        return row

    yield one
    process.stdin.close()
    process.wait(60)
    site.shutdown()
    site.server_close()


@pytest.mark.parametrize("name", ["download", "download-changed", pytest.param("upstream", marks=pytest.mark.long)])
def test_f26_a_download_that_is_killed_anywhere_goes_on(sweep, server, name):
    row = sweep(name)
    assert set(row["ends"]) == {"absent", "new"} and row["calls"] > 20
    (file,) = ["x.pth" if name == "upstream" else "a.bin"]
    assert any(server.begins[file]), "no try went on where the last one ended"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hub-first", "hub-branch", pytest.param("hub-more", marks=pytest.mark.long)])
def test_f26_a_checkpoint_from_the_hub(sweep, server, name):
    row = sweep(name)
    assert set(row["ends"]) == {"old" if name == "hub-branch" else "absent", "new"} and row["calls"] > 30
    assert name == "hub-more" or any(row.range for row in server.requests("GET", "*/model.safetensors"))


@pytest.mark.parametrize("name", ["write_bytes", "atomic_folder", "acceptance", "pin", "receipt"])
def test_f26_the_older_thing_stands_until_the_newer_one_does(sweep, name):
    row = sweep(name, kills=True)
    assert set(row["ends"]) == {"old", "new"} and row["kills"] >= row["calls"] >= 8


@pytest.mark.parametrize("name", ["save", "fetch_to", "push", "convert", "atomic_folder-two_steps"])
def test_f26_the_older_checkpoint_stands_until_the_newer_one_does(sweep, name):
    row = sweep(name)
    assert set(row["ends"]) == {"old", "new"} and row["calls"] > 25


@pytest.mark.parametrize("name", ["write_bytes-new", "atomic_folder-new", "acceptance-new", "claim"])
def test_f26_where_nothing_was_there_is_nothing_or_the_new(sweep, name):
    row = sweep(name, kills=True)
    assert set(row["ends"]) == {"absent", "new"} and row["kills"] >= row["calls"] >= 8


# saving and pushing write as fetch_to and convert do, and are tried above where an older checkpoint stands
LATER = [pytest.param(name, marks=pytest.mark.long) for name in ("save-new", "push-new")]


@pytest.mark.parametrize("name", ["fetch_to-new", "convert-new", "add-new", "decoded", *LATER])
def test_f26_where_no_checkpoint_was_is_none_or_the_new(sweep, name):
    row = sweep(name)
    assert set(row["ends"]) == {"absent", "new"} and row["calls"] > 12


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param("save", marks=pytest.mark.long), "fetch_to"])
def test_f26_a_kill_leaves_what_a_stop_shows(sweep, name):
    """The other tests look at a process that stops before each call; here as many are ended there."""
    row = sweep(name, kills=True)
    assert set(row["ends"]) == {"old", "new"} and row["kills"] == row["points"]


def test_f26_an_own_checkpoint_and_its_entry(sweep):
    """Two places: between them, loading refuses and says how to go on."""
    row = sweep("add")
    assert set(row["ends"]) == {"old", "refused", "new"} and row["ends"]["refused"] < 12


def test_f26_a_pin_and_its_card(sweep):
    """Two places: between them, `medzoo card --check` says that the card is not true."""
    row = sweep("pin-card")
    assert set(row["ends"]) == {"old", "allowed", "new"}


@pytest.mark.parametrize("name", ["save_state", "save_state-new"])
def test_f37_a_training_state_that_is_killed_anywhere(sweep, name):
    row = sweep(name, kills=True)
    assert (
        set(row["ends"]) == {"absent" if name.endswith("new") else "old", "new"} and row["kills"] >= row["calls"] > 20
    )


@pytest.mark.parametrize("name", ["put", "put-failed", "put-replicate"])
def test_f42_a_result_that_is_killed_anywhere(sweep, name):
    row = sweep(name, kills=True)
    assert "new" in row["ends"] and row["kills"] >= row["calls"] > 20


def test_f26_what_a_power_cut_would_lose_is_seen():
    whole = ["openat\t/a/.tmp-1", "write\t/a/.tmp-1", "fsync\t/a/.tmp-1", "rename\t/a/.tmp-1\t/a/x", "fsync\t/a"]
    assert unflushed(whole) == []
    assert unflushed(whole[:-1]) == ["the folder of /a/x was not flushed after"]
    assert unflushed([*whole[:2], *whole[3:]]) == ["/a/x was not flushed before it got its name"]
    folder = ["write\t/a/.tmp-1/x", "renameat2\t/a/.tmp-1\t/a/b", "fsync\t/a"]
    assert unflushed(folder) == ["/a/b/x was not flushed before it got its name"]


def test_f26_nothing_escapes_the_shim(shim, tmp_path):
    """Every call that strace sees below a folder is one that the shim counts: of Python, Rust, ctypes and C."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    (tmp_path / "now").mkdir()
    code = f"""
import ctypes, os, sys
import numpy as np
from pathlib import Path
from safetensors.numpy import save_file
from medzoo import store
shim, folder = ctypes.CDLL({str(shim)!r}), Path({str(tmp_path / "now")!r})
log = os.open({str(tmp_path / "log")!r}, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
if sys.argv[1] == "shim" and shim.crash_arm(os.fsencode(folder), 0, 0, 0, log):
    sys.exit(3)
for number in range(2):
    with store.atomic_folder(folder / "net", manifest=True) as new:
        save_file({{"x": np.zeros(50_000)}}, new / "x.safetensors")
        (new / "text").write_text("x")
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(os.fsencode(folder / "c"), b"w")
libc.fputs(b"x", ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
"""
    counted = subprocess.run([sys.executable, "-c", code, "shim"])
    if counted.returncode == 3:
        pytest.skip("this machine lets no process watch its own calls (seccomp)")
    shutil.rmtree(tmp_path / "now")
    (tmp_path / "now").mkdir()
    kinds = "write,pwrite64,writev,sendfile,copy_file_range,fsync,fdatasync,ftruncate,fallocate,open,openat,creat,"
    kinds += "rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,chmod,fchmod,fchmodat"
    seen = tmp_path / "seen"
    command = ["strace", "-f", "-y", "-o", seen, "-e", f"trace={kinds}", "-e", "signal=none"]
    traced = subprocess.run([*command, sys.executable, "-c", code, "strace"], capture_output=True, text=True)
    if traced.returncode:
        pytest.skip(f"strace does not run: {traced.stderr[-300:]}")
    lines = [line.partition(" ")[2].strip() for line in seen.read_text().splitlines() if str(tmp_path / "now") in line]
    lines = [line for line in lines if not line.startswith("open") or "O_CREAT" in line or "O_TRUNC" in line]
    calls = [line.partition("\t")[0] for line in (tmp_path / "log").read_text().splitlines()]
    assert calls == [line.partition("(")[0] for line in lines] and len(calls) > 50
