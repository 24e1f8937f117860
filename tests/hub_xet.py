"""The loopback Hub's side of Xet: tokens that send hf_xet to its own storage in a local folder, and an index of that.

hf_xet has such a storage compiled in for its tests (`local://FOLDER`). Only the client can read contents back from it, and
only one process at a time; the Hub looks at the shards alone, which say which files there are.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path

from hub_api import Api, route
from hub_http import Call, Reply, as_json
from hub_store import HubError

RECORD = 48  # bytes of every part of a shard: header, file, segment, verification, sha256
VERIFIED, WITH_SHA256 = 1 << 31, 1 << 30  # flags of a file


def hash_text(raw: bytes) -> str:
    """A hash as Xet prints it: four little-endian words."""
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", raw))


def files_of(shard: bytes) -> Iterator[tuple[str, str, int]]:
    """The sha256, Xet hash and size of each file that a shard describes."""
    at = RECORD
    while at + RECORD <= len(shard) and (name := shard[at : at + 32]) != b"\xff" * 32:
        flags, segments = struct.unpack_from("<II", shard, at + 32)
        at += RECORD
        size = sum(struct.unpack_from("<I", shard, at + RECORD * n + 36)[0] for n in range(segments))
        at += RECORD * segments * (2 if flags & VERIFIED else 1)
        if flags & WITH_SHA256:
            yield hash_text(shard[at : at + 32]), hash_text(name), size
            at += RECORD


def look_up(storage: Path | None, sha256: str) -> tuple[str, int] | None:
    """The Xet hash and size of a file in the local storage."""
    for path in sorted(storage.glob("xet/shard*/**/*.mdb")) if storage else []:
        for found, name, size in files_of(path.read_bytes()):
            if found == sha256:
                return name, size
    return None


@route("GET", "/api/<kind>/<repo>/xet-(?P<what>read|write)-token/<rev>", "files")
def token(api: Api, call: Call, what: str, rev: str) -> Reply:
    """Where the contents are; what the token says is of no interest to a folder."""
    if api.xet is None:
        raise HubError(404, "This Hub has no Xet; set HF_HUB_DISABLE_XET=1")
    if what == "write":
        api.admit(call, call.repo, "propose")
    told = {"casUrl": f"local://{api.xet}", "exp": int(time.time()) + 3600, "accessToken": "local"}
    names = {"X-Xet-Cas-Url": "casUrl", "X-Xet-Access-Token": "accessToken", "X-Xet-Token-Expiration": "exp"}
    return as_json(told, 200, {header: str(told[name]) for header, name in names.items()})
