"""Slices of NIfTI volumes as the images of a task, under keys as `scan.nii.gz#12`; three volumes make a colour image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medzoo.data.images.ct_windows import ANY
from medzoo.data.images.read import Pixels, Window
from medzoo.data.images.volume_cache import read_cached
from medzoo.data.problems import complain
from medzoo.data.readers.image_file import FileReader
from medzoo.data.readers.masks import same_size
from medzoo.errors import DataContractError, ImageError, MissingExtraError, listed


class SliceReader(FileReader):
    """Slices under "scan.nii#12", and images of three channels under "a.nii|b.nii|c.nii#12".

    Args:
        root: the data's folder.
        window: (low, high) that single-channel images are clipped to.
        unit: of single-channel images.
    """

    ID = "medzoo.data.volumes.SliceReader"  # in the keys of decoded images; never change it

    apart = False  # threads share the unpacked volumes, processes would each unpack them

    def __init__(self, root: Path, window: Window | None = None, unit: str = "grey") -> None:
        super().__init__(root, window)
        self.unit = unit

    def read(self, key: str) -> Pixels:
        """The slice under a key; of several volumes (H, W, 3), the range being the lowest and the highest value."""
        paths, _, number = key.partition("#")
        if "|" in paths:
            return stacked([self._slice(path, int(number)) for path in paths.split("|")], paths, str(self.root))
        pixels = super().read(key)
        return replace(pixels, unit=self.unit)

    def labels(self, key: str) -> np.ndarray:
        """(H, W): the values of a slice of a segmentation."""
        path, _, number = key.partition("#")
        return self._slice(path, int(number))

    def raw(self, key: str) -> bytes | None:
        """A slice is no file of its own."""
        return None

    def _slice(self, path: str, number: int) -> np.ndarray:
        """A slice as it is."""
        return read_cached(self.root / path, frame=number, window=ANY).array


def stacked(channels: Sequence[np.ndarray], key: str, where: str) -> Pixels:
    """Three greys as the channels of one image, which is scaled by its own lowest and highest value.

    Args:
        channels: (H, W) each.
        key: their files with "|" between them, for messages.
        where: their folder, for messages.

    Returns:
        float32 (H, W, 3).

    Raises:
        ImageError: if they differ in size, or hold values that are not finite.

    >>> stacked([np.zeros((2, 2)), np.ones((2, 2)), np.full((2, 2), 7.0)], "a|b|c", "").range
    (0.0, 7.0)
    """
    array = np.stack(same_size(channels, key), axis=-1).astype(np.float32)
    if not np.isfinite(array).all():
        raise ImageError(f"{where}/{key}: holds NaN or infinite values.")
    low, high = float(array.min()), float(array.max())
    note = f"channels {', '.join(part.rpartition('/')[2] for part in key.split('|'))}; range of this image"
    return Pixels(array, (low, high if high > low else low + 1), "rgb", notes=(note,))


def slices_of(root: Path, paths: Sequence[str], task: str) -> int:
    """How many slices volumes that belong together have, by their headers.

    Args:
        root: the data's folder.
        paths: of volumes of one scan, its segmentation among them.
        task: for messages.

    Raises:
        DataContractError: if one cannot be read, or they differ in their size or in how they lie in space.
        MissingExtraError: if nibabel is not installed.
    """
    try:
        import nibabel
    except ImportError:
        raise MissingExtraError("nibabel", "medical", f"Task {task}") from None
    shapes: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {}
    for path in paths:
        try:
            image: Any = nibabel.load(root / path)
            axes = tuple(str(axis) for axis in nibabel.aff2axcodes(image.affine))
            if "None" in axes:
                raise ValueError("its affine says no orientation")
            shapes[path] = tuple(int(side) for side in image.shape), axes
        except Exception as error:  # readers of damaged headers raise anything
            raise DataContractError(f"Task {task}: the header of {root / path} cannot be read ({error}).") from error
    shape, axes = shapes[paths[0]]
    if len(set(shapes.values())) > 1 or len(shape) != 3:
        said = [f"{path} {' x '.join(map(str, size))} {''.join(lie)}" for path, (size, lie) in shapes.items()]
        complain(
            DataContractError(f"Task {task}: these volumes should be of one size and orientation: {listed(said)}.")
        )
        return 0
    return shape[next(place for place, axis in enumerate(axes) if axis in ("S", "I"))]


def save_volume(path: Path, array: np.ndarray) -> None:
    """Write a NIfTI file, for fake data sets.

    Args:
        path: the file; its folders are made.
        array: (X, Y, Z), to the right, to the front, upwards; 1 mm a side.
    """
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
