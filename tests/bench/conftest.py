"""Results as a run would leave them, without a run."""

import hashlib

import numpy as np
import pytest

from medzoo.bench import metrics
from medzoo.bench.results import store as results

CLASSES = ("normal", "pneumonia")


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def _identity(checkpoint="resnet18-imagenet", task="phantom_chest", seed=0, **changes):
    identity = {
        "task": {"id": task, "version": "1"},
        "dataset": {
            "fingerprint": f"data-{task}", "split_hash": "split", "preprocess_hash": "size-28", "label_policy": None,
        },
        "checkpoint": {
            "id": checkpoint, "weights_sha256": None if "random" in checkpoint else digest(checkpoint),
            "arch": "resnet18", "init": "random" if "random" in checkpoint else "stored",
        },
        "protocol": {
            "id": "medzoo", "hash": digest("medzoo"), "label_fraction": 1.0, "mode": "finetune", "size": 28,
        },
        "seed": seed,
        "fold": None,
    }  # fmt: skip
    for path, value in changes.items():
        table, _, key = path.partition("__")
        if key:
            identity[table][key] = value
        else:
            identity[table] = value
    return identity


def _run(status="ok", value=0.75, metric="auroc", reason=None, draw=0, provenance=None, **identity):
    """A result and its predictions; the headline is set to `value`."""
    rng = np.random.default_rng(draw)
    labels = np.arange(20) % 2
    scores = rng.random(20)
    ids, groups = [f"image{i}" for i in range(20)], [f"patient{i // 2}" for i in range(20)]
    ok = status == "ok"
    rows = metrics.compute("binary", CLASSES, labels, scores, groups) if ok else []
    for row in rows:
        if row["name"] == metric:
            row |= {"value": value, "undefined": "no positive case" if value is None else None}
    table = results.predictions(CLASSES, "binary", ids, groups, labels, scores) if ok else None
    result = results.make_result(
        _identity(**identity),
        status=status,
        metric=metric,
        selection={"split": "validation", "metric": metric, "n_candidates": 3, "test_evaluations": 1} if ok else {},
        metrics=rows,
        predictions=table,
        train={"steps": np.int64(12), "counts": {"train": 80}} | ({"reason": reason} if reason else {}),
        environment={
            "medzoo": "0", "python": "3", "torch": "2", "timm": "1", "cuda": None, "platform": "Linux",
            "device": {"name": "x86_64", "count": 1}, "precision": "fp32", "deterministic": True,
        },
        provenance=provenance,
    )  # fmt: skip
    return result, table


@pytest.fixture
def identity():
    return _identity


@pytest.fixture
def make_run():
    return _run
