"""What an analysis can ask for: the networks, the images, the stored runs; each is opened on first use and then kept."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from medzoo.analysis.inputs.images import some_images
from medzoo.analysis.inputs.networks import OpenedNetwork, open_network, random_twin
from medzoo.analysis.inputs.options import CompareOptions
from medzoo.analysis.inputs.stored import StoredRuns, runs_of_checkpoint, runs_of_task
from medzoo.bench.results.store import ResultStore
from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.task_registry import load_task
from medzoo.errors import NotApplicableError
from medzoo.precision import device_kind
from medzoo.training.features import Features, embed, frozen_outputs
from medzoo.zoo.loading.load import describe

if TYPE_CHECKING:
    from medzoo.data.task import Task

# What decides the numbers of an analysis, and so its identity in the store.
USES = {
    "networks": "the weights of both checkpoints",
    "images": "the images of the split, and how many",
    "runs": "the stored runs of both checkpoints on the task",
    "all_runs": "all stored runs of the task",
    "analyses": "the stored analyses",
}


class ComparedInputs:
    """The inputs of analyses: two checkpoints, a task, a store of results.

    Args:
        options: checked.
    """

    def __init__(self, options: CompareOptions) -> None:
        self.options = options
        self._outputs: dict[str, np.ndarray] = {}

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
        """The architecture of a checkpoint with random weights.

        Args:
            place: of the checkpoint, 0 or 1.
            draw: number of the weights, so that two draws differ.
        """
        return random_twin(self.networks[place], seed=self.options.seed + 1000 * (draw + 1))

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
        if network.weights not in self._outputs:
            self._outputs[network.weights] = self.outputs_of(network, self.images)
        return self._outputs[network.weights]

    def outputs_of(self, network: OpenedNetwork, images: Decoded) -> np.ndarray:
        """The pooled features of other images, (N, D) float32; nothing is kept.

        Args:
            network: any.
            images: of the same size.
        """
        return frozen_outputs(
            network.module, images, network.convention, weights=network.weights, size=self.size, device=self.device,
            batch_size=self.options.batch_size, cache=False,
        )  # fmt: skip

    def keep_outputs(self, network: OpenedNetwork, outputs: np.ndarray) -> None:
        """Keep features that a pass for another purpose gave as well.

        Args:
            network: that gave them.
            outputs: (N, D) of `images`.
        """
        self._outputs[network.weights] = outputs

    def split_features(self, network: OpenedNetwork, split: str) -> Features:
        """The pooled features of a whole split with labels and patients, from the disk if they were computed before.

        Args:
            network: any.
            split: "train", "validation" or "test".
        """
        return embed(
            network.module, (self.task, split), batch_size=self.options.batch_size, size=self.size, device=self.device
        )

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
        first, second = (runs_of_checkpoint(self.store, label, self.options) for label in self.labels)
        return first, second

    @cached_property
    def all_runs(self) -> tuple[StoredRuns, ...]:
        """All stored runs of the task, of one protocol, one entry for each checkpoint."""
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

    def identity(self, uses: tuple[str, ...]) -> dict[str, Any]:
        """What decides the numbers of an analysis.

        Args:
            uses: of the analysis.
        """
        parts: dict[str, Any] = {}
        if "networks" in uses:
            parts["networks"] = [network.weights for network in self.networks]
            parts["size"] = self.size
        if "images" in uses:
            parts["images"] = {"sha256": self.images.sha256, "split": self.options.split, "seed": self.options.seed}
        # without usable runs there is nothing to add: an analysis that needs runs says so itself, others go on without them
        if "runs" in uses:
            with suppress(NotApplicableError):
                parts["runs"] = [[run.run_id for run in one.runs] for one in self.runs]
        if "all_runs" in uses:
            with suppress(NotApplicableError):
                parts["all_runs"] = sorted(run.run_id for one in self.all_runs for run in one.runs)
        return parts
