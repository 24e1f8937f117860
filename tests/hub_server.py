"""The loopback Hub that tests start: two addresses (hub and storage), tokens, a request log, and faults on demand.

What it speaks is in `hub_api` and `hub_files`, what it keeps in `hub_store`, and how it is wired in `hub_http`.
"""

from __future__ import annotations

import itertools
import os
import secrets
import socket
import struct
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import hub_files  # noqa: F401  (its endpoints enter the table of routes)
from hub_api import Api
from hub_http import Call, LoopbackServer, Reply, User, as_json, refusal
from hub_store import HubError, Store

# kind → its options; `at` counts bytes of the body, None is the middle
FAULTS: dict[str, dict[str, Any]] = {
    "flip": {"at": None},  # one bit of one byte
    "short": {"at": None},  # the body ends there, and so does the connection
    "reset": {"at": None},  # a TCP reset there; at=0 loses the whole answer of a request that was carried out
    "stall": {"at": None, "seconds": 30.0},  # silence there, then the rest
    "length": {"by": 1},  # Content-Length is so much too large (or too small)
    "status": {"code": 500, "headers": {}},  # an error instead of an answer, and nothing is carried out
}


CLIENT = ("HF_", "HUGGING", "TRANSFORMERS_", "XDG_")  # variables by which a developer's settings would leak in


@dataclass
class Fault:
    """What goes wrong with requests that fit; `used` counts them."""

    kind: str
    path: str
    times: int | None
    method: str | None
    options: dict[str, Any]
    used: int = 0

    @property
    def at(self) -> int | None:
        """Where in the body; None is its middle."""
        return self.options.get("at")


@dataclass(frozen=True)
class Entry:
    """A line of the request log: `origin` is hub or storage, `user` None where no token came along."""

    method: str
    path: str
    status: int
    origin: str
    user: str | None
    range: str
    fault: str | None


class HubServer:
    """A Hub for one test.

    Args:
        root: folder to keep everything in.

    Attributes:
        tokens: the users behind the tokens; a test may add some.
        members: who may write in an organisation.
        cdn: whether LFS objects come from another address than the Hub, by a redirect.
        log: the requests, in the order in which their answers began.
        crashes: tracebacks of errors in the server itself; a test that leaves some has met a bug of it.
    """

    owner, writer, reader, stranger = "hf_owner", "hf_writer", "hf_reader", "hf_stranger"

    def __init__(self, root: Path) -> None:
        self.tokens = {
            self.owner: User("owner", admin=True),
            self.reader: User("owner", role="read", admin=True),
            self.writer: User("writer"),
            self.stranger: User("stranger"),
        }
        self.members = {"lab": {"owner", "writer"}}
        self.cdn = False
        self.log: list[Entry] = []
        self.crashes: list[str] = []
        self.api = Api(Store(root), self.tokens, self.members, secrets.token_bytes(16))
        self._faults: list[Fault] = []
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._hub, self._storage = LoopbackServer(), LoopbackServer()
        for server in (self._hub, self._storage):
            server.set_app(self._respond)
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        """HF_ENDPOINT."""
        return self._hub.url

    def close(self) -> None:
        """Stop, and let go of everything that hangs."""
        self._closing.set()
        for server in (self._hub, self._storage):
            server.shutdown()
            server.server_close()

    def use_xet(self) -> None:
        """Offer Xet to clients that have it on; their processes have to come one after the other."""
        self.api.xet = self.api.store.root / "xet_storage"
        self.api.xet.mkdir()

    def child_environment(self, token: str | None = None, xet: bool = False) -> dict[str, str]:
        """This process's environment with the client pointed here; it reads these variables when it is imported."""
        home = self.api.store.root.parent / "hf_home"
        environment = {name: value for name, value in os.environ.items() if not name.startswith(CLIENT)}
        return environment | {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_TOKEN": token or self.owner,
            "HF_HUB_DISABLE_XET": "0" if xet else "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "NO_PROXY": "127.0.0.1",
        }

    def requests(self, method: str | None = None, path: str = "*") -> list[Entry]:
        """The lines of the log with this method whose path fits a pattern."""
        return [row for row in self.log if method in (None, row.method) and fnmatchcase(row.path, path)]

    def fault(
        self,
        kind: str,
        path: str = "*.safetensors",
        times: int | None = 1,
        method: str | None = None,
        **options: object,
    ) -> Fault:
        """Let the next requests go wrong.

        Args:
            kind: a key of FAULTS.
            path: pattern for the path without the query, unquoted, at either address.
            times: how many requests; None is until `heal`.
            method: by default GET, for `status` any.
            options: of the kind, see FAULTS.

        Returns:
            The fault, whose `used` tells how often it struck.
        """
        unknown = set(options) - set(FAULTS[kind])
        if unknown:
            raise TypeError(f"{kind} has no option {', '.join(sorted(unknown))}")
        found = Fault(kind, path, times, method or (None if kind == "status" else "GET"), FAULTS[kind] | options)
        self._faults.append(found)
        return found

    def heal(self) -> None:
        """Take back all faults."""
        self._faults.clear()

    def _take(self, call: Call, fits: Callable[[Fault], bool]) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                spent = fault.times is not None and fault.used >= fault.times
                asked = fault.method in (None, call.method) and fnmatchcase(unquote(call.path), fault.path)
                if asked and not spent and fits(fault):
                    fault.used += 1
                    return fault
        return None

    def _respond(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """The WSGI application of both addresses."""
        origin = "hub" if int(environ["SERVER_PORT"]) == self._hub.server_port else "storage"
        call = Call(environ, self.url, self._storage.url if self.cdn else self.url)
        fault = self._take(call, lambda fault: fault.kind == "status")
        reply = self._failure(fault) if fault else self._answer(call, origin)
        if reply.status < 300 and not fault:
            fault = self._take(call, lambda fault: fault.kind != "status" and (reply.length > 0 or fault.at == 0))
        user = call.user.name if call.user else None
        told = fault.kind if fault else None
        row = Entry(call.method, unquote(call.path), reply.status, origin, user, call.header("range"), told)
        self.log.append(row)
        length = reply.length + (fault.options["by"] if fault and fault.kind == "length" else 0)
        headers = {"Content-Length": str(length), **reply.headers}
        start_response(f"{reply.status} {HTTPStatus(reply.status).phrase}", list(headers.items()))
        if call.method == "HEAD":
            return []
        if fault is None or fault.kind in ("status", "length"):
            return reply.chunks
        return self._broken(fault, reply, environ["hub.socket"])

    def _answer(self, call: Call, origin: str) -> Reply:
        try:
            if origin == "storage" and not call.path.startswith("/blobs/"):
                raise HubError(404, "The storage has LFS objects only")
            return self.api.answer(call)
        except HubError as error:
            return refusal(error)
        except Exception:
            self.crashes.append(traceback.format_exc())
            return refusal(HubError(500, "The loopback Hub has a bug, see server.crashes"))

    def _failure(self, fault: Fault) -> Reply:
        return as_json({"error": "A fault that the test asked for"}, fault.options["code"], fault.options["headers"])

    def _broken(self, fault: Fault, reply: Reply, connection: socket.socket) -> Iterator[bytes]:
        at = reply.length // 2 if fault.at is None else fault.at
        for start, piece in cut(itertools.chain(reply.chunks, [b""]), at):
            if start == at and fault.kind == "flip" and piece:
                piece = bytes([piece[0] ^ 1]) + piece[1:]
            elif start == at and fault.kind == "short":
                return
            elif start == at and fault.kind == "reset":
                reset(connection)
            elif start == at and fault.kind == "stall":
                yield b""  # the headers, if nothing went out yet
                self._closing.wait(fault.options["seconds"])
            yield piece


def cut(chunks: Iterable[bytes], at: int) -> Iterator[tuple[int, bytes]]:
    """Pieces with their positions, one of which begins at a given one."""
    start = 0
    for chunk in chunks:
        inside = at - start
        for piece in (chunk[:inside], chunk[inside:]) if 0 < inside < len(chunk) else (chunk,):
            yield start, piece
            start += len(piece)


def reset(connection: socket.socket) -> None:
    """Reset a connection: closing it without lingering drops what is under way and sends RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())
    raise ConnectionResetError("as the test asked")
