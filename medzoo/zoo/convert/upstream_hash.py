"""The hash of an upstream file, and whether it equals the published hash."""

from __future__ import annotations

from pathlib import Path

from medzoo.progress import hash_file, hash_files
from medzoo.zoo.registry.checkpoint import Upstream


def sha256_of_parts(parts: tuple[Path, ...]) -> str:
    """The sha256 of the bytes of all parts, in order.

    Args:
        parts: the file, or the several files of a TensorFlow checkpoint.
    """
    return hash_files(parts)


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
        return hash_file(file, "md5").startswith(upstream.md5)
    return None
