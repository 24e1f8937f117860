"""The identity of a run: everything that may change its number. It is known without training, often without loading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medzoo import store
from medzoo.bench.cell_options import CellOptions, protocol_of, used_options
from medzoo.bench.results.store import ResultStore
from medzoo.data.files.downloads import no_downloads
from medzoo.data.transforms.apply import InputConvention
from medzoo.training import compute
from medzoo.training.options.protocol_options import Mode, Protocol
from medzoo.training.options.shared import open_task, part_identity
from medzoo.zoo.loading.identify import identify

if TYPE_CHECKING:
    import torch

    from medzoo.data.task import Task

KINDS = ("binary", "multiclass", "multilabel", "regression", "segmentation")  # segmentation only in mode "finetune"
FINISHED = ("ok", "diverged")  # a failed run does not count as a result of its identity


@dataclass(frozen=True)
class Weights:
    """The facts of a checkpoint that may change a number, from the loaded model or from its files."""

    name: str
    sha256: str
    architecture: str
    convention: InputConvention
    size: int
    repo: str | None
    revision: str | None


def loaded_weights(model: torch.nn.Module, size: int) -> Weights:
    """The weights of a loaded model.

    Args:
        model: from `load_at_size`.
        size: side of its input, in pixels.
    """
    from medzoo.training.inputs.input_transform import convention_of

    receipt: Any = model.load_receipt
    return Weights(
        receipt.name, receipt.sha256, receipt.architecture, convention_of(model), size, receipt.repo, receipt.revision
    )


def stored_weights(name: str, size: int | None, hub: str | None) -> Weights:
    """The weights of a checkpoint's name, without loading or downloading them.

    Args:
        name: as for `medzoo.load`.
        size: side of the input, in pixels; None takes the checkpoint's.
        hub: directory used instead of the Hub.

    Raises:
        MedzooError: if they are not on this machine.
    """
    found = identify(name, hub=hub)
    shape = found.input
    convention = InputConvention.for_channels(shape.mean, shape.std, shape.channels, shape.rule)
    return Weights(
        found.name, found.sha256, found.architecture, convention, size or shape.size, found.repo, found.revision
    )


def identity_of(options: CellOptions, mode: Mode, protocol: Protocol, task: Task, weights: Weights) -> dict[str, Any]:
    """The identity of a run, in the schema of results.

    Args:
        options: of the run.
        mode: "finetune" or "linear".
        protocol: resolved.
        task: the opened task.
        weights: of the checkpoint.
    """
    from medzoo.data.decode_cache.cache import DECODER_VERSION

    seen = {"decoder": DECODER_VERSION, "size": weights.size, "input": repr(weights.convention)}
    return {
        "task": {"id": task.name, "version": task.version},
        "dataset": {
            "fingerprint": task.fingerprint,
            "split_hash": task.split_hash,
            "label_policy": task.label_policy,
            "preprocess_hash": store.sha256_of(seen),
        },
        "checkpoint": {
            "id": weights.name,
            "weights_sha256": weights.sha256 or None,
            "arch": weights.architecture,
            "init": "stored" if weights.sha256 else "random",
            **({"repo": weights.repo, "revision": weights.revision} if weights.repo else {}),
        },
        "protocol": {
            "id": protocol.name,
            "hash": protocol.hash(),
            "label_fraction": options.fraction,
            "mode": mode,
            "size": weights.size,
        },
        "seed": options.seed,
        "fold": options.fold,
        **({"training_part": part} if (part := part_identity(options)) else {}),
        **(compute.identity_of_processes() if mode == "finetune" else {}),
    }


def known_result(
    options: CellOptions, mode: Mode, open_data: Callable[[CellOptions], Task] = open_task
) -> Mapping[str, Any] | None:
    """The stored result of a run, looked up without training, decoding or downloading anything.

    Args:
        options: of the run.
        mode: "finetune" or "linear".
        open_data: opens the task of the options; a caller with many runs may cache it.

    Raises:
        MedzooError: if the weights or the data are not on this machine.
    """
    options.check()
    options = used_options(options, mode)
    with no_downloads():
        task = open_data(options)
    protocol = protocol_of(options, mode, task.kind)
    weights = stored_weights(options.checkpoint, protocol.size or None, options.hub)
    result = ResultStore(Path(options.results)).get(identity_of(options, mode, protocol, task, weights))
    return result if result is not None and result["status"] in FINISHED else None
