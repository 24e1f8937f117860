"""Golden features: a network's features of three fixed inputs, to check later that it still computes the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from medzoo.errors import IntegrityError
from medzoo.zoo.registry.checkpoint import Golden

if TYPE_CHECKING:
    import torch
    from torch import nn

FIRST = 16  # number of stored features for each input
TOLERANCE = 1e-4  # relative, float32


def fixed_inputs(channels: int, size: int) -> torch.Tensor:
    """Three inputs of independent standard normal numbers, (3, channels, size, size), identical on every machine.

    >>> fixed_inputs(3, 8).shape
    torch.Size([3, 3, 8, 8])
    """
    import numpy as np
    import torch

    rows = [np.random.RandomState(seed).standard_normal((channels, size, size)) for seed in range(3)]
    return torch.from_numpy(np.stack(rows).astype("float32"))


def compute_golden(model: nn.Module, channels: int, size: int) -> Golden:
    """The golden features of a headless network.

    Args:
        model: float32, on the CPU, in eval mode; its output is (N, features).
        channels: of its stem.
        size: side of its usual input, pixels.

    Raises:
        IntegrityError: if they are not finite; the message names the layer.
    """
    import torch

    batch = fixed_inputs(channels, size)
    with torch.inference_mode():
        features = model(batch).double()
    if not torch.isfinite(features).all():
        raise not_finite(model, batch)
    return Golden(
        mean=tuple(_short(value) for value in features.mean(1)),
        norm=tuple(_short(value) for value in features.norm(dim=1)),
        first=tuple(tuple(_short(value) for value in row[:FIRST]) for row in features),
    )


def not_finite(model: nn.Module, batch: torch.Tensor) -> IntegrityError:
    """The error for a network that gives NaN or infinity with finite weights; it names the first layer that does.

    Args:
        model: in eval mode.
        batch: its input.
    """
    import torch

    first: list[str] = []

    def look(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, out: object) -> None:
            rows = out if isinstance(out, tuple | list) else [out]
            if not first and any(isinstance(row, torch.Tensor) and not torch.isfinite(row).all() for row in rows):
                first.append(name)

        return hook

    leaves = [(name, module) for name, module in model.named_modules() if not any(module.children())]
    handles = [module.register_forward_hook(look(name)) for name, module in leaves]
    try:
        with torch.inference_mode():
            model(batch)
    finally:
        for handle in handles:
            handle.remove()
    layer = first[0] if first else "the last one"
    return IntegrityError(
        f"The network gives NaN or infinity, but its weights are finite; the first such layer is {layer}. Its weights are too "
        "large, or damaged. Fetch or convert the checkpoint again.",
        code="features-not-finite",
    )


def _short(value: torch.Tensor) -> float:
    return float(f"{float(value):.8g}")


def check_golden(model: nn.Module, golden: Golden, channels: int, size: int, where: str) -> None:
    """Compare a headless network with stored golden features.

    Args:
        model: as in `compute_golden`.
        golden: the stored features.
        channels: of its stem.
        size: side of its usual input, pixels.
        where: the checkpoint, for the message.

    Raises:
        IntegrityError: if the relative difference is above 1e-4.
    """
    new = compute_golden(model, channels, size)
    for index, (have, need) in enumerate(zip(new.first, golden.first, strict=True)):
        scale = max(max(map(abs, need)), golden.norm[index] / 100, 1e-6)
        off = max(abs(a - b) for a, b in zip(have, need, strict=True)) / scale
        off_norm = abs(new.norm[index] - golden.norm[index]) / max(golden.norm[index], 1e-6)
        if not (off <= TOLERANCE and off_norm <= TOLERANCE):  # `not (...)`, because comparisons with NaN are false
            raise IntegrityError(
                f"{where} computes other features than when it was written (input {index}: off by {off:.1e}). Its "
                "weights have the right hash, so another network was built: config.json was changed (architecture, model_args), or "
                "timm or torch builds it differently now. Fetch the folder again, and compare the versions in its `environment`.",
                code="golden-features-differ",
            )
