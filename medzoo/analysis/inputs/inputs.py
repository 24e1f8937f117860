"""What an analysis can ask for: the networks, the images, the stored runs; each is opened on first use and then kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from medzoo.analysis.inputs.images import image_facts, some_images, task_facts
from medzoo.analysis.inputs.networks import OpenedNetwork, open_network, random_twin, title_of
from medzoo.analysis.inputs.options import CompareOptions
from medzoo.analysis.inputs.run_result import result_of_folder
from medzoo.analysis.inputs.stored import KnownRun, StoredRuns, compared_runs, runs_by_checkpoint, runs_of_task
from medzoo.bench.analyses.record import stored_analyses
from medzoo.bench.results.store import ResultStore
from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.task_registry import load_task
from medzoo.errors import NotApplicableError
from medzoo.precision import device_kind
from medzoo.store import sha256_of
from medzoo.training.features import frozen_outputs
from medzoo.training.inputs.evaluate import evaluate_rows
from medzoo.zoo.loading.load import describe

if TYPE_CHECKING:
    from medzoo.data.task import Task

# What an analysis uses, and so its identity in the store.
USES = {
    "networks": "both checkpoints, with their input conventions",
    "images": "the images of the split, and how many",
    "training_images": "the images of the training split, and how many",
    "runs": "the stored runs of both checkpoints on the task",
    "all_runs": "all stored runs of the task",
    "task_runs": "all stored runs of the task, also those with a part of the training images",
    "analyses": "the stored similarities of representations, and the results of all tasks",
}

RANDOM_SEEDS = 1000  # draws of random weights for each seed of a comparison


class ComparedInputs:
    """The inputs of analyses: two checkpoints, a task, a store of results.

    Args:
        options: checked.
    """

    def __init__(self, options: CompareOptions) -> None:
        self.options = options
        self._outputs: dict[str, np.ndarray] = {}
        self._random: dict[tuple[int, int], OpenedNetwork] = {}
        self._others: dict[tuple[str | None, ...], tuple[Task, Decoded]] = {}

    @cached_property
    def task(self) -> Task:
        """The task, opened and checked."""
        given = self.options
        return load_task(
            given.task, root=given.root, split_file=given.split_file, fold=given.fold, seed=0, groups=given.groups
        )

    @cached_property
    def labels(self) -> tuple[str, str]:
        """The names of the two checkpoints as the user typed them."""
        first, second = self.options.checkpoints or ("", "")
        return first, second

    @cached_property
    def titles(self) -> tuple[str, str]:
        """The names of the two checkpoints without paths of this machine; different ones."""
        names = [title_of(label, self.options.hub) for label in self.labels]
        if names[0] == names[1]:
            names = [f"{name} ({place})" for place, name in enumerate(names, 1)]
        return names[0], names[1]

    @cached_property
    def size(self) -> int:
        """Side of the input of all networks, pixels."""
        if self.options.size is not None:
            return self.options.size
        return min(describe(label, hub=self.options.hub).size for label in self.labels)

    @cached_property
    def device(self) -> torch.device:
        """Where networks compute."""
        return torch.device(device_kind(self.options.device))

    @cached_property
    def networks(self) -> tuple[OpenedNetwork, OpenedNetwork]:
        """The two checkpoints, loaded."""
        first, second = (self._open(label) for label in self.labels)
        return first, second

    def random(self, place: int, draw: int = 0) -> OpenedNetwork:
        """The architecture of a checkpoint with random weights; the same draw gives the same weights, also in another process.

        Args:
            place: of the checkpoint, 0 or 1.
            draw: number of the weights.
        """
        if (place, draw) not in self._random:
            seed = RANDOM_SEEDS * (self.options.seed + 1) + draw
            self._random[place, draw] = random_twin(self.networks[place], seed=seed)
        return self._random[place, draw]

    @property
    def random_pair(self) -> tuple[OpenedNetwork, OpenedNetwork]:
        """Two networks with different random weights, in the architectures of the two checkpoints."""
        first, second = self.networks
        if first.architecture == second.architecture and first.convention == second.convention:
            return self.random(0, 0), self.random(0, 1)  # which other analyses use too
        return self.random(0, 0), self.random(1, 1)

    @cached_property
    def images(self) -> Decoded:
        """The images that go through the networks, at most `--images` of the split."""
        return some_images(
            self.task, self.options.split, size=self.size, count=self.options.images, seed=self.options.seed
        )

    def outputs(self, network: OpenedNetwork) -> np.ndarray:
        """The pooled features of `images`, (N, D) float32; computed once.

        Args:
            network: any.
        """
        if network.key not in self._outputs:
            self._outputs[network.key] = self._frozen(network, self.images)
        return self._outputs[network.key]

    def _frozen(self, network: OpenedNetwork, images: Decoded) -> np.ndarray:
        """Pooled features, from the disk if they were computed before."""
        return frozen_outputs(
            network.module, images, network.convention, network_key=network.network_hash, size=self.size, device=self.device,
            batch_size=self.options.batch_size,
        )  # fmt: skip

    def outputs_of(
        self, network: OpenedNetwork, images: Decoded, progress: Callable[[int], Any] | None = None
    ) -> np.ndarray:
        """The pooled features of other images, (N, D) float32; nothing is kept.

        Args:
            network: any.
            images: of the same size.
            progress: called with the number of images of each forward pass.
        """
        return evaluate_rows(
            network.module, images, network.convention, size=self.size, device=self.device,
            batch_size=self.options.batch_size, progress=progress,
        )  # fmt: skip

    def keep_outputs(self, network: OpenedNetwork, outputs: np.ndarray) -> None:
        """Keep features that a pass for another purpose gave as well.

        Args:
            network: that gave them.
            outputs: (N, D) of `images`.
        """
        self._outputs[network.key] = outputs

    @cached_property
    def training_images(self) -> Decoded:
        """Images of the training split, at most `--images`, with their labels and patients."""
        return some_images(self.task, "train", size=self.size, count=self.options.images, seed=self.options.seed)

    def training_outputs(self, network: OpenedNetwork) -> np.ndarray:
        """The pooled features of `training_images`, (N, D) float32; computed once.

        Args:
            network: any.
        """
        key = f"train {network.key}"
        if key not in self._outputs:
            self._outputs[key] = self._frozen(network, self.training_images)
        return self._outputs[key]

    def other_images(self, task: str, *, root: str | None, groups: str | None) -> tuple[Task, Decoded]:
        """Another task, and images of its split of the same name, at most `--images`; opened once.

        Args:
            task: its name.
            root: folder of its data.
            groups: column with its patients, or none.
        """
        key = (task, root, groups)
        if key not in self._others:
            given, other = self.options, load_task(task, root=root, groups=groups)
            images = some_images(other, given.split, size=self.size, count=given.images, seed=given.seed)
            self._others[key] = other, images
        return self._others[key]

    @cached_property
    def store(self) -> ResultStore:
        """The store of results."""
        return ResultStore(Path(self.options.results).expanduser())

    @cached_property
    def runs(self) -> tuple[StoredRuns, StoredRuns]:
        """The stored runs of both checkpoints on the task, of one protocol, with their predictions.

        Raises:
            NotApplicableError: if a checkpoint has none, or there is no common protocol.
        """
        return compared_runs(self.store, self.options, self.task_runs)

    @cached_property
    def all_runs(self) -> tuple[StoredRuns, ...]:
        """All stored runs of the task, of one protocol, one entry for each checkpoint."""
        return runs_by_checkpoint(self.store, self.options, self.task_runs)

    @cached_property
    def task_runs(self) -> tuple[KnownRun, ...]:
        """All stored runs of the task: of every protocol, status and part of the training images."""
        return runs_of_task(self.store, self.options)

    def _open(self, label: str) -> OpenedNetwork:
        given = self.options
        return open_network(
            label,
            size=self.size,
            seed=given.seed,
            hub=given.hub,
            accept_license=given.accept_license,
            device=self.device,
        )

    def data(self, uses: tuple[str, ...]) -> dict[str, Any]:
        """The task in an identity: of the opened task, or of the stored runs for an analysis that reads no image.

        Args:
            uses: of the analysis.
        """
        if {"images", "training_images", "networks"} & set(uses):
            return task_facts(self.task)
        groups = self.runs if "runs" in uses else self.all_runs if "all_runs" in uses else None
        known = (self.task_runs if groups is None else groups[0].runs)[0].result["identity"]
        return {**known["task"], **{key: known["dataset"][key] for key in ("fingerprint", "split_hash")}}

    def identity(self, uses: tuple[str, ...]) -> dict[str, Any]:
        """The inputs of an analysis in its identity: with the task and the options, they decide its numbers.

        The device and the size of a batch are not in it; they change the rounding, and which wrong pairs of images are drawn.

        Args:
            uses: of the analysis.
        """
        parts: dict[str, Any] = {}
        if "networks" in uses:
            parts["networks"] = [network.key for network in self.networks]
            parts["files"] = [network.file_sha256 for network in self.networks]
            parts["size"] = self.size
            results = [result_of_folder(label) for label in self.labels]
            if any(results):  # so that the similarity of a network before and after its training finds its score
                parts["run_ids"] = [None if result is None else result["run_id"] for result in results]
        if "images" in uses:
            parts["images"] = image_facts(self.images, self.options.split, self.options.seed)
        if "training_images" in uses:
            parts["training_images"] = image_facts(self.training_images, "train", self.options.seed)
        # without usable runs there is nothing to add: an analysis that needs runs says so itself, others go on without them
        if "runs" in uses:
            with suppress(NotApplicableError):
                parts["runs"] = [[run.run_id for run in one.runs] for one in self.runs]
        if "all_runs" in uses:
            with suppress(NotApplicableError):
                parts["all_runs"] = sorted(run.run_id for one in self.all_runs for run in one.runs)
        if "task_runs" in uses:
            with suppress(NotApplicableError):
                parts["task_runs"] = sha256_of(sorted(run.run_id for run in self.task_runs))
        if "analyses" in uses:  # not of the analyses that use them, whose identity would change by being stored
            similar = stored_analyses(self.store.root, name="representation")
            parts["analyses"] = sha256_of(sorted(one.content["id"] for one in similar))
            parts["results"] = sha256_of(sorted(result["run_id"] for _, result in self.store.all()))
        return parts
