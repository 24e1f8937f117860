"""The load receipt: what `medzoo.load` loaded, for users, derived folders and results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class LoadReceipt:
    """What was loaded; `model.load_receipt`.

    Args:
        name: the checkpoint's name.
        architecture: timm's name, or a variant's.
        folder: the weights' folder; None for random weights.
        sha256: of model.safetensors; empty for random weights.
        revision: the Hub's commit.
        lineage: the training steps of the weights, oldest first.
        dropped: tensors of the file that the network does not use.
        fresh: tensors of the network with random values, not loaded.
        head: whether the outputs come from the stored head, from a fresh head with random weights, or are features.
        labels: the labels of the stored head's outputs, in order; empty if unknown, and for a fresh head.
        notes: anything else that a user should know.
        model_args: keywords of the architecture.
        input_rule: how the input is scaled to [0, 1].
        input_clip: lowest and highest HU.
        input_window: the range to which the images of a fine-tuning were clipped: "-45:105 HU", "0:4095", or a rule.
        repo: the Hub repository of the commit `revision`.
        weight_bytes: memory of the parameters and buffers, in the type to which `load` converted them.
    """

    name: str
    architecture: str
    folder: str | None = None
    sha256: str = ""
    revision: str | None = None
    lineage: tuple[dict[str, Any], ...] = ()
    dropped: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    head: Literal["stored", "fresh", "none"] = "none"
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    model_args: Mapping[str, Any] = field(default_factory=dict)
    input_rule: Literal["unit", "per_image_minmax"] = "unit"
    input_clip: tuple[float, ...] | None = None
    repo: str | None = None
    input_window: str | None = None
    weight_bytes: int = 0

    def __repr__(self) -> str:
        """A short text; the tensors' names are in `.dropped` and `.fresh`."""
        counts = "".join(
            f", {word}={len(names)} tensors"
            for word, names in (("fresh", self.fresh), ("dropped", self.dropped))
            if names
        )
        return (
            f"LoadReceipt(name={self.name!r}, architecture={self.architecture!r}, sha256={self.sha256[:12]!r}, "
            f"head={self.head!r}{counts}, notes={self.notes!r})"
        )
