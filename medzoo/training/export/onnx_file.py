"""Networks as ONNX files: written by torch's exporter, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

from medzoo.errors import ExportError
from medzoo.training.export.check import not_runnable
from medzoo.training.export.network import ExportedNetwork
from medzoo.training.export.options import OPSET
from medzoo.training.export.trace import axis_names, quiet

IMAGE = "image"  # the name of the input
ONE_FILE_BYTES = 1_900_000_000  # of weights; a protobuf message has at most 2 GiB


def write_onnx(network: ExportedNetwork, program: ExportedProgram, path: Path, opset: int | None) -> None:
    """Write a graph as ONNX; weights above 2 GB are a second file, `NAME.onnx.data`.

    Args:
        network: what is exported.
        program: its graph.
        path: of the file, .onnx.
        opset: version of ONNX's operators; by default 18.

    Raises:
        ExportError: if ONNX has no operator for a part of the network.
    """
    import onnx

    names = axis_names(program)
    try:
        with quiet():
            written = torch.onnx.export(
                program,
                (),
                input_names=[IMAGE],
                output_names=[network.output],
                opset_version=opset or OPSET,
                verbose=False,
            )
            assert written is not None
            written.save(path, external_data=_bytes(program) > ONE_FILE_BYTES)
    except Exception as error:  # the exporter raises many classes of errors
        raise ExportError(
            f"torch.onnx cannot write {network.name}: {type(error).__name__}: {' '.join(str(error).split())[:400]} Try "
            "--format torch_export.",
            code="export-onnx-failed",
        ) from error
    model = onnx.load(path, load_external_data=False)
    _keep_the_function_only(model, names)
    onnx.save_model(model, path)


def _bytes(program: ExportedProgram) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in program.state_dict.values())


def _keep_the_function_only(model: Any, names: Mapping[str, str]) -> None:  # noqa: ANN401 - onnx.ModelProto
    """Remove what torch notes about its source, with paths of this machine, and name the dynamic axes."""
    graph = model.graph
    del graph.value_info[:]  # shapes of intermediate results, which every runtime computes itself
    for message in (model, graph, *model.functions, *graph.node, *graph.initializer, *graph.input, *graph.output):
        del message.metadata_props[:]
        message.doc_string = ""
    for value in (*graph.input, *graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param in names:
                axis.dim_param = names[axis.dim_param]


def run_onnx(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """A function that runs the file with onnxruntime on the CPU: images (N, channels, H, W) float32 → outputs.

    Args:
        path: of the file.

    Raises:
        ExportError: if onnxruntime cannot read it, or (the function) cannot run it.
    """
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3  # errors only
    try:
        session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # errors of the C++ library have no common class
        raise not_runnable("onnxruntime", error, "another --opset, or --format torch_export") from error

    def run(images: np.ndarray) -> np.ndarray:
        try:
            outputs: np.ndarray = session.run(None, {IMAGE: images})[0]
        except Exception as error:
            raise not_runnable("onnxruntime", error, "another --opset, or --format torch_export") from error
        return outputs

    return run


def add_onnx_metadata(path: Path, values: Mapping[str, str]) -> None:
    """Append metadata to a file. The bytes of the graph, which were checked, do not change.

    A file of protobuf may be continued: the entries of a repeated field are joined.

    Args:
        path: of the file.
        values: names and texts.

    Source: https://protobuf.dev/programming-guides/encoding/#last-one-wins
    """
    import onnx

    rows = [onnx.StringStringEntryProto(key=key, value=value) for key, value in sorted(values.items())]
    with path.open("ab") as file:
        file.write(onnx.ModelProto(metadata_props=rows).SerializeToString(deterministic=True))
