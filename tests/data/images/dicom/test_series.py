"""Slices in their order and at their real distances, whatever their files are called."""

import numpy as np
from dicom_samples import RAMP, image, window, written
from expect import raises

import medzoo
from medzoo.data.images.dicom.series import distances_mm, list_dicom_slices, read_series
from medzoo.errors import ImageError

AXIAL = [1, 0, 0, 0, 1, 0]


def put(folder, name, height, value=0, *, modality="CT", patient="P1", series="1.2.3", orientation=AXIAL, **more):
    """A CT slice whose pixels say at which height it lies."""
    elements = {"ImagePositionPatient": [1, 2, height], "ImageOrientationPatient": orientation, **more}
    header = image(np.full((6, 5), 1024 + value, np.int16), modality=modality, **elements)
    header.PatientID, header.SeriesInstanceUID, header.SOPInstanceUID = (
        patient,
        series,
        f"1.2.{abs(hash(name)) % 10**9}",
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(written(header))


def test_slices_are_sorted_by_place_and_not_by_name(tmp_path):
    for name, height in (("c.dcm", 0), ("a.dcm", 5), ("b", 2.5)):
        put(tmp_path, name, height, value=int(height * 10))
    volume = medzoo.read_image(tmp_path)
    assert volume.array[:, 0, 0].tolist() == [0, 25, 50] and volume.array.shape == (3, 6, 5)
    assert volume.spacing_mm == (2.5, 0.5, 0.5) and volume.unit == "HU" and volume.range == (-1024, 3071)
    assert (volume.patient_id, volume.series_id) == ("P1", "1.2.3") and volume.notes[
        0
    ] == "3 slices sorted along their normal"
    one = medzoo.read_image(tmp_path, frame=1)
    assert (one.array == 25).all() and one.spacing_mm == (0.5, 0.5) and one.notes[0] == "slice 1 of 3"
    with raises(ImageError, "frame-out-of-range"):
        medzoo.read_image(tmp_path, frame=3)


def test_an_anisotropic_cube(tmp_path):
    """A cube of 12 mm in voxels of 4 x 2 x 1 mm has 3 x 6 x 12 of them, and its true volume."""
    for k in range(5):
        block = np.full((10, 16), 24, np.int16)
        block[2:8, 2:14] = 1024 if 1 <= k < 4 else 24
        header = image(
            block,
            modality="CT",
            PixelSpacing=[2, 1],
            ImagePositionPatient=[0, 0, 4.0 * k],
            ImageOrientationPatient=AXIAL,
        )
        (tmp_path / f"{k}.dcm").write_bytes(written(header))
    volume = medzoo.read_image(tmp_path)
    cube = volume.array == 0
    sides = [int(np.ptp(np.nonzero(cube)[axis])) + 1 for axis in range(3)]
    assert volume.spacing_mm == (4, 2, 1) and sides == [3, 6, 12]
    assert [side * step for side, step in zip(sides, volume.spacing_mm, strict=True)] == [12, 12, 12]
    assert cube.sum() * np.prod(volume.spacing_mm) == 12**3


def test_uneven_slices_are_refused_until_asked_for(tmp_path):
    for number, height in enumerate((0, 4.22, 8.44, 9.58, 16.96)):
        put(tmp_path, f"{number}.dcm", height)
    with raises(ImageError, "slice-distances-uneven"):
        medzoo.read_image(tmp_path)
    volume = read_series(tmp_path, allow_uneven=True)
    assert volume.spacing_mm[0] == 4.22 and any(
        "uneven slices: distances 2 x 4.22, 1.14, 7.38 mm" in note for note in volume.notes
    )
    assert distances_mm(tmp_path).tolist() == [4.22, 4.22, 1.14, 7.38]
    assert medzoo.read_image(tmp_path, frame=4).array.shape == (6, 5)


def test_thickness_is_no_distance(tmp_path):
    for number in range(3):
        put(tmp_path, f"{number}.dcm", 2.0 * number, SliceThickness=5, SpacingBetweenSlices=5)
    assert medzoo.read_image(tmp_path).spacing_mm[0] == 2.0


def test_a_tilted_gantry_is_noted(tmp_path):
    lean = np.radians(20)
    orientation = [1, 0, 0, 0, float(np.cos(lean)), float(np.sin(lean))]
    for number in range(3):
        put(tmp_path, f"{number}.dcm", 5.0 * number, orientation=orientation)
    volume = medzoo.read_image(tmp_path)
    assert volume.spacing_mm[0] == 5.0
    assert any(
        "shifted by 20.0 degrees (tilted gantry), 4.7 mm between them along their normal" in note
        for note in volume.notes
    )


def test_slices_that_make_no_volume(tmp_path):
    def folder(name):
        put(tmp_path / name, "0.dcm", 0)
        put(tmp_path / name, "1.dcm", 3)
        return tmp_path / name

    twice = folder("twice")
    put(twice, "copy.dcm", 3)
    with raises(ImageError, "slice-positions-repeat"):
        medzoo.read_image(twice)
    scout = folder("scout")
    put(scout, "s.dcm", 9, orientation=[0, 1, 0, 0, 0, -1])
    with raises(ImageError, "slice-orientations-differ"):
        medzoo.read_image(scout)
    lost = folder("lost")
    put(lost, "l.dcm", 9, ImagePositionPatient=None)
    with raises(ImageError, "slice-position-missing"):
        medzoo.read_image(lost)
    several = folder("several")
    put(several, "o.dcm", 6, series="9.9")
    with raises(ImageError, "series-not-unique"):
        medzoo.read_image(several)
    assert read_series(several, series_id="1.2.3").array.shape == (2, 6, 5)
    mixed = folder("mixed")
    put(mixed, "o.dcm", 6, patient="P2")
    with raises(ImageError, "series-several-patients"):
        medzoo.read_image(mixed)
    sizes = folder("sizes")
    header = image(RAMP, modality="CT", ImagePositionPatient=[1, 2, 6], ImageOrientationPatient=AXIAL)
    (sizes / "o.dcm").write_bytes(written(header))
    with raises(ImageError, "slice-sizes-differ", match="2 sizes"):
        medzoo.read_image(sizes)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no image")
    with raises(ImageError, "dicom-images-missing"):
        medzoo.read_image(tmp_path / "empty")


def test_windows_that_differ_from_slice_to_slice_make_no_volume(tmp_path):
    for number in range(2):
        put(tmp_path, f"{number}.dcm", number, modality="MR", **window(100 + number, 200))
    with raises(ImageError, "slice-scales-differ"):
        medzoo.read_image(tmp_path)
    assert medzoo.read_image(tmp_path, window=(0, 2000)).range == (0, 2000)


def test_2d_slices_come_by_patient_then_series_then_place(tmp_path):
    for patient, series, height in (
        ("B", "2", 3),
        ("A", "7", 0),
        ("B", "2", 1),
        ("A", "5", 4),
        ("B", "1", 9),
        ("A", "5", 2),
    ):
        put(tmp_path / patient, f"{series}_{height}.dcm", height, patient=patient, series=f"1.{series}")
    found = list_dicom_slices(tmp_path)
    assert [(one.patient_id, one.series_id, one.position_mm) for one in found] == [
        ("A", "1.5", 2), ("A", "1.5", 4), ("A", "1.7", 0), ("B", "1.1", 9), ("B", "1.2", 1), ("B", "1.2", 3),
    ]  # fmt: skip
    assert medzoo.read_image(tmp_path / found[0].key).patient_id == "A"


def test_frames_of_one_file_are_slices_too(tmp_path):
    (tmp_path / "cine.dcm").write_bytes(written(image(np.stack([RAMP, RAMP + 1]), bits=13)))
    keys = [one.key for one in list_dicom_slices(tmp_path)]
    assert keys == ["cine.dcm#0", "cine.dcm#1"]
    assert (medzoo.read_image(tmp_path / keys[1]).array == RAMP + 1).all()


def test_f31_a_slice_that_is_cut_off_in_its_header_is_not_left_out(tmp_path):
    for number in range(3):
        header = image(RAMP.astype(np.int16), modality="CT", SOPInstanceUID=f"1.2.{number}", Rows=12)
        (tmp_path / f"{number}.dcm").write_bytes(written(header))
    whole = (tmp_path / "2.dcm").read_bytes()
    (tmp_path / "2.dcm").write_bytes(whole[: whole.index(b"\x28\x00\x10\x00US")])
    with raises(ImageError, "dicom-size-missing"):
        list_dicom_slices(tmp_path)
    report = image(RAMP, Rows=None, Columns=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Modality="SR")
    (tmp_path / "2.dcm").write_bytes(written(report))
    assert len(list_dicom_slices(tmp_path)) == 2
