"""Networks as files of torch.export (.pt2), which torch loads without the code of the network."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch.export import ExportedProgram

from medzoo.errors import ExportError
from medzoo.training.export.check import not_runnable
from medzoo.training.export.metadata import PT2_METADATA
from medzoo.training.export.network import ExportedNetwork
from medzoo.training.export.trace import quiet


def write_torch_export(network: ExportedNetwork, program: ExportedProgram, path: Path) -> None:
    """Write a graph as a file of torch.export.

    Args:
        network: what is exported.
        program: its graph.
        path: of the file, .pt2.

    Raises:
        ExportError: if torch cannot write it.
    """
    try:
        with quiet():
            torch.export.save(program, path)
    except OSError:
        raise
    except Exception as error:
        raise ExportError(
            f"torch.export cannot write {network.name}: {type(error).__name__}: {' '.join(str(error).split())[:400]} Try "
            "--format onnx.",
            code="export-write-failed",
        ) from error


def run_torch_export(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """A function that runs the file on the CPU: images (N, channels, H, W) float32 → outputs.

    Args:
        path: of the file.

    Raises:
        ExportError: if torch cannot read it, or (the function) cannot run it.
    """
    try:
        with quiet():
            module = torch.export.load(path).module()
    except Exception as error:
        raise not_runnable("torch", error, "--format onnx") from error

    def run(images: np.ndarray) -> np.ndarray:
        try:
            with quiet(), torch.inference_mode():
                outputs: np.ndarray = module(torch.from_numpy(images)).numpy()
        except Exception as error:
            raise not_runnable("torch", error, "--format onnx") from error
        return outputs

    return run


def add_torch_export_metadata(path: Path, values: Mapping[str, str]) -> None:
    """Add metadata to a file as one of its `extra_files`. The other entries, which were checked, do not change.

    Args:
        path: of the file.
        values: names and texts.
    """
    with zipfile.ZipFile(path, "a") as archive:
        root = archive.namelist()[0].partition("/")[0]
        entry = zipfile.ZipInfo(f"{root}/extra/{PT2_METADATA}")  # without the time of writing
        archive.writestr(entry, json.dumps(dict(sorted(values.items())), ensure_ascii=False, indent=1))
