"""The real files: every one decodes, and their traps are read rightly. Skipped where they are absent."""

import importlib.util
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
from expect import raises
from PIL import Image

import medzoo
from medzoo.data.images.dicom.segmentation import read_dicom_seg
from medzoo.data.images.dicom.series import distances_mm, list_dicom_slices, read_series
from medzoo.data.images.pixels import with_channels
from medzoo.errors import ImageError

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def series(real_data, tmp_path_factory):
    """The two zipped series, unpacked."""
    folder = tmp_path_factory.mktemp("series")
    for name in ("ct_head_ge_28slices", "mr_t1_structural_48slices"):
        with zipfile.ZipFile(real_data / "dicom" / f"{name}.zip") as packed:
            packed.extractall(folder / name)
    return folder


def test_every_dicom_file_decodes(real_data, series):
    files = [
        *sorted((real_data / "dicom").glob("*.dcm")),
        *sorted(path for path in series.rglob("*") if path.is_file()),
    ]
    assert len(files) == 8 + 28 + 48
    for path in files:
        window = (0, 1000) if "mr_t1" in path.name or "N2D" in path.name else None
        pixels = medzoo.read_image(path, window=window, frame=0)
        low, high = pixels.range
        assert pixels.array.ndim == 2 and low <= pixels.array.min() and pixels.array.max() <= high, path
        assert pixels.patient_id and pixels.spacing_mm, path


def test_every_nifti_file_decodes(real_data):
    files = sorted((real_data / "nifti").glob("*.nii*"))
    assert len(files) == 5
    for path in files:
        four = path.name.startswith("example")
        volume = medzoo.read_image(path, window=(-2000, 40000), frame=(1, "all") if four else "all")
        loaded = nibabel.as_closest_canonical(nibabel.load(path))
        wanted = np.asanyarray(loaded.dataobj)
        wanted = (wanted[..., 1] if four else wanted)[::-1, ::-1].transpose(2, 1, 0)
        assert (volume.array == wanted).all(), path
        sides = nibabel.affines.voxel_sizes(loaded.affine)[::-1]
        assert np.allclose(volume.spacing_mm, sides, atol=1e-5)
        middle = len(volume.array) // 2
        one = medzoo.read_image(path, window=(-2000, 40000), frame=(1, middle) if four else middle)
        assert (one.array == volume.array[middle]).all()


def test_the_films_of_one_exposure_are_negatives_of_each_other(real_data):
    plain = medzoo.read_image(real_data / "dicom" / "cr_chest_rsna.dcm")
    turned = medzoo.read_image(real_data / "dicom" / "cr_chest_monochrome1_fake.dcm")
    assert plain.range == turned.range == (0, 255) and plain.array.dtype == turned.array.dtype == np.uint8
    assert (plain.array.astype(int) + turned.array == 255).all()
    assert turned.notes[-1] == "MONOCHROME1, inverted" and plain.spacing_mm == (0.168, 0.168)


def test_the_head_ct_has_the_steps_that_it_was_taken_with(series):
    folder = series / "ct_head_ge_28slices"
    assert distances_mm(folder).tolist() == [4.22] * 13 + [1.14] + [7.38] * 13
    with raises(ImageError, "slice-distances-uneven"):
        medzoo.read_image(folder)
    volume = read_series(folder, allow_uneven=True)
    assert volume.array.shape == (28, 512, 512) and volume.unit == "HU" and volume.array.dtype == np.int16
    assert any("shifted by 18.5 degrees (tilted gantry)" in note for note in volume.notes)
    assert volume.array.min() == -1024 and -1010 < np.median(volume.array[volume.array < -900]) < -980  # air
    brain = volume.array[14, 200:300, 200:300]
    assert 20 < np.median(brain) < 45


def test_the_mr_series_is_an_even_volume(series):
    volume = medzoo.read_image(series / "mr_t1_structural_48slices", window=(0, 1000))
    assert volume.array.shape == (48, 384, 274) and np.allclose(volume.spacing_mm, (0.667, 0.66667, 0.69999), atol=1e-3)
    found = list_dicom_slices(series / "mr_t1_structural_48slices")
    assert len({(one.patient_id, one.series_id) for one in found}) == 1
    steps = np.diff([one.position_mm for one in found])
    assert np.allclose(steps, 2 / 3, atol=1e-3)


def test_the_liver_lies_on_its_slices(real_data):
    seg = read_dicom_seg(real_data / "dicom" / "ct3_liver_seg.dcm")
    assert seg.segments == {1: "Liver"} and len(seg.frames) == 3
    for number in (1, 2, 3):
        path = real_data / "dicom" / f"ct3_0{number}.dcm"
        mask, pixels = seg.mask_for(path), medzoo.read_image(path)
        assert mask.shape == pixels.array.shape and mask.sum() > 30_000
        inside = pixels.array[mask == 1]
        assert 20 < np.median(inside) < 80 and np.mean((inside > -20) & (inside < 150)) > 0.85  # liver, in HU
    with raises(ImageError, "segmentation-other-image"):
        seg.mask_for(real_data / "dicom" / "ct_small_128.dcm")


def test_ct_is_in_hu_and_its_filling_is_black(real_data):
    pixels = medzoo.read_image(real_data / "dicom" / "ct3_01.dcm")
    assert pixels.unit == "HU" and pixels.range == (-1024, 3071) and pixels.array[0, 0] == -1024
    assert "55,772 padding pixels set to the lowest value" in pixels.notes
    lung = medzoo.read_image(real_data / "dicom" / "ct3_01.dcm", window="lung")
    assert lung.range == (-1350, 150) and lung.array.max() == 150


def test_a_rescale_of_another_kind(real_data):
    path = real_data / "dicom" / "mr_decimal_rescale.dcm"
    pixels = medzoo.read_image(path, window="full")
    assert (
        pixels.notes == ("rescale: slope 2, intercept -4096",) and (pixels.array == -4096).all()
    )  # its pixels are all 0
    assert pixels.range == (-4096, 4094) and medzoo.read_image(path).range == (-151, 694)


def test_films_are_greys_also_when_saved_with_alpha(real_data, tmp_path):
    """Six of the originals of ChestX-ray14 that were looked at are RGBA; the eight here are not, so one is made so."""
    for path in sorted((real_data / "nih_cxr14_fullres").glob("*.png")):
        pixels = medzoo.read_image(path)
        assert (
            pixels.array.shape == (1024, 1024)
            and pixels.unit == "grey"
            and pixels.range == (0, 255)
            and not pixels.notes
        )
    Image.open(path).convert("RGBA").save(tmp_path / "film.png")
    film = medzoo.read_image(tmp_path / "film.png")
    assert (film.array == pixels.array).all() and film.notes == ("alpha dropped", "three equal channels reduced to one")
    assert with_channels(film, 1) is film


def test_the_contact_sheet_shows_every_file(real_data, tmp_path):
    place = Path(__file__).resolve().parents[3] / "benchmarks" / "contact_sheet.py"
    if not place.is_file():
        pytest.skip("benchmarks are part of a checkout")
    spec = importlib.util.spec_from_file_location("contact_sheet", place)
    sheet = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sheet)
    pictures = list(sheet.cells(real_data, tmp_path))
    titles = [words.partition("\n")[0] for _, words in pictures]
    for path in [*(real_data / "dicom").glob("*.dcm"), *(real_data / "nifti").glob("*.nii*")]:
        assert any(title.startswith(path.name) for title in titles), path
    assert sum("ct_head_ge_28slices slice" in title for title in titles) == 28
    assert sum("mr_t1_structural_48slices slice" in title for title in titles) == 48
    flat = [
        title for picture, title in zip(pictures, titles, strict=True) if np.ptp(picture[0][60:200, 60:200, 0]) == 0
    ]
    assert flat == ["mr_decimal_rescale.dcm"]  # whose pixels are all 0
