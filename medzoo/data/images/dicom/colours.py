"""The colours of a compressed DICOM frame. The stream decides: many headers still describe the image before compression.

Source: DICOM PS3.5 8.2.1, 8.2.4; https://www.w3.org/Graphics/JPEG/jfif3.pdf; Adobe TN 5116, 18; ITU-T T.800 A.6.1.
"""

from __future__ import annotations

from typing import NamedTuple

from medzoo.data.images.jpeg_header import component_transform
from medzoo.data.images.jpeg_markers import DCT, JpegStream, jpeg_stream
from medzoo.errors import ImageError

_RGB_IDS = (tuple(b"RGB"), tuple(b"rgb"))
_NO_TRANSFORM = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0"  # an Adobe marker: do not transform the components


class Colours(NamedTuple):
    """How to decode a colour frame.

    Args:
        data: the stream; decoders do not transform its components.
        photometric: photometric interpretation of these components.
        note: set where the header differs from the stream.
    """

    data: bytes
    photometric: str
    note: str = ""


def colours_of(data: bytes, header: str, where: str) -> Colours:
    """The colour space of a stream of three components.

    Args:
        data: a JPEG, JPEG-LS or JPEG 2000 stream.
        header: photometric interpretation in the header.
        where: for messages.

    Raises:
        ImageError: if the stream contradicts itself, or contradicts the header.
    """
    if header != "RGB" and not header.startswith("YBR_"):
        return Colours(data, header)
    if not data.startswith(b"\xff\xd8"):
        return _of_jpeg_2000(data, header, where)
    stream = jpeg_stream(data)
    if stream.marker not in DCT:  # lossless streams do not transform colours
        return Colours(data, header)
    claims = _claims(stream)
    if len(set(claims.values())) > 1:
        conflict = ", ".join(f"{colours} ({sign})" for sign, colours in claims.items())
        raise ImageError(
            f"{where}: the JPEG stream contradicts itself about its colours: {conflict}. Encode the image again.",
            code="jpeg-colours-contradict",
        )
    colours = next(iter(claims.values()), "YCbCr" if header.startswith("YBR_") else "RGB")
    note = ""
    if colours != ("RGB" if header == "RGB" else "YCbCr"):
        action = "not converted" if colours == "RGB" else "converted to RGB"
        note = f"{header} in the header, {colours} in the JPEG stream ({', '.join(claims)}): {action}"
    return Colours(_without_transform(data), "RGB" if colours == "RGB" else "YBR_FULL", note)


def _claims(stream: JpegStream) -> dict[str, str]:
    """What each marker or field of a stream says about its colours."""
    claims = {}
    if stream.adobe is not None:
        claims["Adobe marker"] = "YCbCr" if stream.adobe else "RGB"
    if stream.jfif:
        claims["JFIF marker"] = "YCbCr"
    if stream.ids in _RGB_IDS:
        claims["component names"] = "RGB"
    elif len(set(stream.sampling)) > 1:  # encoders subsample chroma, never the channels of RGB
        claims["sampling factors"] = "YCbCr"
    return claims


def _without_transform(data: bytes) -> bytes:
    """The stream with one colour marker only: an Adobe marker that stops decoders from converting colours."""
    pieces, at = [data[:2], _NO_TRANSFORM], 2
    while data[at : at + 2] != b"\xff\xda":
        if data[at] != 0xFF or data[at + 1] in (0, 0xFF):  # bytes between segments
            at += 1
            continue
        behind = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if (data[at + 1], data[at + 4 : at + 9]) not in ((0xE0, b"JFIF\0"), (0xEE, b"Adobe")):
            pieces.append(data[at:behind])
        at = behind
    return b"".join([*pieces, data[at:]])


def _of_jpeg_2000(data: bytes, header: str, where: str) -> Colours:
    transformed = component_transform(data)
    if transformed is None:
        return Colours(data, header)
    if header in ("YBR_RCT", "YBR_ICT") and not transformed:
        raise ImageError(
            f"{where}: the header says {header}, but the JPEG 2000 stream has no such transform. The components may be RGB or "
            "YCbCr. Correct PhotometricInterpretation (0028,0004), for example with pydicom.",
            code="jpeg2000-transform-missing",
        )
    if header not in ("RGB", "YBR_RCT", "YBR_ICT") and transformed:
        raise ImageError(
            f"{where}: the header says {header}, but the JPEG 2000 stream is transformed from RGB. Correct "
            "PhotometricInterpretation (0028,0004), for example with pydicom: YBR_RCT or YBR_ICT.",
            code="jpeg2000-transform-undeclared",
        )
    return Colours(data, header)
