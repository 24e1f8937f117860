"""Brightness and contrast from a DICOM header: a VOI LUT, or windows of three kinds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from medzoo.data.images.pixels import Pixels, apply_window
from medzoo.errors import ImageError

if TYPE_CHECKING:
    from medzoo.data.images.ct_windows import WindowChoice
    from medzoo.data.images.dicom.tags import Tags


def apply_voi(
    pixels: Pixels,
    tags: Tags,
    window: WindowChoice | None,
    where: str,
    notes: list[str],
    *,
    range_known: bool,
    padding: np.ndarray | None = None,
) -> Pixels:
    """Apply the given window, or the header's VOI LUT or window, or keep the whole scale.

    Args:
        pixels: in the unit of the modality, on the scale of their stored bits.
        tags: of the frame.
        window: (low, high), a rule, "full" for the whole scale, or None for the header's.
        where: for messages.
        notes: a list; what was applied is appended to it.
        range_known: whether the images of a data set share the scale of the stored bits.
        padding: (H, W) bool, pixels that a rule ignores.

    Raises:
        ImageError: if neither the header nor the stored type gives the range.
    """
    if window == "full":
        return pixels
    if window is not None:
        return apply_window(pixels, window, where, padding=padding)
    # A VOI LUT has precedence over a window; both can have several alternatives, and the first is used.
    luts = tags.header.get("VOILUTSequence")
    if luts and pixels.array.dtype.kind in "ui":
        table = tags.table(luts[0], signed=pixels.range[0] < 0, where=where)
        notes.append(_first_of("VOI LUT", len(luts), str(luts[0].get("LUTExplanation") or "")))
        return replace(pixels, array=table.look_up(pixels.array), range=table.ends)
    if luts:
        notes.append("VOI LUT ignored: it needs whole numbers")
    centers, widths = tags.numbers("WindowCenter"), tags.numbers("WindowWidth")
    if centers and widths:
        kind = tags.text("VOILUTFunction").upper() or "LINEAR"
        explanation = tags.value("WindowCenterWidthExplanation") or ""
        explanation = explanation if isinstance(explanation, str) else str(next(iter(explanation), ""))
        if widths[0] >= 1 or (widths[0] > 0 and kind != "LINEAR"):
            notes.append(_first_of("window of the header", min(len(centers), len(widths)), explanation))
            windowed = _windowed(pixels, centers[0], widths[0], kind, where)
            if windowed.array.size > 1 and np.ptp(windowed.array) == 0 and np.ptp(pixels.array) > 0:
                notes.append("the window of the header contains none of the values: is it for other units?")
            return windowed
        notes.append(f"window of the header ignored: its width is {widths[0]:g}")
    if range_known:
        return pixels
    modality = tags.text("Modality") or "The image"
    raise ImageError(
        f"{where}: {modality} in {pixels.array.dtype}: neither the header (VOI LUT, WindowCenter) nor the type gives the "
        "values of black and white. medzoo does not guess them from the image. Give window=(low, high), "
        f"window='full' for all values that can be stored ({pixels.range[0]:g} to {pixels.range[1]:g}), or "
        "window='percentile:1,99' for separate limits of each image or volume.",
        code="pixel-range-unknown",
    )


def _first_of(what: str, count: int, explanation: str) -> str:
    """The note for the first of several alternatives, with its name."""
    name = f" ({explanation.strip()})" if explanation.strip() else ""
    return f"{what}{name}" if count == 1 else f"{what} 1 of {count}{name}"


def _windowed(pixels: Pixels, center: float, width: float, kind: str, where: str) -> Pixels:
    """PS3.3 C.11.2.1.2: the ends of a LINEAR window are half a grey level inside, those of LINEAR_EXACT are not."""
    if kind == "SIGMOID":
        values = 1 / (1 + np.exp(-4 * (pixels.array.astype(np.float64) - center) / width))
        note = f"sigmoid window, center {center:g}, width {width:g}"
        return replace(pixels, array=values.astype(np.float32), range=(0.0, 1.0), notes=(*pixels.notes, note))
    if kind == "LINEAR":
        low, high = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
        if width == 1:  # a threshold: all below the center is black
            low, high = center - 1, center
    elif kind == "LINEAR_EXACT":
        low, high = center - width / 2, center + width / 2
    else:
        raise ImageError(
            f"{where}: the VOI LUT function {kind!r} is not defined in DICOM. Give window=(low, high).",
            code="voi-function-unknown",
        )
    whole = pixels.array.dtype.kind in "ui"
    limits = np.iinfo(pixels.array.dtype) if whole else None
    if limits is not None and (high < limits.min or low > limits.max):
        raise ImageError(
            f"{where}: the header's window {low:g} to {high:g} is outside of the stored type. Give window=(low, high).",
            code="window-outside-type",
        )

    return apply_window(pixels, (low, high), where)
