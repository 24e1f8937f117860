"""Runs whose numbers are those of their predictions, as a run leaves them, without a run."""

import hashlib
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from medzoo.bench import metrics
from medzoo.bench.results import store as results
from medzoo.bench.sharing.prepare_upload import prepare_upload
from medzoo.data.task_registry import task_info

CASES = 24
SALT = "a secret of the person who pushes"
ENVIRONMENT = {
    "medzoo": "0", "python": "3", "torch": "2", "timm": "1", "cuda": None, "platform": "Linux",
    "device": {"name": "x86_64", "count": 1}, "precision": "fp32", "deterministic": True,
}  # fmt: skip
SELECTION = {"split": "validation", "metric": "auroc", "n_candidates": 3, "test_evaluations": 1}


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def ids(task):
    return [f"{task}/image{i:03}.png" for i in range(CASES)], [f"{task}/patient{i // 2:03}" for i in range(CASES)]


def drawn(task, draw):
    """Labels and probabilities that fit a task."""
    facts, rng = task_info(task), np.random.default_rng(draw)
    width = len(facts.classes)
    if facts.kind == "multilabel":
        labels = rng.integers(0, 2, (CASES, width)).astype(float)
        labels[0, 0] = np.nan
        return labels, rng.random((CASES, width))
    scores = rng.random((CASES, width))
    return np.arange(CASES) % width, scores / scores.sum(axis=1, keepdims=True)


def identity(task="phantom_chest", checkpoint="resnet18-random", seed=0, protocol="medzoo", version="1", **changes):
    random = checkpoint.endswith("-random")
    return {
        "task": {"id": task, "version": version},
        "dataset": {
            "fingerprint": digest(task), "split_hash": digest("split"), "preprocess_hash": digest("28"),
            "label_policy": None,
        },
        "checkpoint": {
            "id": checkpoint, "weights_sha256": None if random else digest(checkpoint), "arch": "resnet18",
            "init": "random" if random else "stored",
        } | changes,
        "protocol": {"id": protocol, "hash": digest(protocol), "label_fraction": 1.0, "mode": "finetune", "size": 28},
        "seed": seed,
        "fold": None,
    }  # fmt: skip


def run(task="phantom_chest", *, draw=0, status="ok", provenance=None, predictions=True, reason=None, **facts):
    """A result with its predictions."""
    info, (images, patients), table, rows = task_info(task), ids(task), None, []
    if status == "ok":
        labels, scores = drawn(task, draw)
        rows = metrics.compute(info.kind, info.classes, labels, scores, patients)
        table = results.predictions(info.classes, info.kind, images, patients, labels, scores) if predictions else None
    result = results.make_result(
        identity(task, **facts), status=status, metric="auroc", selection=SELECTION if status == "ok" else {}, metrics=rows,
        predictions=table, train={"steps": 12} | ({"reason": reason} if reason else {}), environment=ENVIRONMENT,
        provenance=provenance,
    )  # fmt: skip
    return result, table


def reported(**facts):
    """A number that was copied from a publication."""
    result, _ = run(predictions=False, protocol="paper", provenance={
        "origin": "reported", "source_url": "https://doi.org/10.1038/s41597-022-01721-8"}, **facts)  # fmt: skip
    return result, None


def fill(root, seeds=(0, 1)):
    """A store with a run of each kind of task and seed, a diverged one and a reported number."""
    shutil.copytree(_filled(seeds).name, root)
    return results.ResultStore(root)


@cache
def _filled(seeds):
    """The same store for all tests of a process, since every file of a store is written through to the disk."""
    folder = tempfile.TemporaryDirectory()
    store = results.ResultStore(folder.name)
    for seed in seeds:
        for task in ("phantom_chest", "phantom_oct", "chestmnist"):
            store.put(*run(task, seed=seed, draw=seed + 1))
    store.put(*run(seed=7, status="diverged", reason="the loss became NaN"))
    store.put(*reported())
    for name in ("claims", "quarantine"):
        shutil.rmtree(Path(folder.name) / name, ignore_errors=True)
    return folder


def contribute(root):
    """The runs of seed 0 as they would go up, in a folder."""
    shutil.copytree(_contributed().name, root)


@cache
def _contributed():
    folder = tempfile.TemporaryDirectory()
    prepare_upload(Path(_filled((0,)).name), Path(folder.name), SALT)
    return folder


def read_here(monkeypatch):
    """Foreign Parquet is read in the tests' own process, which saves the start of one."""
    from medzoo.bench.sharing import parquet_sandbox

    monkeypatch.setattr(parquet_sandbox, "_first_read", lambda paths, *_: (len(paths), ""))
