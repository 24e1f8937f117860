"""Elastic, grid and optical distortions: from where each pixel of a view takes its value.

Every distorted image has one of the three. The conventions are those of albumentations. An elastic displacement is Gaussian
noise on a coarse grid, spread by a Gaussian; this has the statistics of noise for every pixel, and needs few numbers.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from medzoo.data.rng import uniform
from medzoo.data.transforms.augmentation_law import Augmentation
from medzoo.data.transforms.resample import Form, Taps, apply_taps, exact_type, to_device

KINDS = ("elastic", "grid", "optical")
CELLS = 5  # of a grid distortion, along each side
_REACH = 4  # standard deviations of the Gaussian on each side
_MOST = 12  # the points of an affine map move by at most the side divided by this, so that they stay a triangle


class Distortion:
    """The distortions of some views.

    Args:
        size: side of the views, pixels.
        sigma: of an elastic distortion, pixels.
        rows: (N,) positions of the distorted views: first those of the elastic distortions, then grid, then optical.
        noise: (elastic, 2, n, n) amplitudes in pixels on the coarse grid, along x and y.
        corners: (elastic, 2, 3) inverse affine maps: x and y of the source for (x, y, 1), relative to the middle.
        widths: (grid, 2, CELLS) widths of the columns and heights of the rows in the image, as a share of those in the view.
        lens: (optical,) coefficients.
    """

    def __init__(
        self,
        size: int,
        sigma: float,
        rows: torch.Tensor,
        noise: torch.Tensor,
        corners: torch.Tensor,
        widths: torch.Tensor,
        lens: torch.Tensor,
    ) -> None:
        self.size, self.sigma, self.rows = size, sigma, rows
        self.noise, self.corners, self.widths, self.lens = noise, corners, widths, lens

    @cached_property
    def positions(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Places that the pixels take their values from: x and y, each (N, size, size) float32, relative to the middle."""
        parts = [self._elastic(), self._grid(), self._optical()]
        x, y = (torch.cat([part[axis] for part in parts]) for axis in (0, 1))
        return x, y

    def _elastic(self) -> tuple[torch.Tensor, torch.Tensor]:
        taps = spread_taps(self.size, self.sigma, len(self.noise), self.noise.device)
        form: Form = "taps" if self.noise.device.type == "cpu" else "matmul"
        moved = apply_taps(self.noise, taps, taps, form) if len(self.noise) else self.noise.new_zeros(0, 2, 1, 1)
        across, down = self._grid_of_pixels()
        moved = moved.contiguous()
        x, y = self._reflected(across + moved[:, 0]), self._reflected(down + moved[:, 1])
        (xx, xy, x1), (yx, yy, y1) = (
            [value[:, None, None] for value in row.unbind(1)] for row in self.corners.unbind(1)
        )
        return self._reflected(xx * x + xy * y + x1), self._reflected(yx * x + yy * y + y1)

    def _grid(self) -> tuple[torch.Tensor, torch.Tensor]:
        width = self.size / CELLS
        edge = torch.arange(self.size, device=self.widths.device, dtype=torch.float32) + 0.5
        source = torch.zeros(len(self.widths), 2, self.size, device=self.widths.device)
        for number in range(CELLS):
            source += self.widths[..., number, None] * (edge - number * width).clamp(0, width)
        across, down = self._reflected(source - self.size / 2).unbind(1)
        shape = (len(self.widths), self.size, self.size)
        return across[:, None, :].expand(shape), down[:, :, None].expand(shape)

    def _optical(self) -> tuple[torch.Tensor, torch.Tensor]:
        across, down = self._grid_of_pixels()
        square = (across / self.size) ** 2 + (down / self.size) ** 2
        factor = 1 + self.lens[:, None, None] * (square + square**2)
        return self._reflected(across * factor), self._reflected(down * factor)

    def _grid_of_pixels(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Places of the pixels, relative to the middle: x (1, 1, size) and y (1, size, 1)."""
        middles = torch.arange(self.size, device=self.rows.device, dtype=torch.float32) - (self.size - 1) / 2
        return middles[None, None, :], middles[None, :, None]

    def _reflected(self, place: torch.Tensor) -> torch.Tensor:
        """Positions inside the image: reflected at the middle of its border pixels, as often as necessary."""
        side = self.size - 1
        if side == 0:
            return torch.zeros_like(place)
        from_first = place + side / 2
        periods = (from_first / (2 * side)).round_()
        return from_first.sub_(periods, alpha=2 * side).abs_().sub_(side / 2)


def spread_taps(size: int, sigma: float, count: int, device: torch.device) -> Taps:
    """The weights that spread noise from a grid with a distance of sigma to `size` pixels, equal for `count` images.

    Args:
        size: pixels of the side.
        sigma: of the Gaussian, and the distance of the grid's points, pixels.
        count: images.
        device: of the weights.

    >>> spread_taps(5, 2.0, 1, torch.device("cpu")).source[0, :, 0].tolist()
    [0, 0, 1, 2, 2]
    """
    exact = exact_type(device)
    place = torch.arange(size, device=device, dtype=exact)[:, None] / sigma
    point = place.round() + torch.arange(-_REACH, _REACH + 1, device=device, dtype=exact)
    weight = torch.exp(-0.5 * (point - place) ** 2)
    shape = (count, *weight.shape)
    return Taps((point + _REACH).long().expand(shape), (weight / weight.sum(1, keepdim=True)).float().expand(shape))


def draw_distortion(
    law: Augmentation,
    chance: np.ndarray,
    size: int,
    *,
    seed: int,
    epoch: int,
    indices: np.ndarray,
    stream: str,
    device: torch.device | None,
) -> Distortion | None:
    """The distortions of some views; None if no view is distorted.

    Args:
        law: the possible changes.
        chance: (N,) uniform numbers: whether a view is distorted, and how.
        size: side of the views, pixels.
        seed: the run's seed.
        epoch: the pass over the data.
        indices: (N,) positions of the images in their split.
        stream: name of the view.
        device: where the views are computed; by default the CPU.
    """
    if not law.distort or not (chance < law.distort).any():
        return None
    kind = (chance * (len(KINDS) / law.distort)).astype(int)
    kind[(chance < law.distort) & (kind >= len(KINDS))] = len(KINDS) - 1  # from rounding
    elastic, grid, optical = (np.flatnonzero(kind == number) for number in range(len(KINDS)))

    def signed(name: str, rows: np.ndarray, *shape: int) -> np.ndarray:
        """Uniform numbers in [-1, 1)."""
        count = int(np.prod(shape))
        return 2 * uniform(f"{stream}/{name}", seed, epoch, np.asarray(indices)[rows], count).reshape(-1, *shape) - 1

    side = round((size - 1) / law.elastic_sigma) + 2 * _REACH + 1
    # a point of the grid stands for sigma * sigma pixels; the sum of their noise has a standard deviation of sigma
    noise = signed("noise", elastic, 2, side, side) * (law.elastic_alpha / law.elastic_sigma)
    parts = {
        "noise": noise,
        "corners": _inverse_maps(signed("corners", elastic, 3, 2) * min(law.elastic_affine, size / _MOST), size),
        "widths": 1 + law.grid_limit * signed("widths", grid, 2, CELLS),
        "lens": law.optical_limit * signed("lens", optical, 1)[:, 0],
    }
    rows = to_device(np.concatenate([elastic, grid, optical]), device)
    numbers = {name: to_device(value.astype(np.float32), device) for name, value in parts.items()}
    return Distortion(size, law.elastic_sigma, rows, **numbers)


def _inverse_maps(moves: np.ndarray, size: int) -> np.ndarray:
    """The affine maps (N, 2, 3) back from three moved corners of a square to these corners.

    Args:
        moves: (N, 3, 2) x and y, pixels.
        size: side of the views, pixels; the square has two thirds of it.
    """
    corners = np.array([[1, 1], [1, -1], [-1, -1]]) * (size / 3)
    moved = np.concatenate([corners + moves, np.ones((len(moves), 3, 1))], axis=2)
    maps: np.ndarray = np.linalg.solve(moved, np.broadcast_to(corners, moves.shape)).transpose(0, 2, 1)
    return maps
