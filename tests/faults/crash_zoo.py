"""What is killed at every crash point: checkpoints that are saved, fetched, pushed, converted, added; pins and consents."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from crash_samples import (
    CARD,
    NAME,
    NEW,
    OLD,
    OWN,
    Swept,
    cache,
    checked,
    enter,
    loaded,
    model,
    prune,
    sample,
    tree,
    upstream_file,
)  # fmt: skip

import medzoo
from medzoo import paths
from medzoo.errors import IntegrityError
from medzoo.zoo.add import add
from medzoo.zoo.folder import card as cards
from medzoo.zoo.folder.read_write import read_folder
from medzoo.zoo.publish import publish
from medzoo.zoo.registry import license_acceptance, licenses, registry
from medzoo.zoo.registry.checkpoint import Hub
from medzoo.zoo.registry.locations import cached_folder


class Save(Swept):
    brief = True

    def write(self, folder: Path, seed: int) -> None:
        medzoo.save(model(seed), folder / "net", card=CARD)

    def read(self, folder: Path) -> Any:
        return loaded(folder / "net")

    def prove(self, folder: Path) -> Any:
        checked(folder / "net")
        return self.read(folder)


class Fetch(Swept):
    """From this machine's cache into a directory hub."""

    brief = True

    place = "stick/medzoo"

    def write(self, folder: Path, seed: int) -> None:
        medzoo.fetch(NAME, to=folder / "stick", cache_dir=cache(seed))

    def read(self, folder: Path) -> Any:
        medzoo.load(NAME, hub=folder / "stick")
        return loaded(folder / "stick" / "medzoo" / NAME)

    def prove(self, folder: Path) -> Any:
        checked(folder / "stick" / "medzoo" / NAME)
        return self.read(folder)


class Push(Swept):
    """Into a directory hub."""

    brief = True

    place = "hub/org"

    def write(self, folder: Path, seed: int) -> None:
        medzoo.push(sample(seed), "org/name", hub=folder / "hub")

    def read(self, folder: Path) -> Any:
        medzoo.load("org/name", hub=folder / "hub")
        return loaded(folder / "hub" / "org" / "name")

    def prove(self, folder: Path) -> Any:
        checked(folder / "hub" / "org" / "name")
        return self.read(folder)


class Convert(Swept):
    brief = True

    def write(self, folder: Path, seed: int) -> None:
        medzoo.convert(upstream_file(seed), NAME)  # where medzoo.load looks

    def read(self, folder: Path) -> Any:
        medzoo.load(NAME, local_files_only=True)
        return loaded(cached_folder(NAME))

    def prove(self, folder: Path) -> Any:
        checked(NAME)
        return self.read(folder)


class Add(Swept):
    """Two places: the folder in the cache, and the entry that gives it a name."""

    brief = True

    def write(self, folder: Path, seed: int) -> None:
        if self.absent and (registry.own_dir() / f"{OWN}.toml").is_file():
            return  # without --replace, a person is told that it is there already
        mean = [0.1 * (1 + seed), 0.5, 0.5]
        add(
            upstream_file(seed), OWN, license="cc-by-4.0", data=["ours"], mean=mean, std=[0.2, 0.3, 0.4], size=64,
            format="timm", replace_old=not self.absent,
        )  # fmt: skip

    def refused(self, error: Exception) -> bool:
        """The folder is new and its entry is not: no weights under another normalisation than theirs."""
        return isinstance(error, IntegrityError) and error.code == "folder-contradicts-entry"

    def read(self, folder: Path) -> Any:
        entry, weights = medzoo.info(OWN), medzoo.load(OWN).load_receipt.sha256
        facts = {"all": medzoo.list_models("*-ours"), "mean": entry.input.mean, "weights": weights}
        return {**facts, "folder": tree(cached_folder(OWN))}

    def prove(self, folder: Path) -> Any:
        checked(OWN)
        return self.read(folder)


class Pin(Swept):
    """A release's pin in the registry; and the card that goes with it."""

    def __init__(self, card: bool = False) -> None:
        self.card = card

    def _here(self, folder: Path) -> Path:
        (folder / "configs").mkdir(exist_ok=True)
        (folder / "cards").mkdir(exist_ok=True)
        registry.config_dir = lambda: folder / "configs"
        cards.paths = SimpleNamespace(data_dir=lambda name: folder / "cards")  # and the template of cards
        return folder / "configs" / f"{NAME}.toml"

    def before(self, folder: Path) -> None:
        shipped = paths.data_dir("model_cards") / "template.md"
        self._here(folder)
        enter()
        shutil.copy(shipped, folder / "cards")
        if self.card:
            cards.write_card(medzoo.info(NAME))
        self.write(folder, OLD)

    def write(self, folder: Path, seed: int) -> None:
        self._here(folder)
        pin = Hub(f"medzoo/{NAME}", f"{seed}" * 40, f"{seed}" * 64, 1_000_000 + seed)
        publish.write_pin(medzoo.info(NAME), pin, read_folder(sample(seed)).facts.golden)

    def read(self, folder: Path) -> Any:
        path = self._here(folder)
        pin = medzoo.info(NAME).hub
        return [pin.revision, path.read_text(), medzoo.list_models(), tree(folder / "cards"), cards.untrue_cards()]

    def allowed(self, seen: Any) -> bool:
        """The pin is new and the card is not: `medzoo card --check` says so (and so do medzoo's own tests)."""
        revision, _, all_names, _, untrue = seen
        told = len(untrue) == 1 and untrue[0].startswith(f"{NAME}.md")
        return self.card and revision == f"{NEW}" * 40 and all_names == [NAME] and told

    def clean(self, folder: Path) -> None:
        prune(folder / "configs", folder / "cards")


class Acceptance(Swept):
    def write(self, folder: Path, seed: int) -> None:
        license_acceptance.require_acceptance(NAME, self._terms(seed), accepted=True)

    def _terms(self, seed: int) -> licenses.License:
        return licenses.License("cc-by-nc-4.0", redistributable=True, url=f"https://example.org/{seed}")

    def read(self, folder: Path) -> Any:
        held = [license_acceptance.is_accepted(NAME, self._terms(seed)) for seed in (OLD, NEW)]
        if not any(held):
            license_acceptance.require_acceptance(NAME, self._terms(NEW))
        return held
