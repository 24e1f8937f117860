"""The training step of a probe: features or tokens of a frozen network, and the head of the protocol's mode on them."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from medzoo import progress, store
from medzoo.bench.cell_options import CellOptions
from medzoo.bench.run_steps import Trained, decoded_split, score_text, validation_score
from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.split_counts import data_counts
from medzoo.data.task import Task
from medzoo.progress import counted
from medzoo.training.options import protocol_options
from medzoo.training.options.protocol_options import DENSE
from medzoo.training.options.shared import open_task

if TYPE_CHECKING:
    import torch

    from medzoo.training.probe import Probe
    from medzoo.training.tokens.token_file import TokenRows


@dataclass
class Frozen:
    """A frozen network with what its outputs on the disk need.

    Args:
        options: of the run.
        protocol: resolved.
        task: the data; its test split is not read here.
        network: the loaded checkpoint.
        size: side of the input, pixels.
    """

    options: CellOptions
    protocol: protocol_options.Protocol
    task: Task
    network: torch.nn.Module
    size: int

    def __post_init__(self) -> None:
        from medzoo.training.accelerator import make_accelerator
        from medzoo.training.features import network_hash, weights_hash
        from medzoo.training.inputs.input_transform import convention_of

        self.accelerator = make_accelerator(self.protocol.precision, self.options.device)
        self.weights = weights_hash(self.network)
        self._places: dict[str, Any] = {
            "network_key": network_hash(self.network),
            "size": self.size,
            "device": self.accelerator.device,
            "batch_size": self.protocol.batch_size,
        }
        self._convention = convention_of(self.network)
        self._names: dict[str, str] = {}  # of the splits, by the hash of their rows

    def rows(self, split: str) -> Decoded:
        """The decoded rows of a split."""
        data = decoded_split(self.task, split, self.size)
        self._names[data.sha256] = split
        return data

    def features(self, data: Decoded, network: torch.nn.Module | None = None, readout: str | None = None) -> np.ndarray:
        """(N, D) vectors: the pooled features, or another readout.

        Args:
            data: decoded rows.
            network: gives the readout.
            readout: its name.
        """
        from medzoo.training.features import frozen_outputs

        with self.accelerator.autocast():
            return frozen_outputs(network or self.network, data, self._convention, readout=readout, **self._places)

    def tokens(self, data: Decoded, *, dense: bool) -> TokenRows:
        """The tokens of decoded rows; for a part of the training images, those in the file of all training images.

        Args:
            data: decoded rows.
            dense: patch tokens only.
        """
        from medzoo.training.tokens.network_tokens import TokenNetwork
        from medzoo.training.tokens.token_file import stored_tokens

        network = TokenNetwork(self.network)
        split = self._names.get(data.sha256, "test")
        whole, places = self._whole(data, split)
        with self.accelerator.autocast():
            stored = stored_tokens(
                network, whole, self._convention, most_gb=self.options.token_gb, split=split,
                class_token=network.class_token_counts and not dense, **self._places,
            )  # fmt: skip
        return stored if places is None else stored.subset(places)

    def _whole(self, data: Decoded, split: str) -> tuple[Decoded, np.ndarray | None]:
        """All training images of the task, and the places of the given rows in them; else the rows themselves."""
        if split != "train" or (self.options.fraction == 1 and self.options.per_class is None):
            return data, None
        every = replace(self.options, fraction=1.0, per_class=None, draw=None)
        whole = decoded_split(open_task(every), "train", self.size)
        place = {name: number for number, name in enumerate(whole.ids)}
        if not place.keys() >= set(data.ids):
            return data, None
        return whole, np.array([place[name] for name in data.ids])


def train_probe(
    options: CellOptions, protocol: protocol_options.Protocol, task: Task, model: torch.nn.Module, size: int
) -> Trained:
    """Extract features or tokens, fit the probe of the protocol's mode, and select its setting on validation.

    Args:
        options: of the run.
        protocol: with every option resolved.
        task: the data; its test split is not read here.
        model: the loaded checkpoint, which stays frozen.
        size: side of the images, pixels.

    Raises:
        UsageError: if the network does not give what the probe reads, or its tokens are too large.
        DivergedError: if the predictions are not finite.
    """
    frozen = Frozen(options, protocol, task, model.eval(), size)
    if protocol.mode in DENSE:
        return _dense(frozen)
    fit = {"attentive": _attentive, "head_grid": _head_grid}.get(protocol.mode, _pooled)
    return fit(frozen)


def _shared(frozen: Frozen) -> dict[str, Any]:
    task = frozen.task
    return {"kind": task.kind, "classes": len(task.classes), "score": validation_score(task)}


# Probes of pooled features that this process has fitted. Nothing in them is random, so the seeds of a suite share one solution.
_FITTED: OrderedDict[str, Probe[np.ndarray]] = OrderedDict()
_KEPT = 16


def _pooled(frozen: Frozen) -> Trained:
    protocol = frozen.protocol
    # Features are cached on the disk, so that another seed or fraction of the task does not compute them again.
    train, validation = frozen.rows("train"), frozen.rows("validation")
    splits = (frozen.features(train), train.labels), (frozen.features(validation), validation.labels)
    started = time.monotonic()
    # everything that decides the solution
    shared = _shared(frozen)
    task = frozen.task
    what = [protocol.hash(), task.metric, task.kind, list(task.classes), repr(task.info.scored)]
    arrays = [hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest() for split in splits for part in split]
    key = store.sha256_of([*what, *arrays])
    probe = _FITTED.get(key)
    if probe is None:
        probe = _FITTED[key] = _fit_pooled(protocol, splits, shared)
    while len(_FITTED) > _KEPT:
        _FITTED.popitem(last=False)
    shape = f"{splits[0][0].shape[0]:,} x {splits[0][0].shape[1]:,} features"
    return _trained(frozen, probe, shape, started, lambda rows: probe.predict(frozen.features(rows)))


def _fit_pooled(protocol: protocol_options.Protocol, splits: Any, shared: dict[str, Any]) -> Probe[np.ndarray]:  # noqa: ANN401
    from medzoo.training.probe import fit_neighbours, fit_probe, fit_ridge_probe

    if protocol.mode == "knn":
        return fit_neighbours(*splits, counts=protocol.neighbours, temperature=protocol.temperature, **shared)
    fit = fit_probe if protocol.mode == "linear" else fit_ridge_probe
    return fit(*splits, regularisation=protocol.regularisation, **shared)


def _attentive(frozen: Frozen) -> Trained:
    from medzoo.training.tokens.attentive_probe import fit_attentive_probe

    protocol = frozen.protocol
    train, validation = frozen.rows("train"), frozen.rows("validation")
    splits = tuple((frozen.tokens(part, dense=False), part.labels) for part in (train, validation))
    started = time.monotonic()
    probe = fit_attentive_probe(
        *splits, learning_rates=protocol.learning_rates, weight_decays=protocol.weight_decays, steps=protocol.steps,
        batch_size=protocol.batch_size, queries=protocol.queries, seed=frozen.options.seed,
        device=frozen.accelerator.device, **_shared(frozen),
    )  # fmt: skip
    images, tokens, width = splits[0][0].shape
    shape = f"{images:,} x {tokens:,} x {width:,} tokens"
    return _trained(frozen, probe, shape, started, lambda rows: probe.predict(frozen.tokens(rows, dense=False)))


def _head_grid(frozen: Frozen) -> Trained:
    from medzoo.training.tokens.head_grid_probe import fit_head_grid_probe
    from medzoo.training.tokens.network_tokens import LayerNetwork, layer_inputs

    protocol = frozen.protocol
    layers = LayerNetwork(frozen.network, max(protocol.last_layers))

    def read(rows: Decoded) -> np.ndarray:
        return frozen.features(rows, layers, f"last {layers.layers} layers")

    train, validation = frozen.rows("train"), frozen.rows("validation")
    splits = (read(train), train.labels), (read(validation), validation.labels)
    started = time.monotonic()
    inputs = layer_inputs(layers.widths_at(frozen.size), protocol.last_layers, class_token=layers.has_class_token)
    probe = fit_head_grid_probe(
        *splits, inputs=inputs, learning_rates=protocol.learning_rates, steps=protocol.steps,
        batch_size=protocol.batch_size, seed=frozen.options.seed, **_shared(frozen),
    )  # fmt: skip
    shape = f"{len(splits[0][0]):,} images"
    return _trained(frozen, probe, shape, started, lambda rows: probe.predict(read(rows)))


def _dense(frozen: Frozen) -> Trained:
    from medzoo.training.tokens.dense_probe import fit_dense_probe

    protocol = frozen.protocol

    def read(rows: Decoded) -> TokenRows:
        return frozen.tokens(rows, dense=True)

    train, validation = frozen.rows("train"), frozen.rows("validation")
    splits = (read(train), train), (read(validation), validation)
    started = time.monotonic()
    logistic = protocol.mode == "dense"
    segmenter = fit_dense_probe(
        *splits, classes=frozen.task.classes, method="logistic" if logistic else "knn",
        values=protocol.regularisation if logistic else protocol.neighbours, samples=protocol.samples,
        seed=frozen.options.seed, read=read,
    )  # fmt: skip
    shape = f"{segmenter.probe.rows:,} {'pixels' if logistic else 'tokens'} x {splits[0][0].shape[2]:,}"
    trained = _trained(frozen, segmenter, shape, started, _no_labels)
    return replace(trained, tuner=segmenter)


def _no_labels(rows: Decoded) -> np.ndarray:
    raise TypeError("a dense probe predicts masks: use `tuner.segment`")


class Selected(Protocol):
    """What was selected on validation; all probes have it."""

    @property
    def setting(self) -> dict[str, Any]:
        """By the names of a result."""

    @property
    def chosen(self) -> str:
        """The same in words."""

    @property
    def score(self) -> float:
        """On validation."""

    @property
    def candidates(self) -> int:
        """How many settings were tried."""

    @property
    def converged(self) -> bool:
        """Whether the solver reached its accuracy."""


def _trained(
    frozen: Frozen, probe: Selected, shape: str, started: float, predict: Callable[[Decoded], np.ndarray]
) -> Trained:
    """The outcome of a probe, after a line in the log."""
    task = frozen.task
    progress.say_part(
        f"{counted(probe.candidates, 'setting')} on {shape}: {probe.chosen}, {score_text(task, probe.score)} on validation, "
        f"{progress.duration(time.monotonic() - started)}"
    )
    selection = {
        "split": "validation",
        "metric": task.metric,
        "n_candidates": probe.candidates,
        "test_evaluations": 1,
        "value": probe.score,
        **probe.setting,
    }
    facts: dict[str, Any] = {
        "converged": probe.converged,
        "state_sha256": frozen.weights,
        "counts": data_counts(task),
    }
    return Trained(predict, selection, facts)
