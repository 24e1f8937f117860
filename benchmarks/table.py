"""How long a table takes: 25 checkpoints x 12 tasks x 5 seeds, read from 1,500 results with their predictions, on one core.

    OMP_NUM_THREADS=1 python benchmarks/table.py

The store is made first, in a temporary folder, with 600 images of 300 patients for each task; this takes a minute.
"""

import hashlib
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from medzoo.bench import metrics
from medzoo.bench.results import store as results
from medzoo.bench.table.table import Table, table

CHECKPOINTS, TASKS, SEEDS, IMAGES = 25, 12, 5, 600
CLASSES = ("no", "yes")
ENVIRONMENT = {
    "medzoo": "0", "python": "3", "torch": "2", "timm": "1", "cuda": None, "platform": "Linux",
    "device": {"name": "cpu", "count": 1}, "precision": "fp32", "deterministic": True,
}  # fmt: skip


def put(store: results.ResultStore, task: int, checkpoint: int, seed: int) -> None:
    """Store a run whose numbers are those of its predictions; later checkpoints are better."""
    fixed, noise = np.random.default_rng(task), np.random.default_rng([task, checkpoint, seed])
    labels, shown = fixed.integers(0, 2, IMAGES), fixed.normal(size=IMAGES)
    yes = 1 / (1 + np.exp(-(labels * (0.5 + checkpoint / 20) + shown + 0.5 * noise.normal(size=IMAGES))))
    scores = np.stack([1 - yes, yes], axis=1)
    ids, patients = [f"{task}-{i}" for i in range(IMAGES)], [f"{task}-{i // 2}" for i in range(IMAGES)]
    name = f"resnet18-net{checkpoint:02d}"
    identity = {
        "task": {"id": f"task{task:02d}", "version": "1"},
        "dataset": {
            "fingerprint": f"data{task}", "split_hash": "split", "preprocess_hash": "size-28", "label_policy": None,
        },
        "checkpoint": {
            "id": name, "weights_sha256": hashlib.sha256(name.encode()).hexdigest(), "arch": "resnet18", "init": "stored",
        },
        "protocol": {
            "id": "medzoo", "hash": hashlib.sha256(b"medzoo").hexdigest(), "label_fraction": 1.0, "mode": "finetune",
            "size": 28,
        },
        "seed": seed,
        "fold": None,
    }  # fmt: skip
    predictions = results.predictions(CLASSES, "binary", ids, patients, labels, scores)
    rows = metrics.compute("binary", CLASSES, labels, scores, patients)
    made = results.make_result(
        identity,
        status="ok",
        metric="auroc",
        selection={},
        environment=ENVIRONMENT,
        metrics=rows,
        predictions=predictions,
        train={},
    )
    store.put(made, predictions)


def seconds(what: str, call: Callable[[], Any]) -> Any:
    """Print the CPU seconds of a call, the best of three; returns its result."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        made = call()
        best = min(best, time.process_time() - start)
    print(f"{what:60s} {best:6.2f} s", flush=True)
    return made


def main() -> None:
    """Make the store, then read it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "results"
        store = results.ResultStore(root)
        for task in range(TASKS):
            for checkpoint in range(CHECKPOINTS):
                for seed in range(SEEDS):
                    put(store, task, checkpoint, seed)
        print(
            f"{platform.processor() or platform.machine()}, CPU seconds for {CHECKPOINTS} x {TASKS} x {SEEDS} results"
        )
        seconds("table of the results alone", lambda: table(root, statistics=False))
        whole: Table = seconds(
            "table with intervals, comparisons and ranks", lambda: table(root, control="resnet18-net00", margin=0.01)
        )
        page: str = seconds("HTML page of this table", whole.to_html)
        print(f"size of the page: {len(page.encode()) / 1000:.0f} KB (limit 400)")


if __name__ == "__main__":
    main()
