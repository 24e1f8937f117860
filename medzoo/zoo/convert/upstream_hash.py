"""The hash of an upstream file, and whether it equals the published hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from medzoo.zoo.registry.checkpoint import Upstream

CHUNK = 1024 * 1024  # bytes


def sha256_of_parts(parts: tuple[Path, ...]) -> str:
    """The sha256 of the bytes of all parts, in order.

    Args:
        parts: the file, or the several files of a TensorFlow checkpoint.
    """
    digest = hashlib.sha256()
    for part in parts:
        with part.open("rb") as opened:
            while chunk := opened.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def as_published(file: Path, digest: str, upstream: Upstream) -> bool | None:
    """Whether a file has the hash that its authors published; None if they published no hash.

    Args:
        file: the upstream file.
        digest: its sha256.
        upstream: the facts about the published file.
    """
    if upstream.sha256:
        return digest == upstream.sha256
    if upstream.md5 and file.is_file():
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "md5").hexdigest().startswith(upstream.md5)
    return None
