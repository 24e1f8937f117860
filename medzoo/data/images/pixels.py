"""An image in memory: its pixels in stored precision, the range of the scale, and notes on what was applied."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from medzoo.data.images.ct_windows import Window, WindowChoice, limits_of
from medzoo.data.images.rescale import rescaled
from medzoo.data.images.window_rules import FittedWindow, parse_rule, refuse_series_rule
from medzoo.errors import ImageError

# Notes on `spacing_mm` of projection radiographs, which is not a distance in the patient.
SPACING_NOTES = ("spacing at the detector, not in the patient", "spacing of the scanned film")
PIXEL_LIMIT = 89_478_485  # Pillow's limit before it warns of a decompression bomb
VOLUME_LIMIT = 1 << 30  # voxels read at once: twice 2,000 slices of 512 x 512
_RANGES: dict[tuple[str, int], Window] = {("u", 1): (0.0, 255.0), ("u", 2): (0.0, 65535.0)}  # by kind and bytes
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as Pillow's conversion to L


@dataclass(frozen=True)
class Pixels:
    """An image in stored precision.

    Args:
        array: (H, W), (H, W, 3) or (D, H, W).
        range: lowest and highest value of the scale (not of this image).
        unit: "HU", "grey" or "rgb".
        spacing_mm: distance of neighbours along each axis, or None where the file does not give it.
        patient_id: from the file's header, or None.
        series_id: from the file's header, or None.
        notes: what was applied or dropped, in order.
        modality: from a DICOM header, such as "CT", or None.
    """

    array: np.ndarray
    range: Window
    unit: str
    spacing_mm: tuple[float, ...] | None = None
    patient_id: str | None = None
    series_id: str | None = None
    notes: tuple[str, ...] = ()
    modality: str | None = None

    @property
    def pixel_mm2(self) -> float | None:
        """Area of a pixel of a slice in the patient, mm²; None where the file does not give it, as for projection radiographs."""
        if self.spacing_mm is None or not set(SPACING_NOTES).isdisjoint(self.notes):
            return None
        return self.spacing_mm[-2] * self.spacing_mm[-1]


def from_array(array: np.ndarray, where: str, *, window: WindowChoice | None = None, volume: bool = False) -> Pixels:
    """Pixels of an array; floats and signed integers need a window, because their type does not give the scale.

    Args:
        array: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
        where: for messages.
        window: (low, high) of the scale; the name of a CT window means that the values are HU; a rule uses the values.
        volume: read three dimensions as (D, H, W).

    Raises:
        ImageError: for another shape, values that are not finite, or an unknown range.
    """
    # One channel or three; alpha is dropped.
    notes: list[str] = []
    if array.dtype == bool:
        array, notes = array.astype(np.uint8) * np.uint8(255), ["1 bit stored as 0 and 255"]
    if array.ndim == 3 and array.shape[2] == 1 and not volume:
        array = array[:, :, 0]
    if array.ndim == 3 and array.shape[2] == 4 and not volume:
        array = array[:, :, :3]
        notes.append("alpha dropped")
    flat = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    if 0 in array.shape or not (array.ndim == 3 if volume else flat):
        raise ImageError(
            f"{where}: has the shape {array.shape}; an image is (H, W), (H, W, 1) or (H, W, 3).",
            code="image-shape-invalid",
        )
    check_size(array.shape[-1 if volume else 1], array.shape[-2 if volume else 0], where)
    kind = array.dtype.kind
    if kind not in "uif":
        raise ImageError(
            f"{where}: contains {array.dtype}, which is not a type of pixels.", code="pixel-type-unsupported"
        )
    # uint8 and uint16 have a known scale; other types need a window.
    rule = None if window is None else parse_rule(window)
    type_range = scale = _RANGES.get((kind, array.dtype.itemsize))
    if scale is None and window is None:
        raise ImageError(
            f"{where}: contains {array.dtype}, whose range is unknown. medzoo does not guess it from the image. Give "
            "window=(low, high), for CT in HU also by name (window='lung'), or store uint8 or uint16. "
            "window='percentile:1,99' finds limits for each image, as is usual for MR.",
            code="pixel-range-unknown",
        )
    if scale is None:  # the limits of a rule are found in apply_window
        scale = limits_of(window) if window is not None and rule is None else (0.0, 1.0)
    unit = "rgb" if array.ndim == 3 and not volume else "grey"
    if isinstance(window, str) and rule is None and unit == "grey" and type_range is None:
        unit = "HU"
    if kind == "f" and not np.isfinite(array).all():
        raise ImageError(
            f"{where}: contains NaN or infinite values. Replace them with numbers.", code="pixels-not-finite"
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    pixels = Pixels(array, scale, unit, notes=tuple(notes))
    return pixels if window is None else apply_window(pixels, window, where)


def apply_window(
    pixels: Pixels, window: WindowChoice, where: str = "The image", *, padding: np.ndarray | None = None
) -> Pixels:
    """Clip to (low, high), which becomes the range; the stored type stays the same.

    Args:
        pixels: in the unit of the window.
        window: (low, high), the name of a CT window for pixels in HU, or a rule.
        where: for messages.
        padding: (H, W) bool, pixels that a rule ignores.

    Raises:
        ImageError: for an invalid window, one that contains no value of the type, or a named one for pixels not in HU.

    >>> apply_window(Pixels(np.array([[-1000, 40]], np.int16), (-1024, 3071), "HU"), (-160, 240)).array.tolist()
    [[-160, 40]]
    """
    if (rule := parse_rule(window)) is not None:
        volume = pixels.array.ndim == 3 and pixels.unit != "rgb"
        if not volume:
            refuse_series_rule(rule, where)
        values = pixels.array if padding is None else pixels.array[~padding]
        window = rule.fit(values, "this volume" if volume else "this image")
    low, high = limits_of(window)
    if isinstance(window, str) and pixels.unit != "HU":
        raise ImageError(
            f"{where}: the window {window!r} is for CT in HU, but these pixels are {pixels.unit} ({pixels.array.dtype}). "
            "Give window=(low, high) in the scale of the pixels.",
            code="window-needs-hu",
        )
    # Clip within the stored type.
    array = pixels.array
    if array.dtype.kind in "ui":
        limits = np.iinfo(array.dtype)
        bounds = max(math.ceil(low), limits.min), min(math.floor(high), limits.max)
        if bounds[0] > bounds[1]:
            raise ImageError(f"The window {window} contains no value of {array.dtype}.", code="window-outside-type")
        array = np.clip(array, *bounds)
    else:
        array = np.clip(array, low, high)
    name = f"{window.text}, " if isinstance(window, FittedWindow) else f"{window}, " if isinstance(window, str) else ""
    note = f"window {name}{low:g} to {high:g}"
    return replace(pixels, array=array, range=(low, high), notes=(*pixels.notes, note))


def with_channels(pixels: Pixels, channels: int | None) -> Pixels:
    """Convert colour to one channel if the task has one channel; grey stays one channel.

    Args:
        pixels: (H, W) or (H, W, 3).
        channels: 1, 3, or None to change nothing.
    """
    array = pixels.array
    if channels != 1 or array.ndim != 3 or array.shape[2] != 3:
        return pixels
    if (array[:, :, :1] == array[:, :, 1:]).all():
        return replace(
            pixels, array=array[:, :, 0], unit="grey", notes=(*pixels.notes, "three equal channels reduced to one")
        )
    grey = array.astype(np.float64) @ _LUMA
    grey = np.rint(grey) if array.dtype.kind in "ui" else grey
    note = "colour converted to grey (BT.601): the task has one channel"
    return replace(pixels, array=grey.astype(array.dtype), unit="grey", notes=(*pixels.notes, note))


def grey_if_equal(array: np.ndarray, notes: list[str]) -> np.ndarray:
    """Reduce three equal channels to one: greys saved with a palette or alpha (masks as GIF, radiographs as RGBA).

    Args:
        array: (H, W, 3).
        notes: a list; the conversion is appended to it.
    """
    if not (array[:, :, :1] == array[:, :, 1:]).all():
        return array
    notes.append("three equal channels reduced to one")
    return np.ascontiguousarray(array[:, :, 0])


def inverted(pixels: Pixels, note: str) -> Pixels:
    """The negative: the lowest value of the scale becomes the highest.

    Args:
        pixels: grey, within their range.
        note: why.

    >>> inverted(Pixels(np.array([[0, 250]], np.uint8), (0, 255), "grey"), "MinIsWhite").array.tolist()
    [[255, 5]]
    """
    array = rescaled(pixels.array, -1, sum(pixels.range), pixels.range)
    return replace(pixels, array=array, notes=(*pixels.notes, note))


def check_size(width: int, height: int, where: str) -> None:
    """Check that an image is not too large.

    Raises:
        ImageError: above 89,478,485 pixels.
    """
    if width * height > PIXEL_LIMIT:
        raise ImageError(
            f"{where}: the header says {width} x {height} pixels, more than {PIXEL_LIMIT:,}. It may be a decompression bomb. "
            "If it is a slide, cut it into tiles first.",
            code="image-too-large",
        )
