"""A torch that is played by a module on the path, a Hub that is not there, and the doctor's rows by name."""

import http.server
import os
import socket
import sys
import threading
from contextlib import contextmanager

import pytest
from huggingface_hub import constants

from medzoo.zoo.doctor.doctor import diagnose
from medzoo.zoo.doctor.report import DoctorRow

CPU_LIMITS = {name: os.environ.get(name) for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")}
TOKEN = "hf_" + "a1B2" * 8
FAKE_TORCH = """
class version: cuda = {cuda!r}; hip = None
class _Mps: is_available = staticmethod(lambda: {mps})
class _Cpu: get_cpu_capability = staticmethod(lambda: "AVX512")
class backends: mps = _Mps; cpu = _Cpu
class cpu: get_capabilities = staticmethod(lambda: dict(avx512_bf16={cpu}))
class _Card: name = "Card X"; total_memory = 80_000_000_000
class cuda:
    device_count = staticmethod(lambda: {cards})
    get_device_properties = staticmethod(lambda index: _Card)
    mem_get_info = staticmethod(lambda: (3_000_000_000, 80_000_000_000))
    is_bf16_supported = staticmethod(lambda including_emulation: {bf16})
class _Number:
    def sum(self): return self
    def item(self):
        {computes}
        return 8.0
def ones(count, device): return _Number()
"""


@pytest.fixture(name="torch_is")
def play_torch(tmp_path, monkeypatch):
    """Put a torch of one's own before the real one, for the process that the doctor starts."""

    def put(code=None, **facts):
        values = {"cuda": None, "mps": False, "cards": 0, "bf16": False, "cpu": False, "computes": "pass"} | facts
        (tmp_path / "fake").mkdir(exist_ok=True)
        (tmp_path / "fake" / "torch.py").write_text(FAKE_TORCH.format(**values) if code is None else code)

    put()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "fake"), *sys.path])
    return put


@pytest.fixture(autouse=True)
def nobody_there(torch_is, monkeypatch, tmp_path):
    """A closed port is the Hub, and the developer's token and settings are not seen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    for name in (
        "HF_TOKEN",
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "CUDA_VISIBLE_DEVICES",
        "http_proxy",
        "HTTP_PROXY",
        *CPU_LIMITS,
    ):
        monkeypatch.delenv(name, raising=False)


def rows_of(step, **arguments) -> dict[str, DoctorRow]:
    rows = list(step(**arguments))
    assert all(row.detail.endswith(".") and (row.result == "PASS") == (row.fix is None) for row in rows), rows
    return {row.check: row for row in rows}


def whole(**arguments) -> dict[str, DoctorRow]:
    return {row.check: row for row in diagnose(**arguments).rows}


@contextmanager
def hub_server(status, body, kind="application/json", heard=None):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if heard is not None:
                heard.append((self.path, self.headers.get("Authorization")))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
