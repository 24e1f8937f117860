"""What kind of image a file holds, by its first bytes and not by its name; no decoder is imported."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Literal

_HEAD = 512
_GZIP = b"\x1f\x8b"
_STARTS = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
    b"\x93NUMPY",
    b"\0\0\0\x0cjP  ",
    b"\xff\x4f\xff\x51",
)
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


def kind_of(head: bytes) -> Literal["npy", "NIfTI", "DICOM", "a picture"]:
    """Which decoder reads a file: the one of its first bytes, or Pillow, which knows the other formats.

    Args:
        head: at least the first 352 bytes, or all of them.

    >>> kind_of(bytes(128) + b"DICM"), kind_of(b"GIF89a")
    ('DICOM', 'a picture')
    """
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if looks_like_nifti(head):
        return "NIfTI"
    return "DICOM" if looks_like_dicom(head) else "a picture"


def looks_like_dicom(head: bytes) -> bool:
    """Whether these are the first bytes of a DICOM file, with or without the preamble of 128 bytes.

    Args:
        head: at least the first 132 bytes.

    >>> looks_like_dicom(bytes(128) + b"DICM"), looks_like_dicom(b"II*\\0")
    (True, False)
    """
    if head[128:132] == b"DICM":
        return True
    if len(head) < 16 or head[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08"):
        return False
    vr = head[4:6]
    if vr.isalpha() and vr.isupper():
        return True
    return head[:2] == b"\x08\x00" and int.from_bytes(head[4:8], "little") < 1024  # implicit VR: a length


def looks_like_nifti(head: bytes) -> bool:
    """Whether the first bytes of a file, packed by gzip or not, are the header of NIfTI-1 or NIfTI-2.

    Args:
        head: at least the first 352 bytes.

    >>> looks_like_nifti((348).to_bytes(4, "little") + bytes(340) + b"n+1\\0")
    True
    """
    head = _unpacked(head)
    sizes = {int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")}
    if 540 in sizes:
        return head[4:7] in (b"n+2", b"ni2")
    return 348 in sizes and head[344:347] in (b"n+1", b"ni1")


def _unpacked(head: bytes) -> bytes:
    if not head.startswith(_GZIP):
        return head
    try:
        return zlib.decompressobj(31).decompress(head, 540)  # not to its end: the reader checks the checksum
    except zlib.error:
        return b""
