"""A small repository for tests of the loopback Hub, published as medzoo publishes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi
from safetensors.numpy import save

REPO = "lab/tiny"
WEIGHTS = save({"weight": np.arange(60_000, dtype=np.float32).reshape(200, 300)}, metadata={"format": "pt"})
CARD = b"---\nlicense: apache-2.0\ntags: [medical]\nlibrary_name: timm\n---\n# Tiny\n"
FILES = {"model.safetensors": WEIGHTS, "config.json": b"{}", "README.md": CARD, "notes/read me.txt": b"spaces too"}


def publish(folder: Path, files: dict[str, bytes] = FILES, token: str | None = None, **how: object) -> CommitInfo:
    """One commit as medzoo makes it: weights from an open file, the rest from memory."""
    path = folder / "weights"
    path.write_bytes(files.get("model.safetensors", b""))
    with path.open("rb") as weights:
        given = [(name, weights if name == "model.safetensors" else content) for name, content in files.items()]
        operations = [CommitOperationAdd(name, content) for name, content in given]
        return HfApi(token=token).create_commit(REPO, operations, commit_message="Publish", **how)


def contents(folder: str) -> dict[str, bytes]:
    """The files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}
