"""Convert a PIL image to pixels, and handle what Pillow turns, clips, fills or does not report.

16-bit greys never pass through `Image.convert`, which clips them at 255 (https://github.com/python-pillow/Pillow/issues/2574).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from medzoo.data.images.pixels import Pixels, check_size, from_array, grey_if_equal, inverted
from medzoo.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

    from medzoo.data.images.ct_windows import WindowChoice

_SAMPLE_FORMAT, _PHOTOMETRIC, _ORIENTATION = 339, 262, 0x0112  # TIFF and EXIF tags
_INVERTED_BY_PILLOW = ("1", "L")  # grey modes whose MinIsWhite Pillow inverts; it does not invert wider ones


def from_pil(image: Image.Image, where: str, *, window: WindowChoice | None, frame: int | None) -> Pixels:
    """The pixels of a PIL image: greys in stored precision, everything else as RGB.

    Args:
        image: just opened, or in memory.
        where: for messages.
        window: as in `read_image`.
        frame: which frame of several.

    Raises:
        ImageError: if its mode is not supported, or its range or frame is unknown.
    """
    check_size(*image.size, where)
    frames = int(getattr(image, "n_frames", 1))
    number = chosen_frame(frames, frame, where)
    if frame is not None:
        image.seek(number)
        check_size(*image.size, where)
    notes = [f"frame {frame} of {frames}"] if frames > 1 else []
    if is_deep_colour(image):
        notes.append("colour image: 16 bits per channel read as 8")
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        notes.append("no Adobe marker: inverted inks assumed, as in almost all such files")
    white_is_low = _white_is_low(image)
    image.load()
    orientation = orientation_of(image, notes)
    array = _array_of(image, where, notes)
    array = array if orientation is None else np.ascontiguousarray(TURNS[orientation](array))
    pixels = from_array(array, where, window=window)
    if white_is_low:
        pixels = inverted(pixels, "MinIsWhite, inverted")
    return replace(pixels, notes=(*notes, *pixels.notes))


def chosen_frame(frames: int, frame: int | None, where: str) -> int:
    """The frame to read, from 0; for a file with several frames it must be given."""
    if frames > 1 and frame is None:
        raise ImageError(
            f"{where}: has {frames} frames. Choose one with frame=0 to {frames - 1}. In a table, add it to the path: "
            f"#0 to #{frames - 1}.",
            code="frame-required",
        )
    if frame is not None and not 0 <= frame < frames:
        raise ImageError(f"{where}: there is no frame {frame}; the file has {frames}.", code="frame-out-of-range")
    return frame or 0


_toggle = threading.RLock()


@contextmanager
def strictly() -> Iterator[None]:
    """Turn off Pillow's LOAD_TRUNCATED_IMAGES: with it, Pillow fills the missing part of an image that is cut off."""
    from PIL import ImageFile

    if not ImageFile.LOAD_TRUNCATED_IMAGES:
        yield
        return
    with _toggle:
        before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def is_deep(image: Image.Image) -> bool:
    """Whether the channels have 16 bits."""
    modes = [
        tile[-1] if isinstance(tile[-1], str) else str(tile[-1][0]) for tile in getattr(image, "tile", ()) if tile[-1]
    ]
    return any(name.partition(";")[2].startswith("16") and not name.startswith("BGR") for name in modes)


def is_deep_colour(image: Image.Image) -> bool:
    """Whether Pillow would reduce 16 bits to 8."""
    return is_deep(image) and image.mode in ("RGB", "RGBA", "LA")


def _white_is_low(image: Image.Image) -> bool:
    """Whether 0 is white in a TIFF that Pillow does not invert (it inverts up to 8 bits)."""
    tags = getattr(image, "tag_v2", None)
    return tags is not None and tags.get(_PHOTOMETRIC) == 0 and image.mode not in _INVERTED_BY_PILLOW


TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # EXIF orientation → upright
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def orientation_of(image: Image.Image, notes: list[str]) -> int | None:
    """The EXIF orientation if it turns the image; None otherwise, also for a damaged EXIF block."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # EXIF parsers raise anything on damaged blocks
        notes.append("damaged EXIF ignored")
        return None
    if orientation not in TURNS:
        return None
    notes.append(f"EXIF orientation {orientation} applied")
    return int(orientation)


def _array_of(image: Image.Image, where: str, notes: list[str]) -> np.ndarray:
    """The array of a PIL image: greys unchanged, everything else as RGB, with notes."""
    mode = image.mode
    # Greys and RGB: no conversion by Pillow.
    if mode == "1":
        notes.append("1 bit stored as 0 and 255")
        return np.asarray(image.convert("L"))
    if mode in ("L", "I") and (signed := _as_signed(image)) is not None:
        return signed
    if mode in ("L", "RGB") and "transparency" in image.info:
        notes.append("transparent colour ignored")
    if mode in ("L", "RGB", "F") or mode.startswith("I;16"):
        return np.asarray(image)
    if mode == "I":  # 32 bits; also 16-bit PNGs of some writers, and PGMs, which Pillow scales to 16 bits
        array = np.asarray(image)
        if image.format in ("PNG", "PPM") and array.min() >= 0 and array.max() <= 65535:
            return array.astype(np.uint16)
        return array
    # Palettes, alpha and other colour spaces.
    if mode == "P":
        notes.append("palette applied")
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif mode in ("PA", "La", "RGBa"):
        image = image.convert("LA" if mode == "La" else "RGBA")
    elif mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX"):
        notes.append(f"{mode} converted to RGB")
        image = image.convert("RGB")
    if image.mode in ("LA", "RGBA"):
        array = np.asarray(image)
        notes.append(alpha_note(bool((array[:, :, -1] == 255).all())))
        return array[:, :, 0] if image.mode == "LA" else grey_if_equal(array[:, :, :3], notes)
    if image.mode == "RGB":
        return grey_if_equal(np.asarray(image), notes) if mode == "P" else np.asarray(image)
    raise ImageError(f"{where}: medzoo does not read the mode {mode}.", code="image-mode-unsupported")


def _as_signed(image: Image.Image) -> np.ndarray | None:
    """The values of a TIFF of 8 signed bits, which Pillow reads as unsigned, or of 32 unsigned ones, which it reads as signed."""
    tags = getattr(image, "tag_v2", None)
    if tags is None or _SAMPLE_FORMAT not in tags:
        return None
    sample_format = tags[_SAMPLE_FORMAT][0] if isinstance(tags[_SAMPLE_FORMAT], tuple) else tags[_SAMPLE_FORMAT]
    bits = tags.get(258, (8,))[0]
    if image.mode == "L" and sample_format == 2 and bits == 8:
        return np.asarray(image).view(np.int8)
    if image.mode == "I" and sample_format == 1 and bits == 32:
        return np.asarray(image).view(np.uint32)
    return None


def alpha_note(opaque: bool) -> str:
    """The note for a dropped alpha channel."""
    return "alpha dropped" if opaque else "alpha dropped (it was not opaque everywhere)"
