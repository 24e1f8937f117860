"""Stores of results as runs leave them, with predictions, made without a run."""

import hashlib

import numpy as np

from medzoo.analysis.inputs.inputs import ComparedInputs
from medzoo.analysis.inputs.options import CompareOptions
from medzoo.bench import metrics
from medzoo.bench.results import store as results

CLASSES = {
    "binary": ("no", "yes"), "multiclass": ("a", "b", "c"), "multilabel": ("edema", "mass", "nodule"), "regression": (),
}  # fmt: skip
ENVIRONMENT = {
    "medzoo": "0", "python": "3", "torch": "2", "timm": "1", "cuda": None, "platform": "Linux",
    "device": {"name": "x86_64", "count": 1}, "precision": "fp32", "deterministic": True,
}  # fmt: skip


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def labels_of(kind, images, rng):
    if kind == "multilabel":
        return np.where(rng.random((images, 3)) < 0.1, np.nan, rng.integers(0, 2, (images, 3)))
    return rng.normal(size=images) if kind == "regression" else rng.integers(0, len(CLASSES[kind]), images)


def scores_of(kind, labels, quality, noise):
    """Scores that are right more often with a higher quality; `noise` is (images, 3)."""
    if kind == "regression":
        return (labels + noise[:, 0] / quality)[:, None]
    if kind == "multiclass":
        logits = quality * np.eye(3)[labels] + noise
        return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.nan_to_num(labels)
    margin = quality * (2 * truth - 1) + (noise if kind == "multilabel" else noise[:, 0])
    return 1 / (1 + np.exp(-2 * margin))


class StoreMaker:
    """Adds runs to a store. All runs on one task and fold have the same images; `common` noise is what the images show.

    Args:
        root: of the store.
        kind: of the task.
        images: of the test split; two for each patient.
    """

    def __init__(self, root, kind="binary", images=80, task="phantom_chest"):
        self.store = results.ResultStore(root)
        self.kind, self.images, self.task = kind, images, task

    def put(
        self, checkpoint, seed=0, quality=1.0, *, kind=None, fold=None, protocol="medzoo", options="", fraction=1.0,
        per_class=None, draw=None, split="split", data="data", task=None, status="ok", keep=None, scores=None, train=None,
        thresholds=None, without_predictions=False, own=0.5, relabelled=0,
        mode="finetune", arch="resnet18",
    ):  # fmt: skip
        """Store one run; returns its path. `own` is the part of the noise that other runs do not share."""
        kind, task = kind or self.kind, task or self.task
        fixed = np.random.default_rng([7, sum(task.encode()), 0 if fold is None else fold + 1])
        labels, shown = labels_of(kind, self.images, fixed), fixed.normal(size=(self.images, 3))
        labels[:relabelled] = 1 - labels[:relabelled]
        noise = np.random.default_rng([sum(checkpoint.encode()), seed, draw or 0, fold or 0])
        given = scores_of(kind, labels, quality, shown + own * noise.normal(size=(self.images, 3)))
        given = given if scores is None else scores(labels)
        prefix = "" if fold is None else f"fold{fold}-"
        ids = np.array([f"{prefix}image{i}" for i in range(self.images)])
        groups = np.array([f"{prefix}patient{i // 2}" for i in range(self.images)])
        rows = slice(None) if keep is None else keep
        names, metric = CLASSES[kind], "mae" if kind == "regression" else "auroc"
        ok = status == "ok"
        arguments = list(ids[rows]), list(groups[rows]), labels[rows], given[rows]
        table = results.predictions(names, kind, *arguments) if ok and not without_predictions else None
        part = {} if per_class is None and draw is None else {"per_class": per_class, "draw": draw or 0}
        result = results.make_result(
            self.identity(
                checkpoint, seed, fold, protocol, options, fraction, {k: v for k, v in part.items() if v is not None},
                split, data, task, mode, arch,
            ),
            status=status, metric=metric, environment=ENVIRONMENT, predictions=table,
            selection={"thresholds": {name: {"value": value, "rule": "youden", "chosen_on": "validation"}
                                      for name, value in (thresholds or {}).items()}},
            metrics=metrics.compute(kind, names, arguments[2], arguments[3], arguments[1]) if ok else [],
            train=(train or {}) | ({"folds": {"count": 5, "sha256": "0" * 64}} if fold is not None else {})
            | ({"draws": {"sha256": "0" * 64}} if draw is not None else {}),
        )  # fmt: skip
        return self.store.put(result, table)

    @staticmethod
    def identity(checkpoint, seed, fold, protocol, options, fraction, part, split, data, task, mode, arch):
        random = "random" in checkpoint
        fold_split = split if fold is None else f"{split}-{fold}"
        return {
            "task": {"id": task, "version": "1"},
            "dataset": {"fingerprint": data, "split_hash": fold_split, "preprocess_hash": "size", "label_policy": None},
            "checkpoint": {
                "id": checkpoint, "weights_sha256": None if random else digest(checkpoint), "arch": arch,
                "init": "random" if random else "stored",
            },
            "protocol": {"id": protocol, "hash": digest(protocol + options), "label_fraction": fraction, "mode": mode},
            "seed": seed, "fold": fold, **({"training_part": part} if part else {}),
        }  # fmt: skip

    def inputs(self, first="net-a", second="net-b", **options):
        """What an analysis gets."""
        return ComparedInputs(
            CompareOptions(checkpoints=[first, second], results=str(self.store.root), **{"task": self.task, **options})
        )
