"""The colours of a compressed DICOM frame: its stream decides, since headers often stay as they were before compression.

Source: DICOM PS3.5 8.2.1, 8.2.4; https://www.w3.org/Graphics/JPEG/jfif3.pdf; Adobe TN 5116, 18; ITU-T T.800 A.6.1.
"""

from __future__ import annotations

from typing import NamedTuple

from medzoo.data.images.jpeg_header import component_transform
from medzoo.data.images.jpeg_markers import DCT, JpegStream, jpeg_stream
from medzoo.errors import ImageError

_RGB_IDS = (tuple(b"RGB"), tuple(b"rgb"))
_NO_TRANSFORM = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0"  # an Adobe marker: components are as they were compressed


class Colours(NamedTuple):
    """How to decode a frame of colour.

    Args:
        data: the stream, which any decoder leaves in its own components.
        photometric: of these components.
        note: where the header said otherwise.
    """

    data: bytes
    photometric: str
    note: str = ""


def colours_of(data: bytes, stated: str, where: str) -> Colours:
    """What the components of a stream of three components are.

    Args:
        data: a JPEG, JPEG-LS or JPEG 2000 stream.
        stated: photometric interpretation of the header.
        where: for messages.

    Raises:
        ImageError: if the stream contradicts itself, or says less than the header needs.
    """
    if stated != "RGB" and not stated.startswith("YBR_"):
        return Colours(data, stated)
    if not data.startswith(b"\xff\xd8"):
        return _of_jpeg_2000(data, stated, where)
    found = jpeg_stream(data)
    if found.marker not in DCT:  # lossless streams have no transform of their own
        return Colours(data, stated)
    claims = _claims(found)
    if len(set(claims.values())) > 1:
        said = ", ".join(f"{colours} by its {sign}" for sign, colours in claims.items())
        raise ImageError(
            f"{where}: its JPEG stream contradicts itself about its colours: {said}. Encode the image again."
        )
    colours = next(iter(claims.values()), "YCbCr" if stated.startswith("YBR_") else "RGB")
    note = ""
    if colours != ("RGB" if stated == "RGB" else "YCbCr"):
        done = "not converted" if colours == "RGB" else "converted to RGB"
        note = f"{stated} in the header, {colours} in the JPEG stream ({', '.join(claims)}): {done}"
    return Colours(_plain(data), "RGB" if colours == "RGB" else "YBR_FULL", note)


def _claims(found: JpegStream) -> dict[str, str]:
    """What each sign in a stream says of its colours."""
    named = found.ids in _RGB_IDS
    claims = {}
    if found.adobe is not None:
        claims["Adobe marker"] = "YCbCr" if found.adobe else "RGB"
    if found.jfif:
        claims["JFIF marker"] = "YCbCr"
    if named:
        claims["component names"] = "RGB"
    elif len(set(found.sampling)) > 1:  # nobody takes fewer samples of blue than of red
        claims["sampling factors"] = "YCbCr"
    return claims


def _plain(data: bytes) -> bytes:
    """The stream with one marker about colours: an Adobe marker that keeps decoders from converting."""
    kept, at = [data[:2], _NO_TRANSFORM], 2
    while data[at : at + 2] != b"\xff\xda":
        if data[at] != 0xFF or data[at + 1] in (0, 0xFF):  # bytes between segments
            at += 1
            continue
        behind = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if (data[at + 1], data[at + 4 : at + 9]) not in ((0xE0, b"JFIF\0"), (0xEE, b"Adobe")):
            kept.append(data[at:behind])
        at = behind
    return b"".join([*kept, data[at:]])


def _of_jpeg_2000(data: bytes, stated: str, where: str) -> Colours:
    transformed = component_transform(data)
    if transformed is None:
        return Colours(data, stated)
    if stated in ("YBR_RCT", "YBR_ICT") and not transformed:
        raise ImageError(
            f"{where}: its header says {stated}, and its JPEG 2000 stream has no such transform, so nothing says whether its "
            "components are RGB or YCbCr. Correct PhotometricInterpretation (0028,0004), for example with pydicom."
        )
    if stated not in ("RGB", "YBR_RCT", "YBR_ICT") and transformed:
        raise ImageError(
            f"{where}: its header says {stated}, and its JPEG 2000 stream is transformed from RGB. Correct "
            "PhotometricInterpretation (0028,0004), for example with pydicom: YBR_RCT or YBR_ICT."
        )
    return Colours(data, stated)
