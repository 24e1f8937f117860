"""A store with runs whose predictions are drawn, so that gains and gaps can be measured."""

import hashlib

import numpy as np

from medzoo.bench import metrics
from medzoo.bench.results import store as results

CLASSES = ("none", "opacity")


def put_runs(root, quality, *, task="phantom_chest", seeds=(0, 1), images=120, arch="resnet18", patients=None):
    """Add runs to a store.

    Args:
        root: of the store.
        quality: checkpoint → how far its scores separate the classes.
        task: its name in results.
        seeds: one run for each.
        images: of the test split.
        arch: of all checkpoints.
        patients: name of the test set, so that another one has other images.
    """
    place = results.ResultStore(root)
    labels = np.arange(images) % 2
    for checkpoint, distance in quality.items():
        random = checkpoint.endswith("-random")
        for seed in seeds:
            rng = np.random.default_rng([seed, images])
            scores = 1 / (1 + np.exp(-(distance * labels + rng.normal(size=images))))
            ids = [f"{patients or 'image'}{i}" for i in range(images)]
            rows = metrics.compute("binary", CLASSES, labels, scores, ids)
            table = results.predictions(CLASSES, "binary", ids, ids, labels, scores)
            identity = {
                "task": {"id": task, "version": "1"},
                "dataset": {"fingerprint": "f", "split_hash": "s", "preprocess_hash": "p", "label_policy": None},
                "checkpoint": {
                    "id": checkpoint, "arch": arch, "init": "random" if random else "stored",
                    "weights_sha256": None if random else hashlib.sha256(checkpoint.encode()).hexdigest(),
                },
                "protocol": {"id": "medzoo", "hash": "0" * 64, "label_fraction": 1.0, "mode": "finetune", "size": 28},
                "seed": seed, "fold": None,
            }  # fmt: skip
            result = results.make_result(
                identity, status="ok", metric="auroc",
                selection={"split": "validation", "metric": "auroc", "n_candidates": 3, "test_evaluations": 1},
                metrics=rows, predictions=table, train={"steps": 12, "counts": {"train": 80}},
                environment={
                    "medzoo": "0", "python": "3", "torch": "2", "timm": "1", "cuda": None, "platform": "Linux",
                    "device": {"name": "x86_64", "count": 1}, "precision": "fp32", "deterministic": True,
                },
            )  # fmt: skip
            place.put(result, table)
    return place
