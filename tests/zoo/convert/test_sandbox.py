import signal
import subprocess
import sys

import pytest
import torch
from expect import raises
from safetensors.torch import load_file, save_file
from zoo_samples import small_model

import medzoo
from medzoo.errors import ConversionError
from medzoo.zoo.convert import sandbox
from medzoo.zoo.convert.messages import STATE, Request
from medzoo.zoo.convert.recognise import recognise


@pytest.fixture
def file(tmp_path):
    torch.save(small_model().state_dict(), tmp_path / "file.pth")
    return tmp_path / "file.pth"


def confined(warm, file, folder, code, before=""):
    """Run code in a process that was confined for reading a file."""
    folder.mkdir(exist_ok=True)
    program = (
        "import sys, os, pathlib\nfrom medzoo.zoo.convert import limits\n"
        f"{before}\nlimits.confine(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))\n{code}"
    )
    return warm.run(program, str(file), str(folder))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_torch_file_comes_back_whole(entry, file, tmp_path, apart, legacy):
    torch.save(small_model().state_dict(), file, _use_new_zipfile_serialization=not legacy)
    name = entry('access = "manual"\ninstructions = "Ask."')
    folder = medzoo.convert(file, name, out=tmp_path / "out" / "f")
    want = torch.load(file, weights_only=True)
    assert {key: tensor.tolist() for key, tensor in load_file(folder / "model.safetensors").items()} == {
        key: tensor.tolist() for key, tensor in want.items()
    }
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["f"]
    assert recognise(file) == ["timm"]


def test_what_went_wrong_comes_back_too(entry, tmp_path, apart):
    name = entry('access = "manual"\ninstructions = "Ask."')
    (tmp_path / "file.pth").write_bytes(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.")
    with raises(ConversionError, "file-needs-code") as caught:
        medzoo.convert(tmp_path / "file.pth", name, out=tmp_path / "f")
    assert caught.value.code == "file-needs-code"
    assert not (tmp_path / "f").exists() and not list(tmp_path.glob(".tmp-*"))


def test_secrets_stay_out(file, tmp_path, monkeypatch, apart):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    seen = {}

    def run(command, **options):
        seen.update(options["env"])
        return subprocess.CompletedProcess(command, -9, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sandbox, "is_safetensors", lambda _: False)
    with raises(ConversionError, "reader-killed", match="signal 9"):
        sandbox.read_in_sandbox(Request(str(file), ("timm",), str(tmp_path)))
    assert "HF_TOKEN" not in seen and "hf_secret" not in seen.values()


@pytest.mark.parametrize(
    ("returncode", "stderr", "code"),
    [
        (-getattr(signal, "SIGXCPU", 24), "", "reader-timeout"),
        (-11, "", "reader-killed"),
        (1, "MemoryError", "reader-memory"),
        (1, "DefaultCPUAllocator: can't allocate memory", "reader-memory"),
        (1, "PermissionError: the reader of a foreign file", "reader-failed"),
    ],
)
def test_a_reader_that_died_is_an_error(file, tmp_path, monkeypatch, apart, returncode, stderr, code):
    monkeypatch.setattr(sandbox, "is_safetensors", lambda _: False)
    done = subprocess.CompletedProcess([], returncode, "", stderr)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(ConversionError) as caught:
        sandbox.read_in_sandbox(Request(str(file), ("timm",), str(tmp_path)))
    assert caught.value.code == code and str(file) in str(caught.value)


def test_safetensors_need_no_process(tmp_path, monkeypatch, apart):
    save_file({"a": torch.ones(2)}, tmp_path / "file.safetensors")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a process was started"))
    (tmp_path / "out").mkdir()
    answer = sandbox.read_in_sandbox(Request(str(tmp_path / "file.safetensors"), ("timm",), str(tmp_path / "out")))
    assert answer.format == "timm" and (tmp_path / "out" / STATE).is_file()


ACTS = {
    "network": "import socket; socket.create_connection(('127.0.0.1', 9), 1)",
    "name lookup": "import socket; socket.getaddrinfo('example.org', 80)",
    "shell": "os.system('true')",
    "process": "import subprocess; subprocess.run(['true'])",
    "fork": "os.fork()",
    "writing": "open(sys.argv[1] + '.new', 'w')",
    "low-level writing": "os.open(sys.argv[1] + '.new', os.O_WRONLY | os.O_CREAT)",
    "appending": "open(sys.argv[1], 'ab')",
    "deleting": "os.remove(sys.argv[1])",
    "moving": "os.rename(sys.argv[1], sys.argv[1] + '.new')",
    "linking": "os.symlink(sys.argv[1], sys.argv[1] + '.new')",
    "a library": "import ctypes; ctypes.CDLL('libc.so.6')",
}


def test_what_a_confined_process_may_not_do(warm, file, tmp_path):
    check = "assert str(error).startswith('the reader of a foreign file may not'), error"
    tries = "".join(
        f"try:\n    {code}\nexcept PermissionError as error:\n    {check}\nelse:\n    print({act!r})\n"
        for act, code in ACTS.items()
    )
    done = confined(
        warm, file, tmp_path / "in", tries + "open(sys.argv[2] + '/x', 'w').write('y'); print('inside is fine')"
    )
    assert done.stdout.splitlines() == ["inside is fine"], done.stderr
    assert file.is_file() and not file.with_name("file.pth.new").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory and time are Linux's")
def test_memory_and_time_are_bounded(warm, file, tmp_path):
    done = confined(warm, file, tmp_path / "in", "bytearray(4 * 2**30)", before="limits.MEMORY = 2**28")
    assert "MemoryError" in done.stderr and done.returncode == 1
    done = confined(warm, file, tmp_path / "in", "while True: pass", before="limits.SECONDS = 1")
    assert done.returncode == -signal.SIGXCPU
