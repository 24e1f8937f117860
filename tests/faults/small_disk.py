"""A disk of 10 MiB, what is written to it, and what a command says when it is full."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import timm
import torch

from medzoo import cli, store
from medzoo.zoo.registry import registry

MIB = 1024 * 1024
CARD = {"name": "test_resnet-drawn", "license": "mit", "data": ["drawn"], "input": {"size": 64}}
ENTRY = """
architecture = "test_resnet"
[input]
size = 64
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
[pretraining]
data = ["drawn"]
[upstream]
format = "timm"
access = "manual"
instructions = "Ask."
[license]
id = "MIT"
redistributable = true
"""


class Disk:
    """A small disk, or where mounting is not allowed, a limit of the size of files, which fails in the same way."""

    def __init__(self, path: Path, mounted: bool) -> None:
        self.path, self.mounted = path, mounted

    @contextmanager
    def with_room_for(self, left: int):
        """While the block runs, so many bytes are free."""
        if not self.mounted:
            import resource

            before = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (left, before[1]))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)
            return
        self.fill(left)
        try:
            yield
        finally:
            (self.path / "filler").unlink()

    def fill(self, left: int) -> None:
        """Leave so many bytes."""
        with (self.path / "filler").open("wb") as file, suppress(OSError):
            while (more := self.free() - left) > 0:
                file.write(b"x" * min(more, MIB))
                file.flush()

    def free(self) -> int:
        return shutil.disk_usage(self.path).free

    def names(self) -> list[str]:
        """All files, without those that say which checkpoint was read."""
        return sorted(
            str(path.relative_to(self.path))
            for path in self.path.rglob("*")
            if path.is_file() and path.name != "filler" and path.parent.name != "receipts"
        )


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", str(path)]
    mounted = False
    if sys.platform.startswith("linux") and os.geteuid() == 0:
        with suppress(OSError):
            mounted = subprocess.run(command, capture_output=True).returncode == 0
    yield Disk(path, mounted)
    if mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.fixture
def mounted(disk):
    if not disk.mounted:
        pytest.skip("needs a disk of its own (root and mount)")
    return disk


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """A name whose file only a person has: two of them, as published."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "test_resnet-drawn.toml").write_text(ENTRY)
    monkeypatch.setattr(registry, "config_dir", lambda: tmp_path / "configs")
    files = []
    for seed in (0, 1):
        files.append(tmp_path / f"{seed}.pth")
        torch.save(model(seed).state_dict(), files[-1])
    return files


def model(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return timm.create_model("test_resnet", num_classes=0).eval()


def contents(folder: Path) -> dict[str, str]:
    return {path.name: store.sha256_file(path) for path in folder.iterdir()}


@pytest.fixture
def fails(capsys, monkeypatch) -> Callable[..., str]:
    """What a command says that has to fail: one line, no traceback, exit code 1."""

    def run(*words: object) -> str:
        monkeypatch.setattr(sys, "argv", ["medzoo", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        said = capsys.readouterr().err.strip()
        assert stop.value.code == 1 and said.startswith("error: ") and "\n" not in said, said
        return said

    return run
