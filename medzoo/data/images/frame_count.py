"""The keys of all images of one file: frames of a DICOM, TIFF or GIF file, slices of a NIfTI volume."""

from __future__ import annotations

from pathlib import Path

from medzoo.data.images.sniff import kind_of
from medzoo.errors import ImageError


def frame_keys(path: Path) -> list[str]:
    """The ends of the keys of all images of a file: "#0", "#1", ..., and "#volume,slice" for NIfTI with four dimensions.

    Args:
        path: of a file with one or more images. Only its header is read.

    Raises:
        ImageError: if the header cannot be read.
        MissingExtraError: if a library for this format is not installed.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     frames = [Image.new("L", (4, 4), grey) for grey in (0, 100, 200)]
    ...     frames[0].save(f"{folder}/x.tif", save_all=True, append_images=frames[1:])
    ...     frame_keys(Path(f"{folder}/x.tif"))
    ['#0', '#1', '#2']
    """
    try:
        with path.open("rb") as file:
            kind = kind_of(file.read(512))
            file.seek(0)
            if kind == "DICOM":
                from medzoo.data.images.dicom.file import open_dicom
                from medzoo.data.images.dicom.tags import facts_of

                opened = open_dicom(file, str(path))
                count = facts_of(opened.header, str(path), floats=opened.keyword != "PixelData").frames
            elif kind == "NIfTI":
                from medzoo.data.images.nifti.header import opened as opened_nifti

                with opened_nifti(file, str(path)) as (scan, _, _):
                    count = scan.shape[scan.axes.index(2)]  # slices are counted upwards
                    if scan.volumes > 1:
                        return [f"#{volume},{number}" for volume in range(scan.volumes) for number in range(count)]
            elif kind == "npy":
                count = 1
            else:
                from PIL import Image

                with Image.open(file) as image:
                    count = int(getattr(image, "n_frames", 1))
    except OSError as error:
        raise ImageError(
            f"{path}: cannot be opened ({error.strerror or error}). Check the path and its permissions.",
            code="image-cannot-open",
        ) from error
    return [f"#{number}" for number in range(count)]
