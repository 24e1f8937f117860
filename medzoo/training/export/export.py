"""Write the network of a checkpoint or a run as a file that other programs run: ONNX or torch.export."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any, Literal

from medzoo import progress
from medzoo.errors import LicenseError, UsageError
from medzoo.training.export.check import TOLERANCES, largest_difference, references
from medzoo.training.export.facts import SHARING, ExportSource, measured, metadata_of
from medzoo.training.export.metadata import read_metadata
from medzoo.training.export.network import open_network
from medzoo.training.export.onnx_file import add_onnx_metadata, run_onnx, write_onnx
from medzoo.training.export.options import ExportOptions, ExportPrecision, Format, check_packages
from medzoo.training.export.target import check_target, checked_files
from medzoo.training.export.torch_export_file import add_torch_export_metadata, run_torch_export, write_torch_export
from medzoo.training.export.trace import HalfNetwork, trace, with_bounds
from medzoo.zoo.download.fetch import locate
from medzoo.zoo.folder.config import read_config
from medzoo.zoo.registry.licenses import forbids_sharing
from medzoo.zoo.registry.registry import info, is_known, text_of

STEPS = ("load", "trace", "write", "check")


def export(
    name: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    format: Format = "onnx",
    precision: ExportPrecision = "fp32",
    dynamic_size: bool = False,
    size: int | None = None,
    num_classes: Literal[0, "pretrained"] | None = None,
    hub: str | os.PathLike[str] | None = None,
    accept_license: bool = False,
    allow_random: bool = False,
    opset: int | None = None,
) -> Path:
    """Write the network of a checkpoint or a run as one file, and compare its outputs with the network's before it gets its name.

    The input `image` is (N, channels, H, W) float32, prepared as by `medzoo.transform`: the graph does not contain mean and std.
    N is dynamic. The output is `features` (N, D), `logits` (N, K), `values` (N, K) of a regression, or `logits` (N, K, H, W) of a
    segmentation. Temperature, thresholds and the activation that gives probabilities are in the metadata, with labels, input
    convention, licence, lineage and the sha256 of the weights: `medzoo.training.export.metadata.read_metadata`.

    The file must agree with the network on the three golden inputs, also with one image, and at other sizes for a dynamic size. The
    largest difference, divided by the largest output, is at most 1e-4 (fp32) or 2e-2 (fp16).

    Args:
        name: a run folder, a checkpoint folder, or a name as for `medzoo.load`.
        out: the file to write, .onnx or .pt2; an older one is replaced. Weights above 2 GB are a second file, `NAME.onnx.data`.
        format: "onnx" for onnxruntime and other programs; "torch_export" for torch without the code of the network.
        precision: "fp16" computes with weights of 16 bits; inputs and outputs stay float32.
        dynamic_size: let height and width of the image vary: for convolutional networks and plain vision transformers.
        size: side of the image, pixels; by default the checkpoint's. Position tables of transformers are resized.
        num_classes: 0 for pooled features; "pretrained" for the stored head or the trained decoder. By default a folder gives its
            head, and a name of the registry features.
        hub: directory that replaces the Hub; by default MEDZOO_HUB.
        accept_license: accept non-commercial or contested terms. Needed each time for licences that forbid to share changed
            versions; the metadata of the file then says that it must not be shared.
        allow_random: export random weights, to measure speed.
        opset: version of ONNX's operators, 18 to 23; by default 18.

    Returns:
        The file.

    Raises:
        UsageError: for an invalid option, a size that the network does not take, or random weights without `allow_random`.
        UnknownNameError: for an unknown name or format.
        LicenseError: if terms must be accepted first.
        MissingExtraError: if onnx, onnxscript or onnxruntime is not installed.
        ExportError: if the network cannot be traced or written, or the file computes something else; no file is left.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "net.onnx"
    >>> export("resnet18_cifar-random", out=file, allow_random=True).name
    'net.onnx'
    >>> from medzoo.training.export.metadata import read_metadata
    >>> read_metadata(file)["kind"]
    'features'
    """
    options = ExportOptions(
        format, precision, bool(dynamic_size), size, num_classes, hub, bool(accept_license), bool(allow_random), opset
    )
    target = check_target(out, options.format)
    check_packages(options.format)
    text = text_of(name)
    named = is_known(text)
    if named and info(text).random and not options.allow_random:
        raise UsageError(
            f"{text} has random weights, so its outputs mean nothing. To measure speed, pass allow_random=True (--allow-random).",
            code="export-random-weights",
        )
    with checked_files(target) as path, progress.Steps(f"export {text[-60:]}", len(STEPS), "step") as steps:
        steps.postfix(STEPS[0])
        source = _source(text, named, options)
        network = open_network(text, source.config, named, options)
        steps.update()

        steps.postfix(STEPS[1])
        module = network.model if precision == "fp32" else HalfNetwork(copy.deepcopy(network.model)).eval()
        program = trace(network, module, options.format)
        network = with_bounds(network, program, strict=options.format == "torch_export")
        expected = references(network)
        steps.update()

        steps.postfix(STEPS[2])
        if options.format == "onnx":
            write_onnx(network, program, path, options.opset)
        else:
            write_torch_export(network, program, path)
        steps.update()

        steps.postfix(STEPS[3])
        run = run_onnx(path) if options.format == "onnx" else run_torch_export(path)
        difference = largest_difference(expected, run, TOLERANCES[precision])
        values = metadata_of(network, source, options) | measured(difference, TOLERANCES[precision])
        add: Any = add_onnx_metadata if options.format == "onnx" else add_torch_export_metadata
        add(path, values)
        assert read_metadata(path) == values
        steps.update()
    return target


def _source(text: str, named: bool, options: ExportOptions) -> ExportSource:
    """Where the network comes from; refuses a licence that forbids to share changed versions until the user accepts it.

    Raises:
        LicenseError: with the reason.
    """
    located = locate(text, hub=options.hub, accept_license=options.accept_license)
    if located.folder is None:
        entry = located.checkpoint
        assert entry is not None
        return ExportSource(entry.input, entry.license, None)
    config = read_config(located.folder)
    facts = config.facts
    terms = info(text).license if named else facts.license if facts else None
    earlier = [step.license for step in facts.lineage] if facts else []
    if terms is not None and forbids_sharing([terms.id, *earlier]):
        if not options.accept_license:
            raise LicenseError(
                f"The licence of {config.name} ({terms.id}, {terms.url or 'no address'}) forbids to share changed versions of the "
                "weights, and a file in another format may be one. If the file stays on your machines, pass accept_license=True "
                "(--accept-license).",
                code="license-forbids-derivatives",
            )
        progress.warn(f"{config.name}: {SHARING}")
    return ExportSource(config.input, terms, config)
