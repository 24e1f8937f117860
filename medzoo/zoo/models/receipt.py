"""What `medzoo.load` loaded, for people and for the folders and results that grow out of it."""

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
        folder: where the weights lie; None for random ones.
        sha256: of model.safetensors; empty for random weights.
        revision: the Hub's commit.
        lineage: the training steps behind the weights, oldest first.
        dropped: tensors of the file that the network does not use.
        fresh: tensors of the network that were drawn, not loaded.
        head: whether the outputs are of the stored head, of a fresh one that was drawn, or features without a head.
        labels: what the outputs of the stored head mean, in its order; empty where nobody stated it, and for a fresh head.
        notes: what else a reader should know.
        model_args: keywords of the architecture.
        input_rule: how the input is scaled to [0, 1].
        input_clip: lowest and highest HU.
        repo: on the Hub, where `revision` is a commit of it.
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

    def __repr__(self) -> str:
        """What a person reads; the tensors' names stay in `.dropped` and `.fresh`."""
        return (
            f"LoadReceipt(name={self.name!r}, architecture={self.architecture!r}, sha256={self.sha256[:12]!r}, "
            f"notes={self.notes!r})"
        )
