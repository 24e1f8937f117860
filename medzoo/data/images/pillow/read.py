"""Common picture files, read with Pillow: PNG, JPEG, TIFF, BMP, WebP, GIF. An incomplete file is an error."""

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
        ImageError: if the bytes are not a picture, are incomplete, or the range or frame is unknown.
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
                f"{where}: Pillow does not read this kind of TIFF (its bits, sample format, byte order or colours). "
                "Write it as 16-bit PNG or .npy, for example with tifffile.",
                code="tiff-kind-unsupported",
            ) from None
        raise ImageError(
            f"{where}: not an image format that medzoo reads (it begins with {data[:8]!r}).",
            code="image-format-unknown",
        ) from None
    except Exception as error:  # decoders of untrusted bytes raise anything, from OSError to IndexError
        raise ImageError(
            f"{where}: cannot be decoded ({type(error).__name__}: {error}).", code="image-undecodable"
        ) from error


def _read_jpeg(data: bytes, where: str, window: WindowChoice | None, frame: int | None) -> Pixels:
    """Read a complete JPEG stream: the main image of the file, or another one from its index."""
    stream = jpeg_stream(data)
    offsets = jpeg_offsets(data, stream) if stream.index else [0]
    number = chosen_frame(len(offsets), frame or 0, where)
    if number:
        pixels = _read_jpeg(data[offsets[number] :], where, window, None)
        return replace(pixels, notes=(f"image {number} of {len(offsets)} in the file", *pixels.notes))
    if stream.marker and (stream.bits != 8 or stream.marker not in DCT):
        raise ImageError(
            f"{where}: a JPEG of {stream.bits} bits ({stream.coding}), which picture readers do not decode. Write it as 16-bit "
            "PNG with the tool that made it, or keep it in its DICOM file.",
            code="jpeg-kind-unsupported",
        )
    _refuse_missing(stream.problem, where)
    pixels = _decoded_jpeg(without_index(data, stream), stream, where, window)
    if len(offsets) == 1:
        return pixels
    rest = "#1" if len(offsets) == 2 else f"#1 to #{len(offsets) - 1}"
    note = f"main image of {len(offsets)} in the file (a phone's preview, depth or gain map is {rest})"
    return replace(pixels, notes=(note, *pixels.notes))


def _decoded_jpeg(data: bytes, stream: JpegStream, where: str, window: WindowChoice | None) -> Pixels:
    from PIL import Image

    if stream.channels in (1, 3) and not stream.has_app1:
        return _simple_jpeg(data, stream, where, window)
    with Image.open(io.BytesIO(strict_source(data, stream))) as image:
        pixels = from_pil(image, where, window=window, frame=None)
        _refuse_missing("its last scan ends early" if differs_when_longer(data, stream, image) else "", where)
        return pixels


def _simple_jpeg(data: bytes, stream: JpegStream, where: str, window: WindowChoice | None) -> Pixels:
    """Decode grey or RGB without EXIF. Image.open is skipped: for a small image it takes longer than the decoding."""
    from PIL import Image

    mode, size = "L" if stream.channels == 1 else "RGB", (stream.width, stream.height)
    check_size(*size, where)
    try:
        decoded = Image.frombytes(mode, size, strict_source(data, stream), "jpeg", mode, "").tobytes()
    except ValueError as error:  # not enough data
        _refuse_missing(f"its scan ends early: {error}", where)
        raise
    longer = extended_source(data, stream)
    if longer is not None and Image.frombytes(mode, size, longer, "jpeg", mode, "").tobytes() != decoded:
        _refuse_missing("its last scan ends early", where)
    array = np.frombuffer(decoded, np.uint8).reshape(stream.height, stream.width, *((3,) if mode == "RGB" else ()))
    return from_array(array, where, window=window)


def _refuse_missing(problem: str, where: str) -> None:
    if problem:
        raise ImageError(
            f"{where}: cut off, or its end is damaged ({problem}). Download the file again.", code="image-cut-off"
        )


def check_opened(image: Image.Image, where: str) -> None:
    """Check that the file of an image that Pillow has opened but not read is complete.

    Args:
        image: from the user.
        where: for messages.

    Raises:
        ImageError: if a part is missing.
    """
    file = getattr(image, "fp", None)
    if file is None or not getattr(image, "tile", None):
        return
    data = b""
    with suppress(OSError, ValueError):  # a closed file: Pillow reports it
        position = file.tell()
        file.seek(0)
        data = file.read()
        file.seek(position)
    _refuse_missing(missing_from(data), where)


def _deep_png(data: bytes, image: Image.Image, where: str, window: WindowChoice | None, frame: int) -> Pixels:
    """Read a PNG of 16 bits per channel. Pillow keeps 16 bits for greys only, and 8 bits for animations."""
    frames = int(getattr(image, "n_frames", 1))
    if frames > 1:
        pixels = read_picture(png_frame(data, frame, where), where, window=window)
        return replace(pixels, notes=(f"frame {frame} of {frames}", *pixels.notes))
    if is_deep_colour(image):
        return _deep_colours(data, image, where, window)
    return from_pil(image, where, window=window, frame=None)


def _deep_colours(data: bytes, image: Image.Image, where: str, window: WindowChoice | None) -> Pixels:
    """Read a PNG of 16 bits per colour channel with torchvision, which keeps them."""
    import torch
    from torchvision.io import ImageReadMode, decode_image

    check_size(*image.size, where)
    tensor = decode_image(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.UNCHANGED)
    array = np.moveaxis(tensor.numpy(), 0, -1)
    notes: list[str] = []
    if array.shape[2] in (2, 4):
        notes.append(alpha_note(bool((array[:, :, -1] == 65535).all())))
        array = array[:, :, :-1]
    orientation = orientation_of(image, notes)
    if orientation is not None:
        array = TURNS[orientation](array)
    pixels = from_array(np.ascontiguousarray(array), where, window=window)
    return replace(pixels, notes=(*notes, *pixels.notes))
