"""The graph of a network by torch.export, with a dynamic batch and, if requested, a dynamic height and width."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from timm.layers import padding
from torch import nn
from torch.export import Dim, ExportedProgram

from medzoo.errors import ExportError
from medzoo.training.export.network import ExportedNetwork
from medzoo.training.export.sizes import first_that_works, takes

AXES = ("batch", "channels", "height", "width")
LOGGERS = ("torch.onnx", "torch.export", "torch.fx", "torch._dynamo", "onnxscript", "onnx_ir")
BATCH = 2  # of the example; torch.export would take a batch of 1 as a constant


class HalfNetwork(nn.Module):
    """A network whose weights and computation are float16; its inputs and outputs stay float32.

    Args:
        network: changed to float16 in place.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.half()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The outputs of images (N, channels, H, W)."""
        outputs: torch.Tensor = self.network(image.half())
        return outputs.float()


def trace(network: ExportedNetwork, model: nn.Module, format: str) -> ExportedProgram:
    """The graph of a network.

    Args:
        network: what is exported.
        model: its module, or the same in float16.
        format: of the file.

    Raises:
        ExportError: if torch.export cannot follow the network; the message has its reason.
    """
    sizes = network.sizes
    # height and width differ, so that torch.export does not take them as one number
    height = sizes.side + sizes.step * (2 if sizes.step > 1 else 32) if sizes.dynamic else sizes.side
    example = torch.zeros(BATCH, network.channels, height, sizes.side)
    dims: dict[int, Any] = {0: Dim("batch", min=1)}
    if sizes.dynamic:
        dims |= {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    try:
        with quiet(), _whole_numbers(), _plain_attention(model if format == "onnx" else None), torch.no_grad():
            program = torch.export.export(model, (example,), dynamic_shapes=(dims,))
    except Exception as error:  # torch.export raises many classes of errors
        what = "with a dynamic size" if sizes.dynamic else f"at {sizes.side} pixels"
        raise ExportError(
            f"torch.export cannot trace {network.name} {what}: {_first_lines(error)}"
            + (" Leave out --dynamic-size (dynamic_size)." if sizes.dynamic else ""),
            code="export-trace-failed",
        ) from error
    for module in program.graph_module.modules():
        for node in getattr(getattr(module, "graph", None), "nodes", ()):
            node.meta.pop("stack_trace", None)  # paths of this machine
    return program


def axis_names(program: ExportedProgram) -> dict[str, str]:
    """The symbols of the image's dynamic axes, such as s77, and their names.

    Args:
        program: from `trace`.
    """
    image = next(node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs)
    shape = image.meta["val"].shape
    return {str(side): name for side, name in zip(shape, AXES, strict=True) if not isinstance(side, int)}


def with_bounds(network: ExportedNetwork, program: ExportedProgram, *, strict: bool) -> ExportedNetwork:
    """The same network, with the smallest size for which its graph was traced.

    Args:
        network: what is exported.
        program: its graph.
        strict: whether the file refuses smaller images.

    Raises:
        ExportError: if the file would refuse the usual size.
    """
    if not network.sizes.dynamic:
        return network
    sizes, channels = network.sizes, network.channels
    with quiet():
        traced: Any = program.module()  # refuses sizes for which the network would take another way
        low, high = -(-sizes.smallest // sizes.step) * sizes.step, -(-2 * sizes.side // sizes.step) * sizes.step
        bound = low
        if not takes(traced, channels, low) and takes(traced, channels, high):
            bound = first_that_works(low, high, lambda side: takes(traced, channels, side), sizes.step)
    sizes = sizes.from_bound(bound, strict=strict)
    if sizes.smallest > sizes.side:
        raise ExportError(
            f"With a dynamic size, torch.export traces {network.name} for images from {sizes.smallest} pixels on, and the size is "
            f"{sizes.side}. Give a larger --size (size), leave out --dynamic-size (dynamic_size), or use --format onnx.",
            code="dynamic-size-too-small",
        )
    return replace(network, sizes=sizes)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the notes of torch.export and torch.onnx on their progress and on deprecated functions inside of torch."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    try:
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            for category in (UserWarning, FutureWarning, DeprecationWarning):
                for module in (r"torch\.", r"timm\.", "onnxscript", "onnx_ir", "copyreg", r"contextlib"):
                    warnings.filterwarnings("ignore", category=category, module=module)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def _whole_numbers() -> Iterator[None]:
    """Compute TensorFlow's padding in whole numbers: with timm's division of floats, a dynamic size takes torch.export minutes."""
    before = padding.get_same_padding
    padding.get_same_padding = same_padding
    try:
        yield
    finally:
        padding.get_same_padding = before


@contextmanager
def _plain_attention(model: nn.Module | None) -> Iterator[None]:
    """Compute attention with a table of position biases (BEiT, Swin) as products: ONNX has no fused one with such a table."""
    modules: list[Any] = [
        module
        for module in (model.modules() if model is not None else ())
        if getattr(module, "fused_attn", False) and hasattr(module, "relative_position_bias_table")
    ]
    try:
        for module in modules:
            module.fused_attn = False
        yield
    finally:
        for module in modules:
            module.fused_attn = True


def same_padding(side: Any, kernel: int, stride: int, dilation: int) -> Any:  # noqa: ANN401 - a number or a symbol
    """The pixels that TensorFlow's "SAME" adds to a side, as timm's `get_same_padding`.

    Args:
        side: pixels.
        kernel: pixels.
        stride: pixels.
        dilation: pixels.

    >>> [same_padding(side, 3, 2, 1) for side in (224, 225)], same_padding(7, 1, 2, 1)
    ([1, 2], 0)
    """
    fixed = (kernel - 1) * dilation + 1 - stride
    total = fixed + (-side) % stride
    return total if fixed >= 0 else max(total, 0)


def _first_lines(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:400]}"
