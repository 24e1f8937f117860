"""Convert stored greys of a DICOM image: modality LUT or rescale, then VOI LUT or window, and MONOCHROME1 last.

Source: DICOM PS3.3 C.7.6.3.1.2 (photometric interpretation), C.11.1 (modality LUT), C.11.2 (VOI LUT); PS3.4 N.2 (their order).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from medzoo.data.images.ct_windows import ANY, HU_SCALE
from medzoo.data.images.dicom.padding import padding_of
from medzoo.data.images.dicom.voi import apply_voi
from medzoo.data.images.pixels import Pixels, apply_window, inverted
from medzoo.data.images.rescale import rescaled, scaled_ends, usable
from medzoo.data.images.window_rules import parse_rule
from medzoo.errors import ImageError

if TYPE_CHECKING:
    from medzoo.data.images.ct_windows import WindowChoice
    from medzoo.data.images.dicom.frames import StoredFrame
    from medzoo.data.images.dicom.tags import DicomFacts, Tags

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and the multi-frame classes, .7.1 to .7.4
_AIR = (-1150, -850)  # HU; the expected peak of a CT slice's darkest values: air, with the noise of real scanners
_SAMPLE = 1 << 14  # pixels that are checked
_DARK = -500  # HU; lung and air are below, fat and water above


def grey_pixels(frame: StoredFrame, facts: DicomFacts, tags: Tags, window: WindowChoice | None, where: str) -> Pixels:
    """The pixels of a grey frame.

    Args:
        frame: (H, W) as decoded.
        facts: how they were stored.
        tags: of the frame.
        window: as in `read_image`; it replaces the header's.
        where: for messages.

    Raises:
        ImageError: if an element is missing that gives the numbers their meaning.
    """
    notes: list[str] = []
    pixels, padding = _values_and_padding(frame, facts, tags, window, where, notes)
    if pixels.unit == "HU":
        pixels = _hounsfield(pixels, padding, window, where, notes)
    else:
        known = _has_shared_scale(facts, tags, pixels.range, frame.array.dtype.kind == "f")
        pixels = apply_voi(pixels, tags, window, where, notes, range_known=known, padding=padding)
    # Inversion comes after the window. HU are not inverted.
    if facts.photometric == "MONOCHROME1":
        if pixels.unit == "HU":
            notes.append("MONOCHROME1 in a CT: HU not inverted")
        else:
            pixels = inverted(pixels, "MONOCHROME1, inverted")
    elif tags.text("PresentationLUTShape") == "INVERSE":
        notes.append("PresentationLUTShape INVERSE contradicts MONOCHROME2 and was ignored")
    # Padding is outside of the image: it gets the lowest value.
    if padding is not None:
        array = pixels.array.copy()
        array[padding] = np.ceil(pixels.range[0]) if array.dtype.kind in "ui" else pixels.range[0]
        notes.append(f"{int(padding.sum()):,} padding pixels set to the lowest value")
        pixels = replace(pixels, array=array)
    if tags.text("PresentationIntentType") == "FOR PROCESSING":
        notes.append("raw detector values (FOR PROCESSING), not made for viewing")
    return replace(pixels, notes=(*notes, *pixels.notes))


def modality_values(frame: StoredFrame, facts: DicomFacts, tags: Tags, where: str) -> np.ndarray:
    """The values of a grey frame in the unit of its modality, without its padding: the input of a window rule.

    Args:
        frame: (H, W) as decoded.
        facts: how they were stored.
        tags: of the frame.
        where: for messages.

    Returns:
        (N,)

    Raises:
        ImageError: as `grey_pixels`.
    """
    pixels, padding = _values_and_padding(frame, facts, tags, ANY, where, [])
    return pixels.array.ravel() if padding is None else pixels.array[~padding]


def _values_and_padding(
    frame: StoredFrame, facts: DicomFacts, tags: Tags, window: WindowChoice | None, where: str, notes: list[str]
) -> tuple[Pixels, np.ndarray | None]:
    """The modality values on the scale of the stored bits, and the mask of the padding."""
    values, ends, unit = _modality(frame.array, facts, tags, window, where, notes)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ImageError(f"{where}: contains NaN or infinite values.", code="pixels-not-finite")
    return Pixels(values, ends, unit), padding_of(frame, facts, tags)


def _has_shared_scale(facts: DicomFacts, tags: Tags, ends: tuple[float, float], floats: bool) -> bool:
    """Whether images of a data set share the scale of the stored bits: up to 16 bits, unsigned, no rescale per image."""
    if floats or facts.signed or facts.stored > 16:
        return False
    return ends == facts.ends or tags.text("Modality") not in ("PT", "NM")


def _modality(
    stored: np.ndarray, facts: DicomFacts, tags: Tags, window: WindowChoice | None, where: str, notes: list[str]
) -> tuple[np.ndarray, tuple[float, float], str]:
    """Convert stored values to modality values; also gives the ends of their scale, and the unit."""
    luts = tags.header.get("ModalityLUTSequence")
    if luts and stored.dtype.kind in "ui":
        table = tags.table(luts[0], signed=facts.signed, where=where)
        notes.append("modality LUT applied")
        return table.look_up(stored), table.ends, "grey"
    slope, intercept = tags.number("RescaleSlope"), tags.number("RescaleIntercept")
    ct = tags.text("Modality") == "CT"
    in_stored_values = isinstance(window, tuple) or parse_rule(window) is not None
    ends = facts.ends
    # Without a rescale, CT values are not HU: only a window in stored values makes them usable.
    if slope is None or intercept is None or not usable(slope, intercept):
        if ct and not tags.text("SOPClassUID").startswith(_SECONDARY_CAPTURE) and not in_stored_values:
            raise ImageError(
                f"{where}: CT without a usable RescaleSlope and RescaleIntercept (found {slope}, {intercept}): its numbers "
                "are not HU. Add both to the file, or give window=(low, high) in stored values.",
                code="ct-rescale-missing",
            )
        if ct:
            notes.append("CT without rescale: stored values, not HU")
        elif (slope, intercept) != (None, None):
            notes.append(f"incomplete rescale (slope {slope}, intercept {intercept}) ignored")
        return stored, ends, "grey"
    if (slope, intercept) != (1, 0):
        notes.append(f"rescale: slope {slope:g}, intercept {intercept:g}")
    kind = tags.text("RescaleType").upper()
    unit = "HU" if ct and kind in ("", "HU") else "grey"
    if ct and unit == "grey":
        notes.append(f"rescale type {kind}, not HU")
    return rescaled(stored, slope, intercept, ends), scaled_ends(ends, slope, intercept), unit


def _hounsfield(
    pixels: Pixels, padding: np.ndarray | None, window: WindowChoice | None, where: str, notes: list[str]
) -> Pixels:
    """Clip HU to the 12-bit scale, or to a window; adds a note where air has unexpected values."""
    _check_air(pixels.array, padding, notes)
    if window is not None and window != "full":
        return apply_window(pixels, window, where, padding=padding)
    low, high = HU_SCALE
    if pixels.array.min() < low or pixels.array.max() > high:
        beyond = (pixels.array < low) | (pixels.array > high)
        count = int((beyond if padding is None else beyond & ~padding).sum())
        if count:
            notes.append(f"{count:,} values outside {low:g} to {high:g} HU clipped")
    if pixels.array.dtype.kind in "ui":
        array = np.clip(pixels.array, int(low), int(high)).astype(np.int16)
    else:
        array = np.clip(pixels.array, low, high)
    return replace(pixels, array=array, range=HU_SCALE)


def _check_air(array: np.ndarray, padding: np.ndarray | None, notes: list[str]) -> None:
    """Add a note to a CT whose air is not near -1000 HU: a sign of a lost or doubled intercept."""
    step = max(array.size // _SAMPLE, 1)
    values = array.ravel()[::step]
    if padding is not None:
        values = values[~padding.ravel()[::step]]
    if not values.size:
        return
    dark = values[values < _DARK]
    if dark.size < values.size / 100:
        lowest = float((array if padding is None else array[~padding]).min())
        notes.append(f"no air in this CT: its lowest value is {lowest:g} HU")
        return
    counts, edges = np.histogram(dark, bins=max(int((_DARK - float(dark.min())) // 50), 1))
    peak = int(counts.argmax())
    middle = float(edges[peak] + edges[peak + 1]) / 2
    if not _AIR[0] <= middle <= _AIR[1]:
        notes.append(f"air expected near -1000 HU, found near {middle:.0f}")
