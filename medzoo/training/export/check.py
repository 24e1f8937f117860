"""The check of a written file: its outputs are those of the network, on the golden inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from medzoo.errors import ExportError
from medzoo.training.export.network import ExportedNetwork
from medzoo.zoo.models.golden import fixed_inputs

# The largest difference of an output, divided by the largest absolute output of its batch. float32 has 24 bits, and the sums of a
# network with a hundred layers lose a few: the features of the registry's architectures differ by less than 1e-5. A trained head
# may subtract large numbers from each other, which loses some more. float16 has 11 bits.
TOLERANCES = {"fp32": 1e-4, "fp16": 2e-2}


@dataclass(frozen=True)
class Reference:
    """Images, and what the network computes for them.

    Args:
        what: the images, for messages.
        images: (N, channels, H, W) float32.
        outputs: of the float32 network.
    """

    what: str
    images: np.ndarray
    outputs: np.ndarray


def references(network: ExportedNetwork) -> list[Reference]:
    """The golden inputs: together, the first one alone, and at other sizes if the size is dynamic.

    Args:
        network: what is exported.

    Raises:
        ExportError: if an output of the network is NaN or infinite.
    """
    return [Reference(what, images.numpy(), _outputs(network, images)) for what, images in _images(network)]


def _images(network: ExportedNetwork) -> Iterator[tuple[str, torch.Tensor]]:
    side = network.sizes.side
    golden = fixed_inputs(network.channels, side)
    yield f"3 images of {side} x {side} pixels", golden
    yield f"1 image of {side} x {side} pixels", golden[:1].contiguous()
    for height, width in network.sizes.others():
        yield f"2 images of {height} x {width} pixels", functional.interpolate(golden[:2], (height, width))


def _outputs(network: ExportedNetwork, images: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        outputs: np.ndarray = network.model(images).numpy()
    if not np.isfinite(outputs).all():
        raise ExportError(
            f"{network.name} gives NaN or infinity for the golden inputs, so a file of it cannot be checked. Run `medzoo check`.",
            code="export-not-finite",
        )
    return outputs


def not_runnable(program: str, error: Exception, way_out: str) -> ExportError:
    """The error for a written file that its program refuses.

    Args:
        program: that reads the file.
        error: of the program.
        way_out: what the user can try.
    """
    return ExportError(
        f"{program} cannot run the written file: {' '.join(str(error).split())[:400]} No file was left. Try {way_out}.",
        code="export-not-runnable",
    )


def largest_difference(expected: list[Reference], run: Callable[[np.ndarray], np.ndarray], tolerance: float) -> float:
    """The largest difference between a file and its network, divided by the largest absolute output of the batch.

    Args:
        expected: from `references`.
        run: images → outputs of the file.
        tolerance: the largest difference that is accepted.

    Raises:
        ExportError: if an output differs by more, or has another shape.

    >>> one = Reference("1 image", np.zeros((1, 3, 2, 2), np.float32), np.array([[2.0, 4.0]], np.float32))
    >>> largest_difference([one], lambda images: np.array([[2.0, 4.01]], np.float32), 0.01) < 0.0026
    True
    """
    largest = 0.0
    for row in expected:
        outputs = run(row.images)
        if outputs.shape != row.outputs.shape:
            raise ExportError(
                f"For {row.what}, the file gives outputs of shape {outputs.shape}, and the network {row.outputs.shape}. No "
                "file was left. Please report this.",
                code="export-outputs-differ",
            )
        scale = max(float(np.abs(row.outputs).max()), 1e-6)
        difference = float(np.abs(outputs.astype(np.float64) - row.outputs).max()) / scale
        if not difference <= tolerance:  # also NaN: values above 65,504 are infinite in float16
            raise ExportError(
                f"For {row.what}, the outputs of the file differ from those of the network by {difference:.1e} of the largest "
                f"output; {tolerance:g} is allowed. No file was left. Try another format, or --precision fp32.",
                code="export-outputs-differ",
            )
        largest = max(largest, difference)
    return largest
