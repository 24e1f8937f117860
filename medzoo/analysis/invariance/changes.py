"""Changes of images at three strengths: window, gamma, noise, rotation, JPEG, resolution. Noise depends on seed and id."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from medzoo.data.decode_cache.decoded import Decoded
from medzoo.data.transforms.affine import affine
from medzoo.data.transforms.apply import to_unit, whole
from medzoo.data.transforms.tones import windowed

Batch = torch.Tensor  # (N, C, H, W) in [0, 1]


@dataclass(frozen=True)
class ImageChange:
    """A change with its strengths.

    Args:
        name: of the change.
        unit: what the strengths are.
        strengths: from weak to strong.
        apply: takes a batch, a strength, the seed and the ids, and gives the changed batch.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    apply: Callable[[Batch, float, int, list[str]], Batch]


def _width(batch: Batch, share: float, seed: int, ids: list[str]) -> Batch:
    return windowed(batch, torch.tensor([[(1 - share) / 2, share]]).expand(len(batch), 2))


def _level(batch: Batch, shift: float, seed: int, ids: list[str]) -> Batch:
    return windowed(batch, torch.tensor([[shift, 1.0]]).expand(len(batch), 2))


def _gamma(batch: Batch, power: float, seed: int, ids: list[str]) -> Batch:
    return batch**power


def _noise(batch: Batch, deviation: float, seed: int, ids: list[str]) -> Batch:
    noise = [
        np.random.default_rng([seed, zlib.crc32(name.encode())]).normal(0, deviation, tuple(batch.shape[1:]))
        for name in ids
    ]
    return batch + torch.from_numpy(np.stack(noise)).to(batch)


def _rotation(batch: Batch, degrees: float, seed: int, ids: list[str]) -> Batch:
    zero = torch.zeros(len(batch))
    return affine(batch, zero + degrees, zero, zero, zero, zero + 1)


def _jpeg(batch: Batch, quality: float, seed: int, ids: list[str]) -> Batch:
    from PIL import Image

    found = []
    for image in (batch.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy():
        file = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, "JPEG", quality=int(quality))
        stored = np.asarray(Image.open(file), dtype=np.float32) / 255
        found.append(stored[None] if stored.ndim == 2 else stored.transpose(2, 0, 1))
    return torch.from_numpy(np.stack(found)).to(batch)


def _resolution(batch: Batch, share: float, seed: int, ids: list[str]) -> Batch:
    side = batch.shape[-1]
    return whole(whole(batch, max(1, round(side * share))), side)


CHANGES = (
    ImageChange("window width", "share of the range", (0.8, 0.6, 0.4), _width),
    ImageChange("window level", "shift, share of the range", (0.1, 0.2, 0.3), _level),
    ImageChange("gamma", "power", (1.25, 1.6, 2.0), _gamma),
    ImageChange("noise", "standard deviation, share of the range", (0.02, 0.05, 0.1), _noise),
    ImageChange("rotation", "degrees", (5.0, 10.0, 20.0), _rotation),
    ImageChange("JPEG", "quality", (60.0, 30.0, 10.0), _jpeg),
    ImageChange("resolution", "share of the side", (0.75, 0.5, 0.25), _resolution),
)


def changed(data: Decoded, change: ImageChange, strength: float, seed: int) -> Decoded:
    """The same images after a change, rounded to the stored precision.

    Args:
        data: square rows, uint8 or uint16, grey or RGB.
        change: one of CHANGES.
        strength: of the change.
        seed: of the noise.

    >>> data = Decoded(np.full((1, 4, 4), 100, np.uint8), np.zeros(1), ["a"], ["a"], 255.0, "0" * 64)
    >>> changed(data, CHANGES[1], 0.2, seed=0).images[0, 0].tolist()
    [49, 49, 49, 49]
    """
    rows = np.asarray(data.images)
    batch = change.apply(to_unit(rows, data.scale), strength, seed, list(data.ids)).clamp(0, 1)
    result = (batch.double() * data.scale).round().permute(0, 2, 3, 1).numpy().astype(rows.dtype)
    name = f"{data.sha256}-{change.name}-{strength:g}-{seed}"
    return replace(data, images=np.ascontiguousarray(result.reshape(rows.shape)), sha256=name)
