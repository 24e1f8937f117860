"""The pixels of an image in the unit and range that a network's input convention expects."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from medzoo.data.images.read import Pixels, apply_window, to_pixels
from medzoo.errors import ImageError

if TYPE_CHECKING:
    from medzoo.data.images.ct_windows import WindowChoice

SIXTEEN_BITS = (0.0, 65535.0)


def input_pixels(
    image: Any,  # noqa: ANN401 - as for `medzoo.transform`
    *,
    window: WindowChoice | None = None,
    clip: tuple[float, float] | None = None,
    unscaled_hu: bool = False,
    rule: str = "unit",
) -> Pixels:
    """Read an image, check its shape and range, and clip CT as the network's training data were clipped.

    Args:
        image: a path, a PIL image, an array, a tensor, Pixels, or encoded bytes.
        window: of the user; it replaces `clip`.
        clip: lowest and highest HU, or None.
        unscaled_hu: whether values whose type does not give their range are in HU.
        rule: that scales to [0, 1].

    Raises:
        ImageError: if it is not an image, is a volume, or its range is unknown.

    >>> import numpy as np
    >>> input_pixels(Pixels(np.array([[-2000, 50]], np.int16), (-1024, 3071), "HU"), clip=(-150, 250)).range
    (-150.0, 250.0)
    """
    pixels = read_scaled(lambda chosen: to_pixels(image, window=chosen), window, clip if unscaled_hu else None)
    if window is None and rule == "unit" and (warning := _unused_bits_warning(pixels)):
        warnings.warn(warning, UserWarning, stacklevel=3)
    if pixels.array.ndim == 3 and pixels.array.shape[2] != 3:
        raise ImageError(
            f"A volume of shape {pixels.array.shape} is not an image; give one slice of it.",
            code="volume-not-image",
        )
    if clip is not None and pixels.unit == "HU" and window is None:
        pixels = apply_window(pixels, clip)
    return pixels


def read_scaled(
    read: Callable[[WindowChoice | None], Pixels], window: WindowChoice | None, otherwise: tuple[float, float] | None
) -> Pixels:
    """Read an image; if its type does not give the range of its values, use another window.

    Args:
        read: of the image, in a window.
        window: of the user, or None.
        otherwise: for values of unknown range; None makes them an error.

    Raises:
        ImageError: if it is not an image, or its range is unknown.
    """
    try:
        return read(window)
    except ImageError as error:
        if otherwise is None or window is not None or error.code != "pixel-range-unknown":
            raise
        return read(otherwise)


def _unused_bits_warning(pixels: Pixels) -> str:
    """A warning for uint16 whose values need only 9 to 14 bits; else empty."""
    if pixels.array.dtype.name != "uint16" or pixels.range != SIXTEEN_BITS:
        return ""
    top = int(pixels.array.max())
    if not 255 < top < 2**14:
        return ""
    high = next(2**bits - 1 for bits in (12, 13, 14) if top < 2**bits)
    return (
        f"A uint16 image uses at most {100 * (high + 1) / 2**16:.3g} % of its range, so the result is nearly black. It seems "
        f"to have {high.bit_length()} bits or fewer in 16. Give their range: medzoo.transform(..., window=(0, {high}))."
    )
