"""Everyday picture files through Pillow: PNG, JPEG, TIFF, BMP, WebP, GIF. A file of which a part is missing is refused."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from medzoo.data.images.jpeg_markers import DCT, JpegStream, extended_source, jpeg_stream, strict_source
from medzoo.data.images.pillow.convert import (
    TURNS,
    alpha_note,
    chosen_frame,
    from_pil,
    is_deep,
    is_deep_colour,
    orientation_of,
    strictly,
)
from medzoo.data.images.pillow.frames import jpeg_offsets, png_frame, without_index
from medzoo.data.images.pillow.pnm import pnm_header, read_pnm
from medzoo.data.images.pillow.truncation import JPEG, differs_when_longer, missing_from, missing_from_tiff
from medzoo.data.images.pixels import Pixels, check_size, from_array
from medzoo.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

    from medzoo.data.images.ct_windows import WindowChoice


def read_picture(data: bytes, where: str, *, window: WindowChoice | None = None, frame: int | None = None) -> Pixels:
    """Decode the bytes of a picture.

    Args:
        data: the encoded picture.
        where: for messages.
        window: as in `read_image`.
        frame: as in `read_image`.

    Raises:
        ImageError: if the bytes are no picture, or not readable without a guess.
    """
    from PIL import Image, ImageFile

    try:
        if data.startswith(JPEG) and not ImageFile.LOAD_TRUNCATED_IMAGES:
            return _read_jpeg(data, where, window, frame)
        with strictly():
            if data.startswith(JPEG):
                return _read_jpeg(data, where, window, frame)
            header = pnm_header(data) if data.startswith(b"P") else None
            if header is not None and header.highest != 255:
                chosen_frame(1, frame, where)
                return read_pnm(data, header, where, window=window)
            _refuse_missing(missing_from(data), where)
            with Image.open(io.BytesIO(data)) as image:
                number = chosen_frame(int(getattr(image, "n_frames", 1)), frame, where)
                if image.format == "PNG" and is_deep(image):
                    return _deep_png(data, image, where, window, number)
                if image.format == "TIFF":
                    image.seek(number)
                    _refuse_missing(missing_from_tiff(data, image), where)
                return from_pil(image, where, window=window, frame=frame)
    except ImageError:
        raise
    except Image.UnidentifiedImageError:
        if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
            raise ImageError(
                f"{where}: is a TIFF of a kind that Pillow does not read (its bits, sample format, byte order or colours). "
                "Write it as 16-bit PNG or .npy, for example with tifffile."
            ) from None
        raise ImageError(f"{where}: is no image that medzoo knows (it begins with {data[:8]!r}).") from None
    except Exception as error:  # decoders of untrusted bytes raise anything, from OSError to IndexError
        raise ImageError(f"{where}: cannot be decoded ({type(error).__name__}: {error}).") from error


def _read_jpeg(data: bytes, where: str, window: WindowChoice | None, frame: int | None) -> Pixels:
    """A JPEG whose stream is whole: the main image of the file, or another one that its index lists."""
    found = jpeg_stream(data)
    offsets = jpeg_offsets(data, found) if found.several else [0]
    number = chosen_frame(len(offsets), frame or 0, where)
    if number:
        pixels = _read_jpeg(data[offsets[number] :], where, window, None)
        return replace(pixels, notes=(f"image {number} of {len(offsets)} in the file", *pixels.notes))
    if found.marker and (found.bits != 8 or found.marker not in DCT):
        raise ImageError(
            f"{where}: is a JPEG of {found.bits} bits ({found.coding}), which picture readers do not decode. Write it as 16-bit "
            "PNG with the tool that made it, or keep it inside its DICOM file."
        )
    _refuse_missing(found.problem, where)
    pixels = _decoded_jpeg(without_index(data, found), found, where, window)
    if len(offsets) == 1:
        return pixels
    rest = "#1" if len(offsets) == 2 else f"#1 to #{len(offsets) - 1}"
    note = f"main image of {len(offsets)} in the file (a phone's preview, depth or gain map is {rest})"
    return replace(pixels, notes=(note, *pixels.notes))


def _decoded_jpeg(data: bytes, found: JpegStream, where: str, window: WindowChoice | None) -> Pixels:
    from PIL import Image

    if found.channels in (1, 3) and not found.notes:
        return _plain_jpeg(data, found, where, window)
    with Image.open(io.BytesIO(strict_source(data, found))) as image:
        pixels = from_pil(image, where, window=window, frame=None)
        _refuse_missing("its last scan ends early" if differs_when_longer(data, found, image) else "", where)
        return pixels


def _plain_jpeg(data: bytes, found: JpegStream, where: str, window: WindowChoice | None) -> Pixels:
    """Grey or colour that nothing turns: decoded alone, since Pillow reads a header for longer than it decodes a small image."""
    from PIL import Image

    mode, size = "L" if found.channels == 1 else "RGB", (found.width, found.height)
    check_size(*size, where)
    try:
        shown = Image.frombytes(mode, size, strict_source(data, found), "jpeg", mode, "").tobytes()
    except ValueError as error:  # not enough data
        _refuse_missing(f"its scan ends early: {error}", where)
        raise
    longer = extended_source(data, found)
    if longer is not None and Image.frombytes(mode, size, longer, "jpeg", mode, "").tobytes() != shown:
        _refuse_missing("its last scan ends early", where)
    array = np.frombuffer(shown, np.uint8).reshape(found.height, found.width, *((3,) if mode == "RGB" else ()))
    return from_array(array, where, window=window)


def _refuse_missing(problem: str, where: str) -> None:
    if problem:
        raise ImageError(
            f"{where}: cannot be decoded: it is cut off, or its tail is lost or damaged ({problem}). Fetch the file again."
        )


def check_opened(image: Image.Image, where: str) -> None:
    """Refuse an image that Pillow has opened and not yet read, where a part of its file is missing.

    Args:
        image: of the user's.
        where: for messages.

    Raises:
        ImageError: if something is missing.
    """
    file = getattr(image, "fp", None)
    if file is None or not getattr(image, "tile", None):
        return
    data = b""
    with suppress(OSError, ValueError):  # of a closed file, which Pillow names
        place = file.tell()
        file.seek(0)
        data = file.read()
        file.seek(place)
    _refuse_missing(missing_from(data), where)


def _deep_png(data: bytes, image: Image.Image, where: str, window: WindowChoice | None, frame: int) -> Pixels:
    """A PNG of 16 bits a channel, of which Pillow keeps greys alone, and of an animation 8 bits."""
    frames = int(getattr(image, "n_frames", 1))
    if frames > 1:
        pixels = read_picture(png_frame(data, frame, where), where, window=window)
        return replace(pixels, notes=(f"frame {frame} of {frames}", *pixels.notes))
    if is_deep_colour(image):
        return _deep_colours(data, image, where, window)
    return from_pil(image, where, window=window, frame=None)


def _deep_colours(data: bytes, image: Image.Image, where: str, window: WindowChoice | None) -> Pixels:
    """A PNG of 16 bits a colour channel, which torchvision keeps."""
    import torch
    from torchvision.io import ImageReadMode, decode_image

    check_size(*image.size, where)
    stored = decode_image(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.UNCHANGED)
    array = np.moveaxis(stored.numpy(), 0, -1)
    notes: list[str] = []
    if array.shape[2] in (2, 4):
        notes.append(alpha_note(bool((array[:, :, -1] == 65535).all())))
        array = array[:, :, :-1]
    turned = orientation_of(image, notes)
    if turned is not None:
        array = TURNS[turned](array)
    pixels = from_array(np.ascontiguousarray(array), where, window=window)
    return replace(pixels, notes=(*notes, *pixels.notes))
