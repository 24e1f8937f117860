"""Hashes of decoded images: one for equal pixels, and perceptual ones that survive resizing, JPEG, tone, mirrors and small crops.

The perceptual hash is pHash with 256 bits: the 16 x 16 lowest frequencies of a cosine transform, each compared with their median.
Three additions cover the differences between medical copies: grey levels are replaced by their rank (so windowing, gamma and
equalisation change little); the image is hashed completely, without its padding, and without 3 % or 5.5 % on each side; and a
hash of the mirrored image is computed from the same frequencies. An inverted image has the complement of the hash.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from medzoo.data.images.pixels import Pixels, with_channels

HASH_VERSION = "1"  # changes when the same image would give a different hash
BITS = 256
THUMB = 32  # side of the small image that confirms a match, pixels
_SIDE, _LOW = 64, 16  # of the transformed image, and of its low frequencies
_LARGEST = 256  # the longer side of an image after the first reduction, pixels
_PAD, _LEAST = 10, 0.25  # grey levels of noise in padding; minimum fraction of a side without padding
INNER = (0.03, 0.055)  # fractions cut off each side: a crop of up to 6 % is near to one of these parts or to the image
_PEAK = 16.0  # limit for the count of a grey level, as a multiple of the mean count, so that noise in black areas stays dark
_BASIS = np.cos(np.pi * (2 * np.arange(_SIDE)[None] + 1) * np.arange(_LOW)[:, None] / (2 * _SIDE)).astype(
    np.float32
)  # the cosine transform, DCT-II; its scale does not change a comparison with the median
_MIRROR = np.where(np.arange(_LOW) % 2, -1, 1).astype(np.float32)


@dataclass(frozen=True)
class ImageHash:
    """The hashes of one image.

    Args:
        pixels: sha256 of the decoded pixels, 32 bytes; the same for a file in another lossless format.
        codes: (K, 32) uint8, the packed perceptual hashes of the whole image, of its two inner parts, and of the image without
            padding, if it has some.
        mirrored: (K, 32) uint8, the same for the image mirrored left to right.
        thumbs: (K, 32, 32) uint8, small images of the same parts.
    """

    pixels: bytes
    codes: np.ndarray
    mirrored: np.ndarray
    thumbs: np.ndarray


def hash_image(pixels: Pixels) -> ImageHash:
    """Compute all hashes of a decoded image.

    Args:
        pixels: (H, W), (H, W, 3), or a volume (D, H, W), whose middle slice the perceptual hash uses.

    >>> found = hash_image(Pixels(np.arange(48 * 40, dtype=np.uint8).reshape(48, 40), (0, 255), "grey"))
    >>> len(found.pixels), found.codes.shape, found.thumbs.dtype.name
    (32, (3, 32), 'uint8')
    """
    parts = _parts(_reduced(_grey(pixels)))
    codes, mirrored, thumbs = [], [], []
    for part in parts:
        waves = _BASIS @ _square(_spread(part), _SIDE) @ _BASIS.T
        codes.append(_pack(waves))
        mirrored.append(_pack(waves * _MIRROR))
        thumbs.append(np.rint(_square(part.astype(np.float32), THUMB)).astype(np.uint8))
    return ImageHash(pixel_hash(pixels), np.stack(codes), np.stack(mirrored), np.stack(thumbs))


def pixel_hash(pixels: Pixels) -> bytes:
    """The sha256 of an image's shape and its values relative to its range; three equal channels count as one.

    >>> grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    >>> wide = Pixels(grey.astype(np.uint16) * 257, (0, 65535), "grey")
    >>> pixel_hash(Pixels(grey, (0, 255), "grey")) == pixel_hash(wide)
    True
    """
    array = pixels.array
    if array.ndim == 3 and array.shape[2] == 3 and (array[:, :, :1] == array[:, :, 1:]).all():
        array = array[:, :, 0]
    if array.dtype != np.uint8 or pixels.range != (0.0, 255.0):
        low, high = pixels.range
        unit = np.clip((array.astype(np.float64) - low) / (high - low), 0, 1)
        array = np.rint(unit * 65535).astype("<u2")
        if not (array % 257).any():
            array = (array // 257).astype(np.uint8)
    digest = hashlib.sha256(f"{array.shape} {array.dtype.itemsize}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.digest()


def thumb_distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Distance of small images, 0 to 255: the root mean square difference of ranks or of standardised greys.

    The smaller of the two is used: ranks ignore a change of tone, greys ignore noise in black areas. Copies are below 30; images
    of different patients in one view are above 30 with few exceptions (benchmarks/results/duplicates.md).

    Args:
        one: (N, 32, 32) uint8.
        other: (N, 32, 32) uint8.

    Returns:
        (N,) float.
    """
    pairs = ((_ranks(one), _ranks(other)), (_standard(one), _standard(other)))
    return np.minimum(*(np.sqrt(((a - b) ** 2).mean(axis=1)) for a, b in pairs))


def _grey(pixels: Pixels) -> np.ndarray:
    """(H, W) uint8. Other depths are scaled from their lowest to their highest value, because only ranks are used later."""
    array = pixels.array
    if array.ndim == 3 and array.shape[2] != 3:
        array = array[len(array) // 2]
    array = with_channels(Pixels(array, pixels.range, pixels.unit), 1).array
    if array.dtype == np.uint8:
        return array
    low, high = float(array.min()), float(array.max())
    return np.rint((array.astype(np.float32) - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)


def _reduced(grey: np.ndarray) -> np.ndarray:
    from PIL import Image

    height, width = grey.shape
    scale = max(height, width) / _LARGEST
    if scale <= 1:
        return grey
    size = max(1, round(width / scale)), max(1, round(height / scale))
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))


def _parts(grey: np.ndarray) -> list[np.ndarray]:
    """The image, its inner parts, and the image without padding if it has some."""
    height, width = grey.shape
    parts = [grey]
    for share in INNER:
        top, left = round(height * share), round(width * share)
        parts.append(grey[top : height - top, left : width - left])
    # The padding has the grey level of the border.
    ground = np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]))
    drawn = np.abs(grey - np.float32(ground)) > _PAD
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    if len(rows) and len(columns):
        inner = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        if inner.shape != grey.shape and inner.shape[0] >= height * _LEAST and inner.shape[1] >= width * _LEAST:
            parts.append(inner)
    return parts


def _spread(grey: np.ndarray) -> np.ndarray:
    """Replace grey levels by their middle rank, 0 to 255, so that a monotone change of tone has no effect."""
    counts = np.bincount(grey.ravel(), minlength=256).astype(np.float64)
    limit = _PEAK * grey.size / 256
    counts = np.minimum(counts, limit) + np.maximum(counts - limit, 0).sum() / 256
    below = np.cumsum(counts)
    return ((below - counts / 2) / below[-1] * 255).astype(np.float32)[grey]


def _square(image: np.ndarray, side: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))


def _pack(waves: np.ndarray) -> np.ndarray:
    return np.packbits((waves > np.median(waves)).ravel())


def _ranks(images: np.ndarray) -> np.ndarray:
    """(N, pixels) middle ranks, 0 to 255."""
    flat = images.reshape(len(images), -1)
    places = flat + 256 * np.arange(len(flat))[:, None]
    counts = np.bincount(places.ravel(), minlength=256 * len(flat)).reshape(-1, 256)
    middle = (np.cumsum(counts, axis=1) - counts / 2) * (255 / flat.shape[1])
    return middle.ravel().astype(np.float32)[places]


def _standard(images: np.ndarray) -> np.ndarray:
    """(N, pixels) greys with mean 0 and standard deviation 64."""
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat * (64 / np.maximum(flat.std(axis=1, keepdims=True), 1e-3))
