"""Read slices of packed volumes. Unpacked files stay in memory: the next slice is mostly in the same file."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path

from medzoo.data.images.frame_key import Frame, file_and_frame
from medzoo.data.images.nifti.header import unpacked
from medzoo.data.images.read import Pixels, WindowChoice, read_image, read_open
from medzoo.data.images.sniff import looks_like_nifti
from medzoo.data.images.volume_window import KnownBytes
from medzoo.errors import ImageError

CACHE_BYTES = 1 << 29  # bytes of unpacked files in memory; the last file stays even if it is larger
LARGEST = 1 << 30  # bytes; a larger file is not cached: each read unpacks it up to the slice

_lock = threading.Lock()
_files: OrderedDict[tuple[str, int, int, int], bytes] = OrderedDict()


def read_cached(
    path: str | os.PathLike[str], *, window: WindowChoice | None = None, frame: Frame | None = None
) -> Pixels:
    """As `read_image`, for readers that read many slices of one file.

    Args:
        path: a file, or `file#12`.
        window: as in `read_image`.
        frame: as in `read_image`.

    Raises:
        ImageError: as `read_image`, and for a packed file that is cut off or damaged after the slice.
        MissingExtraError: if a library for this format is not installed.

    >>> import nibabel, numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     nibabel.save(nibabel.Nifti1Image(np.zeros((6, 5, 4), np.uint8), np.eye(4)), f"{place}/scan.nii.gz")
    ...     [read_cached(f"{place}/scan.nii.gz#{number}").array.shape for number in range(4)]
    [(5, 6), (5, 6), (5, 6), (5, 6)]
    """
    path = Path(path)
    if frame is None:
        path, frame = file_and_frame(path)
    if frame is None or frame == "all" or not path.name.endswith(".gz"):
        return read_image(path, window=window, frame=frame)
    content = _content(path)
    if content is None:
        return read_image(path, window=window, frame=frame)
    return read_open(content, str(path), window=window, frame=frame)


def _content(path: Path) -> KnownBytes | None:
    """The unpacked file; None if it is not a packed NIfTI file, or too large for the cache."""
    try:
        with path.open("rb") as file, _lock:
            status = os.fstat(file.fileno())
            key = str(path), status.st_size, status.st_mtime_ns, status.st_ino
            if key not in _files:
                if not looks_like_nifti(file.read(512)):
                    return None
                data = unpacked(file, str(path), LARGEST)
                if data is None:
                    return None
                _files[key] = data
                while len(_files) > 1 and sum(map(len, _files.values())) > CACHE_BYTES:
                    _files.popitem(last=False)
            _files.move_to_end(key)
            return KnownBytes(_files[key], key)
    except OSError as error:
        raise ImageError(
            f"{path}: cannot be opened ({error.strerror or error}). Check the path and its permissions.",
            code="image-cannot-open",
        ) from error
