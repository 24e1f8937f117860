"""What is killed at every crash point: files, folders, results, states of training, receipts, claims, decoded images."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import warnings
from functools import cache as remembered
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from crash_samples import TESTS, Swept, absent, prune, tree
from crashes import Scenario

from medzoo import store
from medzoo.bench.results.store import ResultStore, predictions_path
from medzoo.data.decode_cache import cache as images
from medzoo.data.task import Task
from medzoo.data.task_registry import load_task
from medzoo.errors import WeightsUnavailableError
from medzoo.training.run_state import saved_state

TASK = "phantom_oct,n=40,n_validation=4,n_test=4"


@remembered
def bench() -> ModuleType:
    """The results that the tests of the store use."""
    spec = importlib.util.spec_from_file_location("bench_runs", TESTS / "bench" / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class WriteBytes(Swept):
    def write(self, folder: Path, seed: int) -> None:
        store.write_bytes(folder / "a.bin", b"%d" % seed * 50_000)

    def read(self, folder: Path) -> Any:
        return tree(folder) or absent("a.bin")


class AtomicFolder(Swept):
    def write(self, folder: Path, seed: int) -> None:
        with store.atomic_folder(folder / "state", manifest=True) as new:
            for name in ("a", "b"):
                (new / name).write_bytes(b"%d" % seed * 50_000)
            (new / "below").mkdir()
            (new / "below" / "c").write_text(str(seed))

    def read(self, folder: Path) -> Any:
        store.verify_manifest(folder / "state")
        return tree(folder / "state")


class TwoSteps(AtomicFolder):
    """Where folders cannot change places. Between the two steps there is nothing, until a sweep or prune puts the old back."""

    def write(self, folder: Path, seed: int) -> None:
        store._exchange = lambda one, other: False
        super().write(folder, seed)

    def read(self, folder: Path) -> Any:
        prune(folder)
        return super().read(folder)


class Put(Swept):
    """A result and its predictions; before it nothing, a failed run, or a result that differs."""

    def __init__(self, before: str | None = None) -> None:
        self.older, self.absent = before, before is None

    def before(self, folder: Path) -> None:
        if self.older == "failed":
            ResultStore(folder / "results").put(*bench()._run("failed", reason="a full disk"))
        elif self.older:
            ResultStore(folder / "results").put(*bench()._run(value=0.5, draw=1))

    def act(self, folder: Path) -> None:
        with warnings.catch_warnings(action="ignore"):
            ResultStore(folder / "results").put(*bench()._run())

    def read(self, folder: Path) -> Any:
        with warnings.catch_warnings(action="error"):  # nothing goes to quarantine
            found = ResultStore(folder / "results").all(replicates=True)
        for path, result in found:
            if result["predictions"]["sha256"]:
                assert store.sha256_file(predictions_path(path)) == result["predictions"]["sha256"]
        failed = len(list(folder.rglob("*.failed-*.json")))
        if not found and not failed:
            raise WeightsUnavailableError("no result")
        return {"rows": [[path.name, result["status"], result["metrics"]] for path, result in found], "failed": failed}

    def allowed(self, seen: Any) -> bool:
        """A failed run was set aside: it is kept, is no result of its identity, and the next run takes its place."""
        return self.older == "failed" and seen == {"rows": [], "failed": 1}

    def clean(self, folder: Path) -> None:
        prune(*(place for place in folder.rglob("*") if place.is_dir()))


class SaveState(Swept):
    """The third state of a run, which keeps two."""

    place = "resume"

    def before(self, folder: Path) -> None:
        for step in () if self.absent else (1, 2):
            self.write(folder, step)

    def act(self, folder: Path) -> None:
        self.write(folder, 3)

    def write(self, folder: Path, seed: int) -> None:
        torch.manual_seed(seed)
        model = torch.nn.Linear(60, 60)
        optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
        model(torch.ones(1, 60)).sum().backward()
        optimizer.step()
        saved_state.save_state(
            folder / "resume", seed, model=model, optimizer=optimizer, best=model.state_dict(), facts={"scores": [seed]}
        )

    def read(self, folder: Path) -> Any:
        state, _ = saved_state.load_state(folder / "resume")
        if state is None:
            raise WeightsUnavailableError("no state")
        rows = {
            f"{group}/{key}": value.sum().item()
            for group, tensors in state.tensors.items()
            for key, value in tensors.items()
        }
        return {"step": state.step, "scores": state.facts["scores"], "tensors": rows}


class Receipt(Scenario):
    """A file was changed since its receipt was written."""

    def before(self, folder: Path) -> None:
        (folder / "a.bin").write_bytes(b"old" * 1000)
        store.verified_sha256(folder / "a.bin")
        (folder / "a.bin").write_bytes(b"new" * 1000)

    def act(self, folder: Path) -> None:
        store.verified_sha256(folder / "a.bin")

    def read(self, folder: Path) -> Any:
        (note,) = (folder / "home" / "receipts").glob("[!.]*.json")
        text = note.read_text()
        assert store.verified_sha256(folder / "a.bin") == store.sha256_file(folder / "a.bin")
        return json.loads(text)["sha256"]

    def clean(self, folder: Path) -> None:
        prune()


class Claim(Swept):
    """Work under a claim that a dead process left behind."""

    def __init__(self) -> None:
        super().__init__(absent=True)

    def before(self, folder: Path) -> None:
        if (pid := os.fork()) == 0:
            with store.claim(folder / "x.claim"):
                os._exit(0)
        os.waitpid(pid, 0)

    def act(self, folder: Path) -> None:
        with store.claim(folder / "x.claim"):
            store.write_text(folder / "done", "x")

    def read(self, folder: Path) -> Any:
        return tree(folder)["done"] if (folder / "done").is_file() else absent("done")


class Decode(Swept):
    """The cache of decoded images."""

    def __init__(self) -> None:
        super().__init__(absent=True)

    def act(self, folder: Path) -> None:
        decode(load_task(TASK))

    def read(self, folder: Path) -> Any:
        task = load_task(TASK)
        reader = type(task.reader)
        kept, reader.read = reader.read, lambda *_: absent("decoded images")  # what is here, and nothing new
        try:
            return np.asarray(decode(task)[:]).tolist()
        finally:
            reader.read = kept


def decode(task: Task) -> Any:
    """Decode in this process: another one would not be watched."""
    alone = {"workers": 1} if "workers" in inspect.signature(images.decoded).parameters else {}
    return images.decoded(task, "train", size=16, **alone).images
