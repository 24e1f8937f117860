"""Plain HTTP for the loopback Hub: requests with their raw path, answers with ranges, a threaded WSGI server."""

from __future__ import annotations

import json
import re
import socketserver
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qs
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

from hub_store import HubError, Repo, Row


@dataclass(frozen=True)
class User:
    """Who a token belongs to: the admin may do everything, a token of role read changes nothing."""

    name: str
    role: str = "write"
    admin: bool = False


@dataclass
class Call:
    """A request. The path is raw, still quoted, since revisions arrive as refs%2Fpr%2F1."""

    environ: dict[str, Any]
    endpoint: str  # this Hub's own address
    storage: str  # where LFS objects go up and come down
    user: User | None = None
    repo: Repo | None = None

    @cached_property
    def method(self) -> str:
        """GET, HEAD, POST, ..."""
        return self.environ["REQUEST_METHOD"]

    @cached_property
    def path(self) -> str:
        """The raw path, without the query."""
        return self.environ["REQUEST_URI"].partition("?")[0]

    @cached_property
    def body(self) -> BinaryIO:
        """The whole body, read from the wire."""
        return self.environ["wsgi.input"]

    @cached_property
    def json(self) -> Row:
        """The body as JSON."""
        return json.loads(self.body.read() or b"{}")

    def header(self, name: str) -> str:
        """A header, or nothing."""
        return self.environ.get("HTTP_" + name.upper().replace("-", "_"), "")

    def option(self, name: str, default: str = "") -> str:
        """A value of the query."""
        return parse_qs(self.environ["QUERY_STRING"]).get(name, [default])[-1]

    def flag(self, name: str) -> bool:
        """Whether an option of the query is on."""
        return self.option(name).lower() in ("1", "true")


@dataclass
class Reply:
    """An answer; its body may be part of a large file."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    chunks: Iterable[bytes] = ()
    length: int = 0


def as_json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """JSON as an answer."""
    body = json.dumps(value).encode()
    return Reply(status, {"Content-Type": "application/json"} | (headers or {}), [body], len(body))


def refusal(error: HubError) -> Reply:
    """An error as the client reads it: the reason in two headers and in the body."""
    headers = {"X-Error-Message": str(error), **error.headers} | ({"X-Error-Code": error.code} if error.code else {})
    return as_json({"error": str(error), **error.fields}, error.status, headers)


def file_reply(path: Path, wanted: str, headers: dict[str, str]) -> Reply:
    """A file, or the part of it that a Range header asks for."""
    size = path.stat().st_size
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"} | headers
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted)
    if not match or not any(match.groups()):
        return Reply(200, headers, _part(path, 0, size), size)
    first, last = match.groups()
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if start >= end:
        raise HubError(416, f"The file has {size} bytes", headers={"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return Reply(206, headers, _part(path, start, end), end - start)


def _part(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < end and (chunk := file.read(min(2**16, end - start))):
            start += len(chunk)
            yield chunk


class RawHandler(WSGIRequestHandler):
    """One request: hands on the raw path and the socket, and reads the body first, chunked or not.

    The body is read whole because an answer that comes before it would be lost: closing a socket with unread data
    resets the connection.
    """

    def handle(self) -> None:
        """Answer one request and close, as HTTP/1.0 does."""
        self.raw_requestline = self.rfile.readline(2**16)
        if not self.parse_request():
            return
        with tempfile.SpooledTemporaryFile(max_size=2**20) as body:
            for chunk in self._sent():
                body.write(chunk)
            body.seek(0)
            environ = self.get_environ() | {"REQUEST_URI": self.path, "hub.socket": self.connection}
            handler = ServerHandler(body, self.wfile, sys.stderr, environ, multithread=True)
            handler.request_handler = self
            handler.run(self.server.get_app())

    def _sent(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().partition(b";")[0] or b"0", 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass  # trailers
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left and (chunk := self.rfile.read(min(left, 2**20))):
            left -= len(chunk)
            yield chunk

    def address_string(self) -> str:
        """The address as it is; looking its name up can take seconds."""
        return self.client_address[0]

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing on stderr; the server keeps its own log."""


class LoopbackServer(socketserver.ThreadingMixIn, WSGIServer):
    """A thread a request on a free port of 127.0.0.1; nobody waits for threads that hang on purpose."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), RawHandler)

    def server_bind(self) -> None:
        """Bind without looking up this machine's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that clients or faults broke are no news."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """http://127.0.0.1:PORT."""
        return f"http://127.0.0.1:{self.server_port}"
