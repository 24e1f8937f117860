"""Slices of NIfTI volumes as images of a task, with keys such as `scan.nii.gz#12`; three volumes make a colour image."""

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
    """Slices with keys "scan.nii#12", and images of three channels with keys "a.nii|b.nii|c.nii#12".

    Args:
        root: the data's folder.
        window: (low, high) for clipping single-channel images.
        unit: of single-channel images.
    """

    ID = "medzoo.data.volumes.SliceReader"  # in the keys of decoded images; never change it

    apart = False  # threads share the unpacked volumes; each process would unpack them again

    def __init__(self, root: Path, window: Window | None = None, unit: str = "grey") -> None:
        super().__init__(root, window)
        self.unit = unit

    def read(self, key: str) -> Pixels:
        """The slice of a key; for several volumes (H, W, 3), where the range is the lowest and the highest value."""
        paths, _, number = key.partition("#")
        if "|" in paths:
            slices = [self._slice(path, int(number)) for path in paths.split("|")]
            stacked = stack_channels([one.array for one in slices], paths, str(self.root))
            return replace(stacked, spacing_mm=slices[0].spacing_mm)
        pixels = super().read(key)
        return replace(pixels, unit=self.unit)

    def labels(self, key: str) -> np.ndarray:
        """(H, W): the values of a slice of a segmentation."""
        path, _, number = key.partition("#")
        return self._slice(path, int(number)).array

    def raw(self, key: str) -> bytes | None:
        """None: a slice is not a separate file."""
        return None

    def _slice(self, path: str, number: int) -> Pixels:
        """A slice without a window."""
        return read_cached(self.root / path, frame=number, window=ANY)


def stack_channels(channels: Sequence[np.ndarray], key: str, where: str) -> Pixels:
    """Three grey images as the channels of one image; its range is its lowest and highest value.

    Args:
        channels: (H, W) each.
        key: their files with "|" between them, for messages.
        where: their folder, for messages.

    Returns:
        float32 (H, W, 3).

    Raises:
        ImageError: if they differ in size, or contain values that are not finite.

    >>> stack_channels([np.zeros((2, 2)), np.ones((2, 2)), np.full((2, 2), 7.0)], "a|b|c", "").range
    (0.0, 7.0)
    """
    array = np.stack(same_size(channels, key), axis=-1).astype(np.float32)
    if not np.isfinite(array).all():
        raise ImageError(f"{where}/{key}: contains NaN or infinite values.", code="pixels-not-finite")
    low, high = float(array.min()), float(array.max())
    note = f"channels {', '.join(part.rpartition('/')[2] for part in key.split('|'))}; range from this image"
    return Pixels(array, (low, high if high > low else low + 1), "rgb", notes=(note,))


def count_slices(root: Path, paths: Sequence[str], task: str) -> int:
    """The number of slices of the volumes of one scan, by their headers.

    Args:
        root: the data's folder.
        paths: of the volumes of one scan, including its segmentation.
        task: for messages.

    Raises:
        DataContractError: if one cannot be read, or sizes or orientations differ.
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
                raise ValueError("the affine has no orientation")
            shapes[path] = tuple(int(side) for side in image.shape), axes
        except Exception as error:  # readers of damaged headers raise anything
            raise DataContractError(
                f"Task {task}: the header of {root / path} cannot be read ({error}).", code="nifti-header-damaged"
            ) from error
    shape, axes = shapes[paths[0]]
    if len(set(shapes.values())) > 1 or len(shape) != 3:
        sizes = [f"{path} {' x '.join(map(str, size))} {''.join(codes)}" for path, (size, codes) in shapes.items()]
        complain(
            DataContractError(
                f"Task {task}: these volumes should have the same size and orientation: {listed(sizes)}.",
                code="volumes-differ",
            )
        )
        return 0
    return shape[next(position for position, axis in enumerate(axes) if axis in ("S", "I"))]


def save_volume(path: Path, array: np.ndarray) -> None:
    """Write a NIfTI file for a synthetic data set.

    Args:
        path: the file; its folders are created.
        array: (X, Y, Z), to the right, to the front, upwards; voxels of 1 mm.
    """
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
