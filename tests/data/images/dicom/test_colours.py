"""The colours of compressed DICOM frames: the stream decides, whatever PhotometricInterpretation says."""

import numpy as np
import pytest
from dicom_samples import compressed, image, written
from jpeg_samples import COLOUR, RED, encoded, named, with_adobe, without
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames

from medzoo.data.images.dicom import frames as dicom_frames
from medzoo.data.images.read import decode_bytes, read_image
from medzoo.errors import ImageError

TAGS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_RCT", "YBR_ICT")
JFIF, ADOBE = 0xE0, 0xEE


@pytest.fixture(params=["pylibjpeg", "pillow"])
def decoder(request, monkeypatch):
    monkeypatch.setattr(dicom_frames, "_DECODERS", (request.param,))


def ycc(subsampling=0, image=RED):
    """A stream of YCbCr with the JFIF marker."""
    return encoded(image, quality=95, subsampling=subsampling)


def rgb(image=RED):
    """A stream of RGB with the Adobe marker and components named R, G, B."""
    return encoded(image, quality=95, keep_rgb=True)


def read(stream, tag, syntax=uid.JPEGBaseline8Bit, frames=1, frame=None):
    header = image(RED if frames == 1 else np.stack([RED] * frames), PhotometricInterpretation=tag)
    return decode_bytes(compressed(header, [stream] * frames, syntax), "x", frame=frame)


def right(pixels, wanted=RED):
    return pixels.unit == "rgb" and np.abs(pixels.array.astype(int) - wanted).max() < 6


YCC = {
    "JFIF, 4:4:4": ycc(0), "JFIF, 4:2:2": ycc(1), "JFIF, 4:2:0": ycc(2), "bare, 4:2:2": without(ycc(1), JFIF),
    "bare, 4:2:0": without(ycc(2), JFIF), "Adobe 1, 4:4:4": with_adobe(without(ycc(0), JFIF), 1),
    "Adobe 1, 4:2:0": with_adobe(without(ycc(2), JFIF), 1), "JFIF and Adobe 1": with_adobe(ycc(2), 1),
    "names 0, 1, 2, 4:2:0": named(without(ycc(2), JFIF), bytes(range(3))),
}  # fmt: skip
RGB = {
    "Adobe 0 and names": rgb(), "names": without(rgb(), ADOBE), "Adobe 0": named(rgb(), b"\1\2\3"),
    "small names": named(without(rgb(), ADOBE), b"rgb"),
}  # fmt: skip


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("name", [*YCC, *RGB])
def test_the_stream_decides(name, tag, decoder):
    pixels = read({**YCC, **RGB}[name], tag)
    assert right(pixels)
    contradicted = (tag == "RGB") == (name in YCC)
    assert any("in the header" in note and "in the JPEG stream" in note for note in pixels.notes) == contradicted


@pytest.mark.parametrize("tag, stream", [("RGB", rgb()), ("YBR_FULL", ycc(0)), ("YBR_FULL_422", ycc(0))])
def test_a_stream_that_says_nothing_is_what_the_header_says(tag, stream, decoder):
    bare = named(without(stream, JFIF, ADOBE), b"\1\2\3")
    assert right(read(bare, tag))


@pytest.mark.parametrize(
    "stream",
    [
        with_adobe(ycc(2), 0),
        with_adobe(without(ycc(2), JFIF), 0),
        named(ycc(0), b"RGB"),
        with_adobe(without(rgb(), ADOBE), 1),
    ],
)
@pytest.mark.parametrize("tag", ["RGB", "YBR_FULL_422"])
def test_a_stream_that_contradicts_itself_is_refused(stream, tag, decoder):
    with pytest.raises(ImageError):
        read(stream, tag)


def test_every_frame_and_every_fragment(decoder):
    for frame in range(3):
        assert right(read(without(ycc(2), JFIF), "RGB", frames=3, frame=frame))
    mixed = image(np.stack([RED] * 2), PhotometricInterpretation="RGB")
    data = compressed(mixed, [rgb(), without(ycc(2), JFIF)], uid.JPEGBaseline8Bit)
    assert all(right(decode_bytes(data, "x", frame=frame)) for frame in range(2))
    header = image(RED, PhotometricInterpretation="RGB", NumberOfFrames=1)
    header.PixelData = encapsulate([ycc(1)], fragments_per_frame=4)
    header["PixelData"].VR, header["PixelData"].is_undefined_length = "OB", True
    assert right(decode_bytes(written(header, uid.JPEGBaseline8Bit), "x"))


def test_progressive_and_extended_streams(decoder):
    stream = encoded(RED, quality=95, progressive=True)
    assert right(read(without(stream, JFIF), "RGB", uid.JPEGExtended12Bit))


def test_colours_are_those_of_the_picture_beside_it(decoder):
    stream = ycc(2, COLOUR)
    header = image(COLOUR, PhotometricInterpretation="RGB")
    inside = decode_bytes(compressed(header, [without(stream, JFIF)], uid.JPEGBaseline8Bit), "x")
    outside = decode_bytes(stream, "x")
    assert np.abs(inside.array.astype(int) - outside.array).mean() < 3


def j2k(tag, transform):
    """A JPEG 2000 stream and whether it has a colour transform, tagged as asked for."""
    header = image(np.tile(RED, (2, 2, 1)))
    header.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    header.PhotometricInterpretation = "YBR_RCT" if transform else "RGB"
    header.compress(uid.JPEG2000Lossless, generate_instance_uid=False, use_mct=transform)
    stream = next(generate_frames(header.PixelData, number_of_frames=1))
    header.PhotometricInterpretation = tag
    return compressed(header, [stream], uid.JPEG2000Lossless)


@pytest.mark.parametrize("tag, transform", [("YBR_RCT", True), ("YBR_ICT", True), ("RGB", True), ("RGB", False)])
def test_jpeg_2000_is_turned_back_where_its_stream_is_transformed(tag, transform, decoder):
    assert right(decode_bytes(j2k(tag, transform), "x"), np.tile(RED, (2, 2, 1)))


@pytest.mark.parametrize("tag, transform", [("YBR_RCT", False), ("YBR_ICT", False), ("YBR_FULL", True)])
def test_jpeg_2000_whose_header_contradicts_its_stream_is_refused(tag, transform, decoder):
    with pytest.raises(ImageError):
        decode_bytes(j2k(tag, transform), "x")


def test_lossless_rgb_stays_as_it_is():
    assert read_image(get_testdata_file("SC_rgb_jpeg_gdcm.dcm", download=False)).notes == ()
