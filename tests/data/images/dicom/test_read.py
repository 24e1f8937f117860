"""What the numbers of a DICOM file mean: rescale, VOI, inversion, HU, padding, spacing, ids, frames."""

import subprocess
import sys

import numpy as np
import pytest
from dicom_samples import RAMP, image, lut, window, written
from expect import raises
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

import medzoo
from medzoo.data.images.dicom.lookup_tables import table_of
from medzoo.data.images.read import decode_bytes, read_image
from medzoo.errors import ImageError

EIGHT = (RAMP // 16).astype(np.uint8)


def read(header, **options):
    return decode_bytes(written(header), "x", **options)


def unit(pixels):
    low, high = pixels.range
    return (pixels.array.astype(float) - low) / (high - low)


def test_four_files_of_one_image_give_equal_pixels():
    """Plain; inverted; through slope, intercept and window; through a VOI LUT, inverted."""
    table = lut(4095 - np.arange(4096), bits=12)
    files = [
        image(RAMP, bits=12),
        image(4095 - RAMP, bits=12, PhotometricInterpretation="MONOCHROME1"),
        image(RAMP + 500, RescaleSlope=2, RescaleIntercept=-1000, **window(4095.5, 8191)),
        image(RAMP, bits=12, PhotometricInterpretation="MONOCHROME1", VOILUTSequence=Sequence([table])),
    ]
    read_all = [read(header) for header in files]
    for pixels in read_all:
        assert np.allclose(unit(pixels), RAMP / 4095, atol=1e-9)
    for number in (0, 1, 3):
        assert (read_all[number].array == RAMP).all() and read_all[number].range == (0, 4095)
    assert read_all[0].notes == () and read_all[1].notes == ("MONOCHROME1, inverted",)
    assert read_all[2].notes == ("rescale: slope 2, intercept -1000", "window of the header", "window 0 to 8190")
    assert read_all[3].notes == ("VOI LUT", "MONOCHROME1, inverted")


def test_inversion_comes_after_the_window():
    pixels = read(image(RAMP, bits=12, PhotometricInterpretation="MONOCHROME1", **window(1000, 401)))
    assert pixels.range == (799.5, 1199.5)
    assert (pixels.array == 1999 - np.clip(RAMP, 800, 1199)).all() and pixels.notes[-1] == "MONOCHROME1, inverted"


def test_an_inversion_below_zero_gets_a_signed_type():
    pixels = read(image(EIGHT, PhotometricInterpretation="MONOCHROME1"), window=(-100, 200))
    assert pixels.array.dtype == np.int16 and (pixels.array == 100 - np.clip(EIGHT.astype(int), 0, 200)).all()


def test_the_first_of_several_windows_is_taken_and_named():
    pixels = read(
        image(RAMP, bits=12, **window([2048, 600], [4096, 100], WindowCenterWidthExplanation=["NORMAL", "HARD"]))
    )
    assert pixels.range == (0, 4095) and pixels.notes[0] == "window of the header 1 of 2 (NORMAL)"


@pytest.mark.parametrize(
    "kind, low, high", [("LINEAR", 799.5, 1199.5), ("LINEAR_EXACT", 799.5, 1200.5), (None, 799.5, 1199.5)]
)
def test_kinds_of_windows(kind, low, high):
    pixels = read(image(RAMP, bits=12, VOILUTFunction=kind, **window(1000, 401)))
    assert pixels.range == (low, high) and pixels.array.dtype == np.uint16


def test_a_sigmoid_window_and_an_unknown_one():
    pixels = read(image(RAMP, bits=12, VOILUTFunction="SIGMOID", **window(2048, 1000)))
    assert pixels.range == (0, 1) and pixels.array.dtype == np.float32
    assert np.allclose(pixels.array, 1 / (1 + np.exp(-4 * (RAMP.astype(float) - 2048) / 1000)))
    with raises(ImageError, "voi-function-unknown"):
        read(image(RAMP, bits=12, VOILUTFunction="CUBIC", **window(2048, 1000)))


def test_a_window_of_no_width_is_ignored_with_a_note():
    pixels = read(image(RAMP, bits=12, **window(128, 0)))
    assert pixels.range == (0, 4095) and "its width is 0" in pixels.notes[0]


def test_a_window_that_shows_nothing_is_noted():
    assert "contains none of the values" in str(read(image(RAMP + 2000, **window(100, 50))).notes)


def test_my_window_takes_the_place_of_the_header_s():
    header = image(RAMP, bits=12, **window(1000, 401))
    pixels = read(header, window=(10, 3000))
    assert pixels.range == (10, 3000) and pixels.notes == ("window 10 to 3000",)
    assert read(header, window="full").range == (0, 4095)


def test_a_modality_table_comes_before_the_window():
    table = lut([100 + 3 * n for n in range(300)], first=10)
    pixels = read(image(EIGHT, ModalityLUTSequence=Sequence([table]), **window(400, 400)))
    assert (pixels.array == np.clip(100 + 3 * np.clip(EIGHT.astype(int) - 10, 0, 299), 200, 599)).all()
    assert pixels.notes[0] == "modality LUT applied"
    assert read(image(EIGHT, ModalityLUTSequence=Sequence([table])), window="full").range == (0, 1023)


def test_a_voi_table_of_more_entries_than_its_entries_can_count():
    """4,096 entries of 8 bits, for a signed image: pydicom's own lookup wraps round here."""
    table = lut(np.arange(4096) // 16, first=-2000 % 65536, bits=8)
    stored = RAMP.astype(np.int16) - 2000
    pixels = read(image(stored, VOILUTSequence=Sequence([table])))
    assert (pixels.array == RAMP // 16).all() and pixels.range == (0, 255) and pixels.array.dtype == np.uint8


def test_a_table_that_is_cut_is_an_error():
    table = lut(np.arange(100))
    table.LUTDescriptor = [4096, 0, 16]
    with raises(ImageError, "lookup-table-too-short", match="4,096 .* 100"):
        read(image(RAMP, VOILUTSequence=Sequence([table])))


@pytest.mark.parametrize("descriptor, data, cause", [
    ((0, 0), [1], "lookup-table-descriptor-invalid"),
    ((3, 0, 16), [1, 2], "lookup-table-too-short"),
    ((3, 0, 16), None, "lookup-table-too-short"),
    ((0, 0, 16), b"", "lookup-table-too-short"),
    ((-2, 0, 16), b"", "lookup-table-too-short"),
    ((2, 0, 16), [1, -1], "lookup-table-entry-outside-16-bits"),
    ((2, 0, 16), [1, 65536], "lookup-table-entry-outside-16-bits"),
])  # fmt: skip
def test_each_defect_of_a_table_has_its_own_code(descriptor, data, cause):
    with raises(ImageError, cause, match="here"):
        table_of(descriptor, data, little=True, signed=False, where="here")
    assert len(table_of((2, 0, 16), [1, 2, -1], little=True, signed=False, where="here").entries) == 2


@pytest.mark.parametrize("dtype, intercept", [(np.uint16, -1024), (np.int16, 0), (np.int16, -1024)])
def test_ct_phantom_is_in_hounsfield_units(dtype, intercept):
    """Air -1000, lung -800, fat -100, water 0, bone 700 as rectangles, stored in each of the usual ways."""
    phantom = np.kron(np.array([[-1000, -1000, -800], [-100, 0, 700]]), np.ones((6, 7), int))
    pixels = read(image((phantom - intercept).astype(dtype), modality="CT", RescaleIntercept=intercept))
    assert (pixels.array == phantom).all() and pixels.array.dtype == np.int16
    assert pixels.unit == "HU" and pixels.range == (-1024, 3071) and not any("air" in note for note in pixels.notes)
    lung = read(image((phantom - intercept).astype(dtype), modality="CT", RescaleIntercept=intercept), window="lung")
    assert lung.range == (-1350, 150) and (lung.array == np.clip(phantom, -1350, 150)).all() and lung.unit == "HU"
    assert lung.notes[-1] == "window lung, -1350 to 150"


def test_air_in_the_wrong_place_is_noted():
    body = np.kron(np.array([[-1000, 40], [40, -1000]]), np.ones((8, 8), int))
    twice = read(image((body - 1024 + 1024).astype(np.int16), modality="CT", RescaleIntercept=-1024))
    assert "air expected near -1000 HU, found near -20" in str(twice.notes)  # the intercept was in the values already
    never = read(image((body + 1024).astype(np.uint16), modality="CT", RescaleIntercept=0))
    assert "no air in this CT: its lowest value is 24 HU" in never.notes


def test_fractional_slopes_give_floats_and_whole_ones_whole_numbers():
    half = read(image(RAMP.astype(np.int16), modality="CT", RescaleSlope=0.5))
    assert half.array.dtype == np.float32 and np.allclose(half.array, np.clip(RAMP * 0.5 - 1024, -1024, 3071))
    whole = read(image(RAMP, RescaleSlope=2, RescaleIntercept=-4096), window="full")
    assert whole.array.dtype == np.int32 and whole.range == (-4096, 126974)


def test_values_beyond_the_scale_of_ct_are_clipped_and_counted():
    stored = np.array([[0, 1000], [5000, 30000]], np.int16)
    pixels = read(image(stored, modality="CT"))
    assert (
        pixels.array.tolist() == [[-1024, -24], [3071, 3071]]
        and "2 values outside -1024 to 3071 HU clipped" in pixels.notes
    )
    assert read(image(stored, modality="CT"), window=(-1024, 32767)).array.max() == 28976


@pytest.mark.parametrize("missing", ["RescaleSlope", "RescaleIntercept"])
def test_ct_without_rescale_is_an_error_with_a_way_on(missing):
    with raises(ImageError, "ct-rescale-missing"):
        read(image(RAMP, modality="CT", **{missing: None}))
    with raises(ImageError, "ct-rescale-missing", match="CT without"):
        read(image(RAMP, modality="CT", **{missing: None}), window="lung")
    pixels = read(image(RAMP, modality="CT", **{missing: None}), window=(0, 4000))
    assert pixels.unit == "grey" and pixels.notes[0] == "CT without rescale: stored values, not HU"


def test_a_screenshot_of_ct_is_a_picture():
    header = image(
        EIGHT, modality="CT", RescaleSlope=None, RescaleIntercept=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.7"
    )
    pixels = read(header)
    assert pixels.unit == "grey" and pixels.range == (0, 255) and "not HU" in pixels.notes[0]


def test_other_rescale_types_and_monochrome1_of_ct():
    assert read(image(RAMP, modality="CT", RescaleType="US")).unit == "grey"
    pixels = read(image(RAMP, modality="CT", PhotometricInterpretation="MONOCHROME1"))
    assert (pixels.array == RAMP.astype(int) - 1024).all() and "HU not inverted" in str(pixels.notes)


def test_a_named_window_is_for_hu_alone():
    with raises(ImageError, "window-needs-hu"):
        read(image(RAMP, bits=12), window="lung")
    with raises(medzoo.errors.UsageError, "unknown-window"):
        read(image(RAMP, modality="CT"), window="lungs")


def test_missing_photometric_interpretation_says_how_to_go_on():
    with raises(ImageError, "photometric-missing"):
        read(image(RAMP, PhotometricInterpretation=None))
    with raises(ImageError, "pixel-representation-missing"):
        read(image(RAMP, PixelRepresentation=None))
    with raises(ImageError, "dicom-header-incomplete"):
        read(image(RAMP, Rows=None))


@pytest.mark.parametrize("changes", [{"Rows": 0}, {"BitsStored": 17}, {"BitsAllocated": 12}, {"SamplesPerPixel": 4},
                                     {"HighBit": 3}, {"PixelRepresentation": 2}])  # fmt: skip
def test_impossible_headers(changes):
    with raises(ImageError, "dicom-header-invalid"):
        read(image(RAMP, **changes))


def test_signed_values_without_a_window_have_no_known_range():
    signed = image(RAMP.astype(np.int16), modality="MR")
    with raises(ImageError, "pixel-range-unknown"):
        read(signed)
    assert read(signed, window=(0, 1500)).range == (0, 1500)
    assert read(signed, window="full").range == (-32768, 32767)
    with raises(ImageError, "pixel-range-unknown", match="PT in float32"):  # each slice has a slope of its own
        read(image(RAMP, modality="PT", RescaleSlope=0.37, RescaleIntercept=0))


def test_padding_is_black_whatever_it_is_stored_as():
    stored = RAMP.astype(np.int16)
    stored[0, :5] = -2000
    for value in (-2000, 63536):
        header = image(stored, modality="CT")
        header.add_new("PixelPaddingValue", "US" if value > 0 else "SS", value)
        pixels = read(header)
        assert (pixels.array[0, :5] == -1024).all() and pixels.array[1, 1] == stored[1, 1] - 1024
        assert "5 padding pixels set to the lowest value" in pixels.notes and not any(
            "clipped" in n for n in pixels.notes
        )
    film = EIGHT.copy()
    film[:, 0] = 0  # filling that MONOCHROME1 would turn white
    header = image(film, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=0, PixelPaddingRangeLimit=2)
    header["PixelPaddingValue"].VR = header["PixelPaddingRangeLimit"].VR = "US"
    pixels = read(header)
    assert (pixels.array[:, 0] == 0).all() and (pixels.array[film > 2] == 255 - film[film > 2]).all()


def test_bits_above_the_stored_ones_are_dropped():
    with_overlay = RAMP | np.uint16(0x8000)
    pixels = read(image(with_overlay, bits=12))
    assert (pixels.array == RAMP).all() and pixels.notes == ("bits above the 12 stored ones dropped",)
    negative = (RAMP.astype(np.int16) - 2048) & 0x0FFF
    assert (
        read(image(negative, bits=12, modality="CT", RescaleIntercept=0)).array
        == np.maximum(RAMP.astype(int) - 2048, -1024)
    ).all()
    left = read(image(RAMP << 4, bits=12, HighBit=15))
    assert (left.array == RAMP).all() and left.notes == ("pixels are stored in bits 4 to 15",)


def test_overlays_are_noted():
    header = image(EIGHT)
    header.add_new((0x6000, 0x0010), "US", 12)
    header.add_new((0x6000, 0x3000), "OW", b"\0" * 30)
    assert read(header).notes == ("overlay not drawn",)


def test_palette_colours_and_a_palette_of_greys():
    def palette(header, red, green, blue, bits=8):
        header.PhotometricInterpretation = "PALETTE COLOR"
        for name, entries in (("Red", red), ("Green", green), ("Blue", blue)):
            setattr(header, f"{name}PaletteColorLookupTableDescriptor", [len(entries), 0, bits])
            data = np.asarray(entries, np.uint8 if bits == 8 else "<u2").tobytes()
            setattr(header, f"{name}PaletteColorLookupTableData", data)
            header[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
        return header

    up, down = np.arange(256), np.arange(256)[::-1]
    colour = read(palette(image(EIGHT), up, down, up // 2))
    assert (colour.array == np.stack([EIGHT, 255 - EIGHT, EIGHT // 2], -1)).all() and colour.notes == (
        "palette applied",
    )
    grey = read(palette(image(EIGHT), up, up, up))
    assert (
        (grey.array == EIGHT).all() and grey.unit == "grey" and grey.notes[1] == "three equal channels reduced to one"
    )
    deep = read(palette(image(EIGHT), up * 257, down * 257, up, bits=16))
    assert (
        deep.array.dtype == np.uint16
        and deep.range == (0, 65535)
        and (deep.array[..., 0] == EIGHT * np.uint16(257)).all()
    )


def test_spacing_and_ids():
    pixels = read(image(RAMP, PixelSpacing=[0.3, 0.7]))
    assert pixels.spacing_mm == (0.3, 0.7) and (pixels.patient_id, pixels.series_id) == ("P1", "1.2.3")
    film = read(image(RAMP, ImagerPixelSpacing=[0.143, 0.143], PatientID=""))
    assert film.spacing_mm == (0.143, 0.143) and "at the detector" in film.notes[0] and film.patient_id is None
    assert read(image(RAMP)).spacing_mm is None
    ct = read(image(RAMP, modality="CT", PixelSpacing=None))
    assert ct.spacing_mm is None and "no usable PixelSpacing: spacing unknown" in ct.notes


def test_frames_need_a_choice():
    header = image(np.stack([RAMP, RAMP + 1, RAMP + 2]), bits=13)
    with raises(ImageError, "frame-required"):
        read(header)
    pixels = read(header, frame=2)
    assert (pixels.array == RAMP + 2).all() and pixels.notes == ("frame 2 of 3",)
    for wrong in (3, -1, (0, 1), True, "first"):
        with pytest.raises(ImageError):
            read(header, frame=wrong)
    volume = read(header, frame="all")
    assert volume.array.shape == (3, 12, 20) and volume.spacing_mm is None
    with raises(ImageError, "colour-volume-unsupported"):
        read(image(np.zeros((2, 4, 5, 3), np.uint8)), frame="all")
    assert read(image(np.zeros((2, 4, 5, 3), np.uint8)), frame=1).array.shape == (4, 5, 3)


def enhanced(positions, slopes=None):
    """An enhanced CT: each frame says by itself where it lies and how it is rescaled."""
    header = image(
        np.stack([RAMP] * len(positions)), modality="CT", RescaleSlope=None, RescaleIntercept=None, PixelSpacing=None
    )
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, orientation.ImageOrientationPatient = [0.5, 0.6], [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([orientation])
    header.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for number, height in enumerate(positions):
        own, place, scale = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, height]
        scale.RescaleSlope, scale.RescaleIntercept, scale.RescaleType = (slopes or [1] * 9)[number], -1024, "HU"
        own.PlanePositionSequence, own.PixelValueTransformationSequence = Sequence([place]), Sequence([scale])
        frames.append(own)
    header.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return header


def test_enhanced_files_say_it_for_each_frame():
    one = read(enhanced([0, 2.5, 5], slopes=[1, 2, 1]), frame=1)
    assert (one.array == np.clip(RAMP * 2.0 - 1024, -1024, 3071)).all() and one.spacing_mm == (0.5, 0.6)
    volume = read(enhanced([0, 2.5, 5]), frame="all")
    assert volume.spacing_mm == (2.5, 0.5, 0.6) and volume.unit == "HU" and volume.array.shape == (3, 12, 20)
    uneven = read(enhanced([0, 2.5, 9]), frame="all")
    assert any("uneven slices: distances 2.5, 6.5 mm" in note for note in uneven.notes)
    mixed = read(enhanced([5, 0, 2.5]), frame="all")
    assert mixed.spacing_mm is None and "the distance between the frames is not known" in mixed.notes


def test_what_is_no_image_is_named():
    header = image(RAMP, modality="SR")
    del header.PixelData
    with raises(ImageError, "dicom-without-pixels"):
        read_bytes = written(header)
        decode_bytes(read_bytes, "x")
    index = image(RAMP, SOPClassUID="1.2.840.10008.1.3.10")
    with raises(ImageError, "dicomdir-not-image"):
        read(index)


def test_a_file_without_preamble_or_suffix(tmp_path):
    data = written(image(RAMP, bits=12))
    (tmp_path / "IM0001").write_bytes(data[128 + 4 :])
    assert (read_image(tmp_path / "IM0001").array == RAMP).all()
    bare = data[132:]
    body = bare[12 + int.from_bytes(bare[8:12], "little") :]  # no file header at all
    pixels = decode_bytes(body, "x")
    assert (pixels.array == RAMP).all() and pixels.notes == ("no transfer syntax in the header; detected explicit VR",)


def test_float_pixels_need_a_window():
    header = image(RAMP)
    values = (RAMP / 10).astype(np.float32)
    del header.PixelData, header.BitsStored, header.HighBit, header.PixelRepresentation
    header.BitsAllocated, header.FloatPixelData = 32, values.tobytes()
    with raises(ImageError, "pixel-range-unknown", match="float32"):
        read(header)
    assert np.allclose(read(header, window=(0, 500)).array, values)


def test_raw_detector_values_are_noted():
    assert "FOR PROCESSING" in str(read(image(RAMP, bits=12, PresentationIntentType="FOR PROCESSING")).notes)
    assert "INVERSE contradicts" in str(read(image(RAMP, bits=12, PresentationLUTShape="INVERSE")).notes)


def test_the_missing_extra_is_named(tmp_path):
    (tmp_path / "a.dcm").write_bytes(written(image(RAMP)))
    code = (
        "import sys\nsys.modules['pydicom'] = None\nimport medzoo\n"
        f"try:\n    medzoo.read_image({str(tmp_path / 'a.dcm')!r})\n"
        "except medzoo.errors.MissingExtraError as error:\n    print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == 'Reading DICOM needs pydicom: pip install "medzoo[medical]"'
