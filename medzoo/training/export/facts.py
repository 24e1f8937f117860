"""What an exported file says about its network: the input, the outputs, the licence, the lineage, and how it was checked."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from medzoo import store
from medzoo.closed_schema import plain
from medzoo.data.decode_cache.rows import RESIZE
from medzoo.training.export.metadata import SCHEMA
from medzoo.training.export.network import ExportedNetwork
from medzoo.training.export.options import OPSET, PACKAGES, ExportOptions
from medzoo.training.inputs.input_transform import convention_of
from medzoo.training.segmentation.network import Segmenter
from medzoo.zoo.folder.config import FolderConfig
from medzoo.zoo.folder.facts import FolderEvaluation
from medzoo.zoo.registry.checkpoint import Input
from medzoo.zoo.registry.licenses import License, forbids_sharing

Activation = Literal["none", "softmax", "sigmoid", "sigmoid_over_sum"]
WARNING = (
    "For research. The network was not tested for clinical use, on scanners and populations other than those of its data, or for "
    "differences between groups of patients."
)
SHARING = "The licence forbids to share changed versions of the weights, and this file may be one: do not share it."
DIFFERENCE = (
    "largest absolute difference of an output between the file and the float32 network on medzoo's golden inputs, divided by the "
    "largest absolute output of the batch"
)


@dataclass(frozen=True)
class ExportSource:
    """Where a network comes from.

    Args:
        input: its convention.
        license: of the weights; None if the folder has no facts.
        config: of its folder; None for random weights.
    """

    input: Input
    license: License | None
    config: FolderConfig | None


def activation_of(network: ExportedNetwork) -> Activation:
    """What turns the outputs into probabilities.

    Args:
        network: what is exported.
    """
    if isinstance(network.model, Segmenter):
        return "sigmoid" if len(network.model.classes) == 1 else "softmax"
    if network.head is None or network.head.kind == "regression":
        return "none"
    if network.head.kind == "multilabel":
        return "sigmoid"
    return "sigmoid_over_sum" if network.head.sigmoid else "softmax"


def metadata_of(network: ExportedNetwork, source: ExportSource, options: ExportOptions) -> dict[str, str]:
    """The metadata of a file, without the result of its check.

    Args:
        network: what is exported.
        source: where it comes from.
        options: of the export.
    """
    receipt: Any = network.model.load_receipt
    config, terms = source.config, source.license
    rows: dict[str, Any] = {
        "schema": SCHEMA,
        "medzoo_version": _version("medzoo"),
        "versions": {name: _version(name) for name in ("torch", "timm", *PACKAGES[options.format])},
        "name": network.name,
        "architecture": receipt.architecture,
        "model_args": plain(receipt.model_args),
        "format": options.format,
        "precision": options.precision,
        "kind": network.kind,
        "input": _input(network, source),
        "sizes": {"side": network.sizes.side, "dynamic": network.sizes.dynamic}
        | ({"smallest": network.sizes.smallest, "multiple_of": network.sizes.step} if network.sizes.dynamic else {}),
        "output": network.output,
        "activation": activation_of(network),
        "labels": _labels(network),
        "lineage": list(receipt.lineage),
        "warning": WARNING,
    }
    if options.format == "onnx":
        rows["opset"] = options.opset or OPSET
    if network.head is not None and network.head.kind != "regression":
        rows |= {"temperature": network.head.temperature, "thresholds": list(network.head.limits)}
    if isinstance(network.model, Segmenter):
        rows["decoder"] = network.model.decoder_name
    if terms is not None:
        licenses = (terms.id, *(step.get("license") for step in receipt.lineage))
        rows |= {"license_id": terms.id, "license_url": terms.url, "license_note": terms.note}
        rows |= {"warning": f"{WARNING} {SHARING}"} if forbids_sharing(licenses) else {}
    rows["weights_sha256"] = receipt.sha256 or None
    if config is not None and config.facts is not None and config.facts.decoder is not None:
        rows["decoder_sha256"] = config.facts.decoder.sha256
    return {key: _text(value) for key, value in rows.items() if value is not None}


def measured(difference: float, tolerance: float) -> dict[str, str]:
    """The metadata of the check.

    Args:
        difference: the largest one.
        tolerance: that was accepted.

    >>> measured(1.23456e-7, 1e-4)["largest_difference"]
    '1.2e-07'
    """
    return {"tolerance": f"{tolerance:g}", "largest_difference": f"{difference:.1e}", "difference": DIFFERENCE}


def _input(network: ExportedNetwork, source: ExportSource) -> dict[str, Any]:
    convention = convention_of(network.model)
    facts = source.config.facts if source.config else None
    evaluation = (facts.evaluation if facts else None) or FolderEvaluation()
    rows: dict[str, Any] = {
        "name": "image",
        "layout": "NCHW",
        "type": "float32",
        "size": network.sizes.side,
        "channels": network.channels,
        "mean": list(convention.mean),
        "std": list(convention.std),
        "rule": convention.rule,
        "clip": source.input.clip and list(source.input.clip),
        "interpolation": source.input.interpolation,
        "crop_pct": source.input.crop_pct,
        "note": source.input.note,
        "resize": RESIZE,
        "crop_share": evaluation.crop_share,
        "views": evaluation.views,
        "window": evaluation.window,
    }
    rows |= {"window_overlap": evaluation.window_overlap} if network.kind == "segmentation" else {}
    return {key: value for key, value in rows.items() if value is not None}


def _labels(network: ExportedNetwork) -> list[str] | None:
    if isinstance(network.model, Segmenter):
        classes = network.model.classes
        return [*([] if len(classes) == 1 else ["background"]), *classes]
    return list(network.head.classes) if network.head is not None else None


def _text(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, str):
        return value
    return store.canonical_json(value)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a source tree that is not installed
        return "0+unknown"
