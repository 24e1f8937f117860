"""Whether a file is an image, by its first bytes and not by its name."""

from __future__ import annotations

import re
from pathlib import Path

from medzoo.data.images.dicom.file import looks_like_dicom
from medzoo.data.images.nifti.header import looks_like_nifti

_HEAD = 512
_STARTS = (
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\x93NUMPY",
    b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51",
)  # fmt: skip
_NETPBM = re.compile(rb"P[1-7](?:\s+#[^\n]*)*\s+[0-9]+\s")
_BITMAP = re.compile(rb"BM.{8}.{4}[\x0c\x28\x40\x6c\x7c]\0\0\0", re.DOTALL)


def holds_image(path: Path) -> bool:
    """Whether a file begins like an image that `read_image` reads: PNG, JPEG, DICOM without a suffix, ...

    Args:
        path: of a file.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        return looks_like_image(file.read(_HEAD))


def looks_like_image(head: bytes) -> bool:
    """Whether these are the first bytes of an image.

    Args:
        head: up to 512 bytes.

    >>> looks_like_image(b"\\x89PNG\\r\\n\\x1a\\n...."), looks_like_image(b"image,label\\n")
    (True, False)
    """
    return (
        head.startswith(_STARTS)
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or head[4:12] in (b"ftypavif", b"ftypavis")
        or bool(_NETPBM.match(head) or _BITMAP.match(head))
        or looks_like_nifti(head)
        or looks_like_dicom(head)
    )
