"""What the crash scenarios share: an older and a newer network in every form, a site, and what is done about leftovers."""

from __future__ import annotations

import os
import sys
import time
from functools import cache as remembered
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "samples"), str(TESTS)]

import torch  # noqa: E402
from crash_tools import names  # noqa: E402
from crashes import Scenario  # noqa: E402
from zoo_samples import CARD, ENTRY, small_model  # noqa: E402

import medzoo  # noqa: E402
from medzoo import store  # noqa: E402
from medzoo.errors import WeightsUnavailableError  # noqa: E402
from medzoo.zoo import cache as shelf  # noqa: E402
from medzoo.zoo.registry import registry  # noqa: E402

NAME, OWN = "test_resnet-drawn", "test_resnet-simclr-ours"
OLD, NEW = 0, 5  # seeds of the weights
GIVEN = Path(os.environ["CRASH_WORK"]) / "given"  # what acts read and nobody watches


def absent(what: str) -> None:
    """As medzoo says that something is not there."""
    raise WeightsUnavailableError(f"there is no {what}")


def site(name: str) -> str:
    """The address of a file of the site that the test serves from `given/site`."""
    return f"{os.environ['CRASH_SITE']}/{name}"


def serve(name: str, content: bytes) -> None:
    """Put a file on that site."""
    (GIVEN / "site" / name).write_bytes(content)


def cache(seed: int) -> Path:
    """A cache that holds NAME."""
    return GIVEN / f"cache{seed}"


@remembered
def model(seed: int) -> torch.nn.Module:
    """The network whose weights are old or new."""
    return small_model(seed=seed)


@remembered
def sample(seed: int) -> Path:
    """A checkpoint's folder."""
    return medzoo.save(model(seed), GIVEN / f"net{seed}", card=CARD)


@remembered
def upstream_file(seed: int) -> Path:
    """The same weights as their authors would publish them."""
    path = GIVEN / f"upstream{seed}.pth"
    torch.save(model(seed).state_dict(), path)
    return path


def enter(url: str = "https://example.org/x.safetensors") -> Path:
    """An entry of the registry."""
    path = registry.config_dir() / f"{NAME}.toml"
    upstream = f'access = "direct"\nurl = "{url}"'
    text = ENTRY.format(upstream=upstream, license="MIT", redistributable="true")
    for key, values in (("mean", CARD["input"]["mean"]), ("std", CARD["input"]["std"])):  # the samples' own
        text = text.replace(f"{key} = [0.5, 0.5, 0.5]", f"{key} = {values}")
    path.write_text(text)
    return path


def tree(folder: Path) -> dict[str, str]:
    """The content of every file, without what a kill left half done and no reader looks at."""
    whole = [name for name in names(folder) if (folder / name).is_file() and ".tmp-" not in name]
    return {name: store.sha256_file(folder / name) for name in whole}


def loaded(folder: Path) -> dict[str, str]:
    """All files of a checkpoint's folder, after medzoo loaded it."""
    model = medzoo.load(str(folder), verify="always")
    assert model.load_receipt.sha256 == store.sha256_file(folder / "model.safetensors")
    return tree(folder)


def checked(name: str | Path) -> None:
    """Every promise of a checkpoint."""
    report = medzoo.check(name)
    assert report.passed, str(report)


def prune(*folders: Path) -> None:
    """`medzoo cache prune` of another day; and a sweep of folders that are not in medzoo's home."""
    now = time.time
    time.time = lambda: now() + 10 * 24 * 3600.0
    try:
        shelf.prune()
        for folder in folders:
            store.sweep(folder)
    finally:
        time.time = now


class Swept(Scenario):
    """Leftovers lie beside the thing, where `sweep` finds them."""

    place = "."

    def __init__(self, absent: bool = False) -> None:
        self.absent = absent

    def write(self, folder: Path, seed: int) -> None:
        """The act."""
        raise NotImplementedError

    def before(self, folder: Path) -> None:
        if not self.absent:
            self.write(folder, OLD)

    def act(self, folder: Path) -> None:
        self.write(folder, NEW)

    def clean(self, folder: Path) -> None:
        prune(folder / self.place)
