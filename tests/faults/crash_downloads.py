"""What is killed at every crash point: downloads, each gone on with by the next try."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from crash_samples import NAME, NEW, OLD, Swept, absent, checked, enter, loaded, sample, serve, site, upstream_file

import medzoo
from medzoo import http_download as http
from medzoo import store
from medzoo.zoo.download import huggingface
from medzoo.zoo.registry.locations import cached_folder


class CutOffError(Exception):
    """A connection that ended."""


def cut_off(*_: object) -> None:
    """Stands for a download's end that never came."""
    raise CutOffError


class Download(Swept):
    """From a site; with `changed`, behind the beginning of a file that has become another one since."""

    optional = ("a.bin.part.json",)  # those who download use the file, and discard this with it

    def __init__(self, changed: bool = False) -> None:
        self.absent, self.changed = True, changed

    def before(self, folder: Path) -> None:
        http.CHUNK = 20_000
        if self.changed:
            serve("a.bin", b"old" * 60_000)
            http.os = SimpleNamespace(replace=cut_off)  # in this child alone
            with suppress(CutOffError):
                http.download(site("a.bin"), folder / "a.bin")
            os.truncate(folder / "a.bin.part", 100_000)
        serve("a.bin", b"new" * 70_000)

    def act(self, folder: Path) -> None:
        http.CHUNK = 20_000  # so that there are points inside of a small file
        if not (folder / "a.bin").is_file():
            http.download(site("a.bin"), folder / "a.bin")

    def read(self, folder: Path) -> Any:
        return store.sha256_file(folder / "a.bin") if (folder / "a.bin").is_file() else absent("a.bin")


class Snapshot(Swept):
    """From the Hub: the first commit that is seen, a newer one of a branch, or more files of a commit than before."""

    brief = True

    def __init__(self, kind: str) -> None:
        self.absent, self.repo = kind != "branch", f"lab/{kind}"
        self.revision = "main" if kind == "branch" else None

    def before(self, folder: Path) -> None:
        if self.repo == "lab/branch":
            medzoo.push(sample(OLD), self.repo, private=False)
            self.act(folder)
        medzoo.push(sample(NEW), self.repo, private=False)
        if self.repo == "lab/more":
            huggingface.hub_file(self.repo, "model.safetensors", None, token=None, offline=False, cache_dir=None)

    def act(self, folder: Path) -> None:
        http.CHUNK = 600_000
        medzoo.fetch(self.repo, revision=self.revision)

    def read(self, folder: Path) -> Any:
        model = medzoo.load(self.repo, revision=self.revision, local_files_only=True)
        return [model.load_receipt.revision, loaded(Path(model.load_receipt.folder))]


class FromUpstream(Swept):
    """Load a name whose file comes from its authors' site: downloaded, converted, remembered, and the download let go."""

    brief = True
    optional = (f"home/upstream/{NAME}.json",)  # a kill between the folder and this note: the next file is not compared

    def __init__(self) -> None:
        super().__init__(absent=True)

    def before(self, folder: Path) -> None:
        serve("x.pth", upstream_file(NEW).read_bytes())

    def act(self, folder: Path) -> None:
        http.CHUNK = 600_000
        enter(site("x.pth"))
        medzoo.load(NAME)

    def read(self, folder: Path) -> Any:
        medzoo.load(NAME, local_files_only=True)
        return loaded(cached_folder(NAME))

    def prove(self, folder: Path) -> Any:
        checked(NAME)
        return self.read(folder)
