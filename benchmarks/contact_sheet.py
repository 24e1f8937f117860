"""One image of all DICOM and NIfTI files in a folder, as medzoo reads them, to check orientation, inversion and windows by eye.

    python benchmarks/contact_sheet.py DATA --out sheet.png

Zip files are unpacked temporarily. All slices of a series are shown in their order, and the three middle planes of a volume. A
segmentation is drawn on its images. An image of unknown range is shown between its 1st and 99th percentile and marked by ~; this is
only for display, and medzoo itself refuses such an image.
"""

from __future__ import annotations

import argparse
import tempfile
import textwrap
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from medzoo.data.images.dicom.segmentation import read_dicom_seg
from medzoo.data.images.dicom.series import list_dicom_slices
from medzoo.data.images.pixels import Pixels
from medzoo.data.images.read import read_image
from medzoo.errors import ImageError

TILE = 260  # pixels
ALL = (-3.0e38, 3.0e38)
NEEDS_WINDOW = {
    "pixel-range-unknown",
    "voi-function-unknown",
    "window-outside-type",
}  # codes of errors that a window avoids


def tile_of(pixels: Pixels) -> np.ndarray:
    """(H, W, 3) uint8 of one slice, its pixels made square by their spacing."""
    from PIL import Image

    low, high = pixels.range
    unit = np.clip((pixels.array.astype(np.float64) - low) / (high - low), 0, 1)
    grey = (unit * 255 + 0.5).astype(np.uint8)
    grey = grey if grey.ndim == 3 else np.repeat(grey[..., None], 3, axis=2)
    height, width = grey.shape[:2]
    rows, columns = pixels.spacing_mm or (1.0, 1.0)
    scale = TILE / max(height * rows, width * columns)
    size = max(round(width * columns * scale), 1), max(round(height * rows * scale), 1)
    tile = Image.new("RGB", (TILE, TILE), (40, 40, 60))
    tile.paste(
        Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR), ((TILE - size[0]) // 2, (TILE - size[1]) // 2)
    )
    return np.asarray(tile)


def read(path: Path, frame: object = None) -> tuple[Pixels, str]:
    """The pixels, and "~" if the range is only for display."""
    from dataclasses import replace

    try:
        pixels = read_image(path, frame=frame)  # type: ignore[arg-type]
        top = float(pixels.array.max())  # few small values are labels, not intensities
        return (replace(pixels, range=(0.0, top)), "~") if 0 < top < 16 else (pixels, "")
    except ImageError as error:
        if error.code not in NEEDS_WINDOW:
            raise
        pixels = read_image(path, frame=frame, window=ALL)  # type: ignore[arg-type]
        low, high = (float(value) for value in np.percentile(pixels.array, (1, 99)))
        return replace(pixels, range=(low, high if high > low else low + 1)), "~"


def cell(pixels: Pixels, title: str, mark: str = "") -> tuple[np.ndarray, str]:
    """A tile and its caption."""
    low, high = pixels.range
    spacing = "" if pixels.spacing_mm is None else " x ".join(f"{side:.3g}" for side in pixels.spacing_mm) + " mm; "
    notes = [note for note in pixels.notes if not note.startswith(("frame ", "slice ", "axes ", "window -3e+38"))]
    return tile_of(pixels), f"{title}\n{spacing}{pixels.unit} {mark}{low:g} to {high:g}\n{'; '.join(notes)}"


def of_nifti(path: Path) -> Iterator[tuple[np.ndarray, str]]:
    """The middle slice across each axis; for four dimensions, of the first volume."""
    from dataclasses import replace

    try:
        volume, mark = read(path, "all")
    except ImageError:
        volume, mark = read(path, (0, "all"))
    depth, height, width = volume.array.shape
    up, back, left = volume.spacing_mm or (1.0, 1.0, 1.0)
    planes = {
        "axial": (volume.array[depth // 2], (back, left)),
        "coronal": (volume.array[::-1, height // 2], (up, left)),
        "sagittal": (volume.array[::-1, :, width // 2], (up, back)),
    }
    for name, (array, spacing) in planes.items():
        notes = volume.notes if name == "axial" else ()
        yield cell(replace(volume, array=array, spacing_mm=spacing, notes=notes), f"{path.name} {name}", mark)


def of_dicom(path: Path, title: str) -> Iterator[tuple[np.ndarray, str]]:
    """An image; CT also in the soft-tissue window."""
    pixels, mark = read(path)
    yield cell(pixels, title, mark)
    if pixels.unit == "HU":
        yield cell(read_image(path, window="soft_tissue"), f"{title} soft_tissue")


def of_series(folder: Path, name: str) -> Iterator[tuple[np.ndarray, str]]:
    """All slices in order; heads in the brain window."""
    for number, one in enumerate(list_dicom_slices(folder)):
        pixels, mark = read(folder / one.key)
        if pixels.unit == "HU":
            pixels = read_image(folder / one.key, window="brain" if "head" in name else "soft_tissue")
        yield cell(pixels, f"{name} slice {number} at {one.position_mm} mm", mark)


def of_segmentation(path: Path, images: list[Path]) -> Iterator[tuple[np.ndarray, str]]:
    """The images of a segmentation with the edges of its masks in red."""
    from dataclasses import replace

    seg = read_dicom_seg(path)
    for image in images:
        try:
            mask = seg.mask_for(image)
        except ImageError:
            continue
        pixels = read_image(image, window="soft_tissue")
        low, high = pixels.range
        grey = np.clip((pixels.array - low) / (high - low), 0, 1)
        inner = mask.astype(bool)
        edge = inner & ~(np.roll(inner, 2, 0) & np.roll(inner, -2, 0) & np.roll(inner, 2, 1) & np.roll(inner, -2, 1))
        colour = np.repeat(grey[..., None], 3, axis=2)
        colour[edge] = (1, 0, 0)
        labels = ", ".join(seg.segments.values())
        yield cell(replace(pixels, array=colour, range=(0, 1), unit="rgb"), f"{path.name} on {image.name}: {labels}")


def cells(data: Path, unpacked: Path) -> Iterator[tuple[np.ndarray, str]]:
    """All tiles, file by file."""
    files = sorted(path for path in data.rglob("*.dcm"))
    images = [path for path in files if "seg" not in path.name]
    for path in images:
        yield from of_dicom(path, path.name)
    for path in files:
        if path not in images:
            yield from of_segmentation(path, images)
    for path in sorted(data.rglob("*.zip")):
        folder = unpacked / path.stem
        with zipfile.ZipFile(path) as packed:
            packed.extractall(folder)
        yield from of_series(folder, path.stem)
    for path in sorted([*data.rglob("*.nii"), *data.rglob("*.nii.gz")]):
        yield from of_nifti(path)


def main(arguments: list[str] | None = None) -> None:
    """Write the sheet."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("contact_sheet.png"))
    parser.add_argument("--columns", type=int, default=12)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        tiles = list(cells(chosen.data, Path(folder)))
    rows = -(-len(tiles) // chosen.columns)
    figure, axes = plt.subplots(rows, chosen.columns, figsize=(3.4 * chosen.columns, 4.1 * rows), squeeze=False)
    for axis in axes.ravel():
        axis.axis("off")
    for axis, (tile, words) in zip(axes.ravel(), tiles, strict=False):
        axis.imshow(tile)
        lines = [part for line in words.split("\n") for part in textwrap.wrap(line, 52)]
        axis.set_title("\n".join(lines[:6]), fontsize=6, loc="left")
    figure.tight_layout()
    figure.savefig(chosen.out, dpi=90)
    print(f"{chosen.out}: {len(tiles)} pictures")


if __name__ == "__main__":
    main()
