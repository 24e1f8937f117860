"""The crash scenarios by name, and what their process makes once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial

import torch
from crash_downloads import Download, FromUpstream, Snapshot
from crash_samples import GIVEN, NAME, NEW, OLD, cache, enter, sample, upstream_file
from crash_store import AtomicFolder, Claim, Decode, Put, Receipt, SaveState, TwoSteps, WriteBytes
from crash_zoo import Acceptance, Add, Convert, Fetch, Pin, Push, Save
from crashes import Scenario

from medzoo import store
from medzoo.zoo.convert import sandbox, worker
from medzoo.zoo.registry import registry
from medzoo.zoo.registry.locations import cached_folder

SCENARIOS: dict[str, Callable[[], Scenario]] = {
    "write_bytes": WriteBytes, "write_bytes-new": partial(WriteBytes, True), "atomic_folder": AtomicFolder,
    "atomic_folder-new": partial(AtomicFolder, True), "atomic_folder-two_steps": TwoSteps,
    "put": Put, "put-failed": partial(Put, "failed"), "put-replicate": partial(Put, "other"),
    "save_state": SaveState, "save_state-new": partial(SaveState, True), "receipt": Receipt, "claim": Claim, "decoded": Decode,
    "save": Save, "save-new": partial(Save, True), "fetch_to": Fetch, "fetch_to-new": partial(Fetch, True),
    "push": Push, "push-new": partial(Push, True), "convert": Convert, "convert-new": partial(Convert, True),
    "add": Add, "add-new": partial(Add, True), "pin": Pin, "pin-card": partial(Pin, True),
    "acceptance": Acceptance, "acceptance-new": partial(Acceptance, True),
    "download": Download, "download-changed": partial(Download, True), "hub-first": partial(Snapshot, "first"),
    "hub-branch": partial(Snapshot, "branch"), "hub-more": partial(Snapshot, "more"), "upstream": FromUpstream,
}  # fmt: skip


def prepare() -> None:
    """Make in this process, once, what every child needs."""
    os.environ["MEDZOO_HOME"] = str(GIVEN / "home")
    torch.set_num_threads(1)
    registry.config_dir = lambda: GIVEN / "configs"
    sandbox.read_in_sandbox = worker.answer  # foreign files are read here, as in the other tests
    for folder in ("configs", "site"):
        (GIVEN / folder).mkdir(parents=True)
    enter()
    for seed in (OLD, NEW):
        shutil.copytree(sample(seed), cached_folder(NAME, cache(seed)))
        upstream_file(seed)
    store._receipts_in_memory.clear()
