"""NIfTI volumes and their slices, turned the way DICOM shows them."""

import gzip
import io
import itertools
import subprocess
import sys
import tracemalloc

import nibabel
import numpy as np
import pytest
from expect import raises
from hypothesis import given, settings
from hypothesis import strategies as st

import medzoo
from medzoo.data.images.read import decode_bytes
from medzoo.errors import ImageError, MedzooError

# a patient of 4 x 5 x 6 voxels in the axes right, front, up, each voxel another number
PATIENT = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
WANTED = PATIENT[::-1, ::-1].transpose(2, 1, 0)  # slices up, rows to the back, columns to the left
AFFINE = np.diag([2.0, 3.0, 5.0, 1.0])


def saved(array, affine=AFFINE, kind=nibabel.Nifti1Image, **header):
    """The bytes of a file; header fields are written into them, since nibabel keeps them right."""
    image = kind(array, affine)
    image.header.set_xyzt_units("mm")
    data = bytearray(image.to_bytes())
    fields = image.header.template_dtype.fields
    for name, value in header.items():
        dtype, offset = fields[name][:2]
        stored = np.asarray(value, dtype.base).tobytes()
        data[offset : offset + len(stored)] = stored
    return bytes(data)


def turned(order, signs):
    """The patient stored along other axes, with the affine that says so."""
    stored = PATIENT.transpose(order)
    affine = np.eye(4)
    affine[:3, :3] = 0
    for place, axis in enumerate(order):
        affine[axis, place] = signs[place] * AFFINE[axis, axis]
        if signs[place] < 0:
            stored = np.flip(stored, place)
    return np.ascontiguousarray(stored), affine


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
def test_every_way_of_storing_gives_one_volume(order, signs):
    stored, affine = turned(order, signs)
    data = saved(stored, affine)
    volume = decode_bytes(data, "x", window=(-50, 500), frame="all")
    assert (volume.array == WANTED).all() and volume.spacing_mm == (5, 3, 2)
    slice_ = decode_bytes(data, "x", window=(-50, 500), frame=4)
    assert (slice_.array == WANTED[4]).all() and slice_.spacing_mm == (3, 2)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("packed", [False, True])
def test_both_versions_packed_or_not_and_under_any_name(tmp_path, kind, packed):
    data = saved(PATIENT, kind=kind)
    (tmp_path / "scan.bin").write_bytes(gzip.compress(data) if packed else data)
    pixels = medzoo.read_image(tmp_path / "scan.bin", frame=2, window=(0, 200))
    assert (pixels.array == WANTED[2]).all() and pixels.notes[0] == "slice 2 of 6"
    assert pixels.notes[1] == "axes RAS reordered: slices upwards, rows to the back, columns to the left"
    assert pixels.patient_id is None and pixels.unit == "grey" and pixels.array.dtype == np.int16


def test_a_key_names_a_slice(tmp_path):
    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(saved(PATIENT.astype(np.uint8))))
    assert (medzoo.read_image(tmp_path / "scan.nii.gz#3").array == WANTED[3]).all()
    (tmp_path / "scan.nii.gz#3").write_bytes(saved(PATIENT.astype(np.uint8)[:, :, :1]))
    assert (medzoo.read_image(tmp_path / "scan.nii.gz#3").array == WANTED[0]).all()  # a file of that very name


def test_a_slice_has_to_be_chosen():
    with raises(ImageError, "frame-required"):
        decode_bytes(saved(PATIENT), "x", window=(0, 9))
    for wrong in (6, -1, True, 1.0):
        with raises(ImageError, "frame-out-of-range"):
            decode_bytes(saved(PATIENT), "x", window=(0, 9), frame=wrong)


def test_four_dimensions_need_a_volume():
    film = np.stack([PATIENT, PATIENT + 500], axis=-1)
    data = saved(film)
    with raises(ImageError, "frame-required"):
        decode_bytes(data, "x", window=(0, 999), frame=3)
    pixels = decode_bytes(data, "x", window=(0, 999), frame=(1, 3))
    assert (pixels.array == WANTED[3] + 500).all() and pixels.notes[:2] == ("slice 3 of 6", "volume 1 of 2")
    assert (decode_bytes(data, "x", window=(0, 999), frame=(1, "all")).array == WANTED + 500).all()
    with raises(ImageError, "frame-out-of-range"):
        decode_bytes(data, "x", window=(0, 999), frame=(2, 3))
    with raises(ImageError, "nifti-dimensions-unsupported", match="5 dimensions"):
        decode_bytes(saved(np.stack([film, film], axis=-1)), "x", window=(0, 9), frame=0)
    for wrong in ((0, 1, 2), (), ("all", 0)):
        with raises(ImageError, "frame-type-unsupported"):
            decode_bytes(saved(np.stack([PATIENT, PATIENT], axis=-1)), "x", frame=wrong, window=(0, 9))
    pair = (np.int64(1), np.uint8(2))
    assert decode_bytes(saved(np.stack([PATIENT, PATIENT], axis=-1)), "x", frame=pair, window=(0, 9)).array.ndim == 2


@pytest.mark.parametrize("axis, shown", [(0, WANTED[::-1, :, 3]), (1, WANTED[::-1, 4, :]), (2, WANTED[0])])
def test_a_single_slice_is_seen_from_where_it_was_taken(axis, shown):
    single = np.take(PATIENT, [0], axis=axis)
    assert (decode_bytes(saved(single), "x", window=(0, 200)).array == shown).all()


def test_numbers_without_a_scale_need_a_window():
    with raises(ImageError, "pixel-range-unknown"):
        decode_bytes(saved(PATIENT), "x", frame=0)
    lung = decode_bytes(saved(PATIENT), "x", frame=0, window="lung")
    assert lung.unit == "HU" and lung.range == (-1350, 150)
    assert decode_bytes(saved(PATIENT.astype(np.uint8)), "x", frame=0).range == (0, 255)
    with raises(ImageError, "window-needs-hu"):
        decode_bytes(saved(PATIENT.astype(np.uint8)), "x", frame=0, window="lung")
    with raises(ImageError, "pixels-not-finite", match="NaN"):
        decode_bytes(saved(np.where(PATIENT == 3, np.nan, PATIENT).astype(np.float32)), "x", frame="all", window=(0, 9))


def test_slope_and_intercept_are_applied():
    scaled = saved(PATIENT, scl_slope=2, scl_inter=-1024)
    pixels = decode_bytes(scaled, "x", frame=1, window="full")
    assert (pixels.array == np.minimum(WANTED[1] * 2 - 1024, 3071)).all() and pixels.array.dtype == np.int32
    assert "rescale: slope 2, intercept -1024" in pixels.notes and pixels.unit == "HU"
    half = decode_bytes(saved(PATIENT, scl_slope=0.5, scl_inter=0), "x", frame=1, window=(0, 99))
    assert half.array.dtype == np.float32 and np.allclose(half.array, WANTED[1] / 2)


def test_big_endian_and_colour_files():
    image = nibabel.Nifti1Image(PATIENT, AFFINE, nibabel.Nifti1Header(endianness=">"))
    assert (decode_bytes(image.to_bytes(), "x", frame=2, window=(0, 200)).array == WANTED[2]).all()
    colour = np.zeros(PATIENT.shape, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    colour["R"], colour["B"] = PATIENT, 7
    pixels = decode_bytes(saved(colour), "x", frame=2)
    assert pixels.unit == "rgb" and (pixels.array[..., 0] == WANTED[2]).all() and (pixels.array[..., 2] == 7).all()
    with raises(ImageError, "pixel-type-unsupported"):
        decode_bytes(saved(PATIENT.astype(np.complex64)), "x", frame=0)


def test_odd_orientations_are_noted_or_refused():
    unknown = decode_bytes(saved(PATIENT, sform_code=0, qform_code=0), "x", frame=0, window=(0, 9))
    assert any("orientation unknown" in note for note in unknown.notes)
    lean = AFFINE.copy()
    angle = np.radians(15)
    lean[1:3, 1:3] = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ lean[1:3, 1:3]
    assert any(
        "oblique by 15 degrees" in note
        for note in decode_bytes(saved(PATIENT, lean), "x", frame=0, window=(0, 9)).notes
    )
    flat = saved(PATIENT, sform_code=1, srow_x=[0, 0, 0, 0], srow_y=[0, 0, 0, 0], srow_z=[0, 0, 0, 0])
    with raises(ImageError, "nifti-affine-invalid"):
        decode_bytes(flat, "x", frame=0, window=(0, 9))
    two = nibabel.Nifti1Image(PATIENT, AFFINE)
    two.set_qform(np.diag([-2.0, 3.0, 5.0, 1.0]), 1)
    assert any(
        "qform and sform disagree" in note for note in decode_bytes(two.to_bytes(), "x", frame=0, window=(0, 9)).notes
    )


def test_metres_and_microns_become_mm():
    for unit, factor in (("meter", 1000), ("micron", 0.001), ("mm", 1), ("unknown", 1)):
        image = nibabel.Nifti1Image(PATIENT, AFFINE)
        image.header.set_xyzt_units(unit)
        pixels = decode_bytes(image.to_bytes(), "x", frame=0, window=(0, 9))
        assert pixels.spacing_mm == (3 * factor, 2 * factor)
        assert any("mm assumed" in note for note in pixels.notes) == (unit == "unknown")


def test_f33_sizes_are_checked_before_memory_is_taken():
    def huge(shape, dtype=np.int16):
        image = nibabel.Nifti1Image(PATIENT, AFFINE)
        image.header.set_data_shape(shape)
        image.header.set_data_dtype(dtype)
        return bytes(image.header.binaryblock) + b"\0" * 4 + PATIENT.tobytes()

    with raises(ImageError, "volume-too-large"):
        decode_bytes(gzip.compress(huge((30000, 30000, 30000))), "x", frame=0, window=(0, 9))
    with raises(ImageError, "nifti-cut-off"):
        decode_bytes(huge((500, 500, 500)), "x", frame=0, window=(0, 9))
    with raises(ImageError, "nifti-cut-off"):
        decode_bytes(gzip.compress(huge((900, 900, 900), np.float64)), "x", frame=0, window=(0, 9))
    with raises(ImageError, "nifti-cut-off"):
        decode_bytes(saved(PATIENT, vox_offset=1e30), "x", frame=0, window=(0, 9))


def test_f33_a_stream_that_goes_on_for_ever_is_read_to_the_slice_and_no_further():
    endless = gzip.compress(saved(PATIENT) + b"\0" * 200_000_000, 9)
    tracemalloc.start()
    try:
        for frame in (2, "all"):
            decode_bytes(endless, "x", frame=frame, window=(0, 200))
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("cut", [0.1, 0.6, 0.7, 0.99])
@pytest.mark.parametrize("packed", [False, True])
def test_f31_cut_files_are_errors(cut, packed):
    data = gzip.compress(saved(PATIENT)) if packed else saved(PATIENT)
    broken = data[: int(cut * len(data))]
    with raises(ImageError, ("nifti-cut-off", "frame-type-unsupported"), match=r"^x: "):
        decode_bytes(broken, "x", frame="all", window=(0, 9))


def test_f32_a_flipped_bit_in_a_packed_volume_is_found_by_its_checksum():
    data = bytearray(gzip.compress(saved(np.random.default_rng(0).integers(0, 9999, (8, 8, 8)).astype(np.int16)), 0))
    data[-100] ^= 4
    with raises(ImageError, "nifti-cut-off", match="damaged"):
        decode_bytes(bytes(data), "x", frame="all", window=(0, 9999))


def test_pairs_of_files_are_named():
    data = bytearray(saved(PATIENT))
    data[344:348] = b"ni1\0"
    with raises(ImageError, "nifti-pair-unsupported"):
        decode_bytes(bytes(data), "x")


def test_the_missing_extra_is_named(tmp_path):
    (tmp_path / "a.nii").write_bytes(saved(PATIENT))
    code = (
        "import sys\nsys.modules['nibabel'] = None\nimport medzoo\n"
        f"try:\n    medzoo.read_image({str(tmp_path / 'a.nii')!r})\n"
        "except medzoo.errors.MissingExtraError as error:\n    print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == 'Reading NIfTI needs nibabel: pip install "medzoo[medical]"'


@settings(max_examples=300)
@given(
    st.sampled_from([saved(PATIENT), saved(PATIENT, kind=nibabel.Nifti2Image), saved(PATIENT.astype(np.float64))]),
    st.lists(st.tuples(st.integers(0, 560), st.integers(0, 255)), min_size=1, max_size=5),
    st.booleans(),
    st.sampled_from([None, 0, 3, "all", (0, 1), (0, "all")]),
)
@pytest.mark.filterwarnings("ignore")
def test_damaged_headers_give_an_image_or_an_image_error(data, changes, packed, frame):
    damaged = bytearray(data)
    for place, value in changes:
        damaged[place] = value
    try:
        found = decode_bytes(
            gzip.compress(bytes(damaged), 1) if packed else bytes(damaged), "x", frame=frame, window=(0, 200)
        )
        assert found.array.size <= 120 and np.isfinite(found.array).all()
    except MedzooError as error:
        assert isinstance(error, ImageError) and str(error).startswith("x")


@settings(max_examples=200)
@given(
    st.lists(st.integers(-1, 32_767), min_size=8, max_size=8), st.sampled_from([2, 4, 8, 16, 64, 128, 512, 768, 1536])
)
@pytest.mark.filterwarnings("ignore")
def test_wild_dimensions_take_no_memory(dims, code):
    header = nibabel.Nifti1Header()
    raw = header.structarr.copy()
    raw["dim"], raw["datatype"], raw["sizeof_hdr"], raw["magic"], raw["vox_offset"] = dims, code, 348, b"n+1", 352
    raw["bitpix"] = 8
    stream = io.BytesIO(raw.tobytes() + b"\0" * 200)
    try:
        assert decode_bytes(stream.getvalue(), "x", frame="all", window=(0, 9)).array.size <= 200
    except MedzooError as error:
        assert isinstance(error, ImageError)
