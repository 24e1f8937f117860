"""Slices of packed volumes, whose files are unpacked once: the slice that is asked for next mostly lies in the same one."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path

from medzoo.data.images.frame_key import Frame, file_and_frame
from medzoo.data.images.nifti.header import looks_like_nifti, unpacked
from medzoo.data.images.read import Pixels, WindowChoice, read_image, read_open
from medzoo.data.images.volume_window import KnownBytes
from medzoo.errors import ImageError

KEPT = 1 << 29  # bytes of unpacked files that are kept; the last one is kept whatever its size
LARGEST = 1 << 30  # bytes; a file that takes more is unpacked up to the slice, for each slice anew

_lock = threading.Lock()
_files: OrderedDict[tuple[str, int, int, int], bytes] = OrderedDict()


def read_cached(
    path: str | os.PathLike[str], *, window: WindowChoice | None = None, frame: Frame | None = None
) -> Pixels:
    """As `read_image`, for readers that ask for one slice of a file after another.

    Args:
        path: a file, or `file#12`.
        window: as in `read_image`.
        frame: as in `read_image`.

    Raises:
        ImageError: as `read_image`, and for a packed file that is cut off or damaged behind the slice.
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
    kept = _content(path)
    if kept is None:
        return read_image(path, window=window, frame=frame)
    return read_open(kept, str(path), window=window, frame=frame)


def _content(path: Path) -> KnownBytes | None:
    """The unpacked file; None where it is no packed NIfTI file, or too large to be kept."""
    try:
        with path.open("rb") as file, _lock:
            found = os.fstat(file.fileno())
            key = str(path), found.st_size, found.st_mtime_ns, found.st_ino
            if key not in _files:
                if not looks_like_nifti(file.read(512)):
                    return None
                data = unpacked(file, str(path), LARGEST)
                if data is None:
                    return None
                _files[key] = data
                while len(_files) > 1 and sum(map(len, _files.values())) > KEPT:
                    _files.popitem(last=False)
            _files.move_to_end(key)
            return KnownBytes(_files[key], key)
    except OSError as error:
        raise ImageError(f"{path}: cannot be opened ({error.strerror or error}).") from error
