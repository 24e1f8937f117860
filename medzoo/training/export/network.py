"""The network of an export: loaded at the requested size, and what its outputs mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from medzoo.errors import ExportError, UsageError
from medzoo.training.export.options import ExportOptions
from medzoo.training.export.sizes import (
    Sizes,
    check_patches,
    is_fixed,
    patch_of,
    resizes_positions,
    smallest_side,
    stride_of,
)
from medzoo.training.inputs.input_transform import input_size
from medzoo.training.predict.head import PredictionHead, read_head
from medzoo.training.segmentation.network import Segmenter, segmenter
from medzoo.zoo.folder.config import FolderConfig
from medzoo.zoo.loading.load import load
from medzoo.zoo.models.build import in_chans_of

OutputKind = Literal["features", "binary", "multiclass", "multilabel", "regression", "segmentation"]


@dataclass(frozen=True)
class ExportedNetwork:
    """A network that will be exported.

    Args:
        name: of the checkpoint.
        model: float32, on the CPU, in eval mode: images (N, channels, H, W) → outputs.
        kind: of its outputs.
        sizes: that it takes.
        channels: of its input.
        head: of a classifier or a regression.
    """

    name: str
    model: nn.Module
    kind: OutputKind
    sizes: Sizes
    channels: int
    head: PredictionHead | None = None

    @property
    def output(self) -> str:
        """The name of its output."""
        return {"features": "features", "regression": "values"}.get(self.kind, "logits")


def open_network(name: Any, config: FolderConfig | None, named: bool, options: ExportOptions) -> ExportedNetwork:  # noqa: ANN401
    """Load the network of an export.

    Args:
        name: as for `medzoo.load`.
        config: of its folder; None for random weights.
        named: whether it is a name of the registry, which exports features if nothing else is requested.
        options: of the export.

    Raises:
        UsageError: for a size that the network cannot take, or a head that it does not have.
    """
    decoder = config.facts.decoder if config is not None and config.facts is not None else None
    if decoder is not None and options.num_classes != 0:
        return _segmentation(name, options)
    stored = config is not None and config.num_classes > 0
    with_head = options.num_classes == "pretrained" or (options.num_classes is None and stored and not named)
    loading: dict[str, Any] = {
        "num_classes": "pretrained" if with_head else 0, "hub": options.hub, "accept_license": options.accept_license,
    }  # fmt: skip
    model = load(name, **loading)
    label, channels, usual = str(model.load_receipt.name), in_chans_of(model), input_size(model)  # type: ignore[union-attr]
    side = options.size or usual
    if is_fixed(model):
        model, sizes = _of_one_size(name, label, model, side, usual, options, loading)
    else:
        sizes = _of_any_size(label, model, channels, side, usual, options)
    head = read_head(config) if with_head and config is not None else None
    return ExportedNetwork(label, model, head.kind if head else "features", sizes, channels, head)


def _of_one_size(
    name: Any,  # noqa: ANN401
    label: str,
    model: nn.Module,
    side: int,
    usual: int,
    options: ExportOptions,
    loading: dict[str, Any],
) -> tuple[nn.Module, Sizes]:
    """A network whose position tables depend on the size, built for `side`."""
    check_patches(label, model, side)
    if options.dynamic_size and not resizes_positions(model):
        raise UsageError(
            f"{label} ({type(model).__name__}) is built for {side} x {side} pixels: its windows or position biases depend on the "
            "size. Leave out --dynamic-size (dynamic_size), or choose another fixed size with --size.",
            code="dynamic-size-unsupported",
        )
    keywords: dict[str, Any] = {"img_size": side} if side != usual else {}
    keywords |= {"dynamic_img_size": True} if options.dynamic_size else {}
    patch = patch_of(model)
    if keywords:
        try:
            model = load(name, **loading, **keywords)
        except UsageError as error:
            if error.code != "timm-refused-arguments":
                raise
            raise ExportError(
                f"timm cannot build {label} for {side} pixels; its usual size is {usual}. {str(error)[:300]}",
                code="export-size-not-built",
            ) from error
    smallest = patch if options.dynamic_size else side
    return model, Sizes(side, options.dynamic_size, smallest, patch)


def _of_any_size(label: str, model: nn.Module, channels: int, side: int, usual: int, options: ExportOptions) -> Sizes:
    """The sizes of a convolutional network, or of a segmentation with a convolutional encoder."""
    smallest = smallest_side(label, model, channels, usual) if options.dynamic_size or side != usual else usual
    if side < smallest:
        raise UsageError(
            f"{label} takes images from {smallest} x {smallest} pixels on (its stride is {stride_of(model)}), and size is {side}. "
            "Give a larger one.",
            code="export-size-unsupported",
        )
    return Sizes(side, options.dynamic_size, smallest if options.dynamic_size else side)


def _segmentation(name: Any, options: ExportOptions) -> ExportedNetwork:  # noqa: ANN401
    """The trained network of a segmentation run."""
    network: Segmenter = segmenter(name, hub=options.hub, accept_license=options.accept_license)
    label, channels = str(network.load_receipt.name), in_chans_of(network.encoder.model)  # type: ignore[union-attr]
    side, fixed = options.size or network.size, network.encoder.side
    if fixed is not None and (options.dynamic_size or side != fixed):
        raise UsageError(
            f"The encoder of {label} was trained for {fixed} x {fixed} pixels, and its decoder takes no other size. Leave out "
            "--size and --dynamic-size (size, dynamic_size).",
            code="dynamic-size-unsupported" if options.dynamic_size else "export-size-unsupported",
        )
    sizes = Sizes(side) if fixed else _of_any_size(label, network, channels, side, network.size, options)
    return ExportedNetwork(label, network, "segmentation", sizes, channels)
