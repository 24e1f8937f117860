"""Windows that are found from the image: percentiles and z-scores, of an image or of the volume that it belongs to."""

import nibabel
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dicom_samples import image, written
from PIL import Image

import medzoo
from medzoo.data.decode_cache.cache import content_key, decoded
from medzoo.data.images import window_rules
from medzoo.data.images.ct_windows import checked_window, limits_of, parse_window
from medzoo.data.images.pixels import Pixels, apply_window
from medzoo.data.images.read import decode_bytes, read_image, to_pixels
from medzoo.data.images.window_rules import parse_rule
from medzoo.data.readers.image_file import FileReader
from medzoo.data.validation.check import check_task
from medzoo.errors import ImageError, MedzooError, UsageError

RNG = np.random.default_rng(0)
FLOATS = RNG.gamma(2, 300, (40, 50)).astype(np.float32)
VOLUME = (RNG.gamma(2, 200, (12, 10, 6)) * np.arange(1, 7)).astype(np.int16)  # slices of different brightness


def near(pixels, limits):
    return np.allclose(pixels.range, limits, rtol=1e-5)


@pytest.mark.parametrize("low, high", [(1, 99), (0, 100), (0.5, 99.5), (10, 50)])
@pytest.mark.parametrize("array", [FLOATS, FLOATS.astype(np.float64), FLOATS.astype(np.int16), FLOATS.astype(np.uint16),
                                   (FLOATS / 20).clip(0, 255).astype(np.uint8)])  # fmt: skip
def test_percentiles_of_an_image(array, low, high):
    limits = np.percentile(array, [low, high])
    pixels = to_pixels(array, window=f"percentile:{low},{high}")
    assert near(pixels, limits) and pixels.array.dtype == array.dtype and pixels.unit == "grey"
    assert np.allclose(pixels.array, np.clip(array, *limits), atol=1)
    assert any(f"percentile:{low},{high} of this image" in note for note in pixels.notes)


@pytest.mark.parametrize("k", [1, 2.5, 3])
def test_z_scores_of_an_image(k):
    mean, spread = FLOATS.mean(dtype=float), FLOATS.std(dtype=float)
    pixels = to_pixels(FLOATS, window=f"zscore:{k}")
    assert near(pixels, (mean - k * spread, mean + k * spread)) and any("zscore" in note for note in pixels.notes)
    again = apply_window(Pixels(FLOATS, (0, 1), "grey"), f"zscore:{k}")
    assert again.range == pixels.range


def test_every_format_takes_a_rule(tmp_path):
    limits = np.percentile(FLOATS, [1, 99])
    np.save(tmp_path / "a.npy", FLOATS)
    assert near(read_image(tmp_path / "a.npy", window="percentile:1,99"), limits)
    nibabel.save(nibabel.Nifti1Image(FLOATS[..., None], np.eye(4)), tmp_path / "a.nii.gz")
    assert near(read_image(tmp_path / "a.nii.gz", window="percentile:1,99"), limits)
    Image.fromarray(FLOATS).save(tmp_path / "a.tif")
    assert near(read_image(tmp_path / "a.tif", window="percentile:1,99"), limits)
    Image.fromarray(FLOATS.astype(np.uint16)).save(tmp_path / "a.png")
    assert near(
        read_image(tmp_path / "a.png", window="percentile:1,99"), np.percentile(FLOATS.astype(np.uint16), [1, 99])
    )
    colour = np.stack([FLOATS, FLOATS / 2, FLOATS * 2], -1)
    assert near(to_pixels(colour, window="percentile:1,99"), np.percentile(colour, [1, 99]))


def test_values_without_a_spread_become_the_lowest():
    for array in (np.full((4, 5), 7, np.int16), np.zeros((4, 5), np.float32), np.full((4, 5), 1e30)):
        for rule in ("percentile:1,99", "zscore:3"):
            pixels = to_pixels(array, window=rule)
            assert pixels.range[0] == array[0, 0] < pixels.range[1] and (pixels.array == array).all()
    sparse = np.zeros((40, 50), np.int16)
    sparse[3, 4] = 900
    pixels = to_pixels(sparse, window="percentile:1,99")
    assert pixels.range == (0, 900) and any("no spread" in note for note in pixels.notes)
    narrow = np.tile(np.array([0, 1], np.int16), (20, 20))
    assert to_pixels(narrow, window="percentile:49.99,50.01").range[0] >= 0
    with pytest.raises(ImageError):
        to_pixels(np.full((4, 4), np.nan), window="percentile:1,99")


WRONG = (
    "percentile percentile: percentile:1 percentile:99,1 percentile:1,1 percentile:-1,99 percentile:1,101 percentile:1,99,100 "
    "percentile:1,99:all percentile:a,b percentile:nan,99 percentiles:1,99 zscore zscore:0 zscore:-1 zscore:inf zscore:nan "
    "zscore:1,2 zscore:3:slice"
)


@pytest.mark.parametrize("wrong", WRONG.split())
def test_rules_that_are_not_spelled_right(wrong):
    for call in (parse_window, checked_window, limits_of, lambda window: to_pixels(FLOATS, window=window)):
        with pytest.raises(UsageError):
            call(wrong)
    with pytest.raises(UsageError):
        medzoo.transform("resnet18-random", window=wrong)


def test_one_spelling_and_no_fixed_limits():
    assert (
        parse_window("percentile:1.0,99.50") == "percentile:1,99.5"
        and checked_window("zscore:3.0:series") == "zscore:3:series"
    )
    assert parse_rule("lung") is None and parse_rule((0, 1)) is None and parse_rule("full") is None
    with pytest.raises(UsageError):
        limits_of("percentile:1,99")
    with pytest.raises(MedzooError):
        medzoo.load_task("rsna_pe,window=percentile:1,99", root=".")


def mr(array, **elements):
    return image(array, modality="MR", **elements)


def test_mr_without_a_window(tmp_path):
    array = VOLUME[..., 3]
    with pytest.raises(ImageError):
        decode_bytes(written(mr(array)), "x")
    pixels = decode_bytes(written(mr(array)), "x", window="percentile:1,99")
    assert near(pixels, np.percentile(array, [1, 99]))
    scaled = decode_bytes(written(mr(array, RescaleSlope=2, RescaleIntercept=-10)), "x", window="percentile:1,99")
    assert near(scaled, np.percentile(array * 2.0 - 10, [1, 99]))
    header = decode_bytes(written(mr(array, WindowCenter=40, WindowWidth=80)), "x", window="zscore:2")
    assert near(header, (array.mean() - 2 * array.std(), array.mean() + 2 * array.std()))
    white = decode_bytes(written(mr(array, PhotometricInterpretation="MONOCHROME1")), "x", window="percentile:1,99")
    low, high = np.percentile(array, [1, 99])
    assert near(white, (low, high)) and np.allclose(white.array, low + high - np.clip(array, low, high), atol=1)


def test_padding_does_not_count():
    array = VOLUME[..., 3].copy()
    array[:, :4] = -32768
    made = mr(array)
    made.add_new("PixelPaddingValue", "SS", -32768)
    pixels = decode_bytes(written(made), "x", window="percentile:1,99")
    assert (
        near(pixels, np.percentile(array[:, 4:], [1, 99])) and (pixels.array[:, :4] <= np.ceil(pixels.range[0])).all()
    )


def test_ct_takes_a_rule_in_hu_also_beyond_its_scale():
    array = VOLUME[..., 3]
    pixels = decode_bytes(written(image(array, modality="CT")), "x", window="percentile:1,99")
    assert pixels.unit == "HU" and near(pixels, np.percentile(array - 1024.0, [1, 99]))
    stored = decode_bytes(written(image(array, modality="CT", RescaleSlope=None)), "x", window="percentile:1,99")
    assert stored.unit == "grey" and near(stored, np.percentile(array, [1, 99]))


def test_a_slice_of_nifti_and_its_volume(tmp_path):
    for name in ("a.nii.gz", "b.nii"):
        nibabel.save(nibabel.Nifti1Image(VOLUME, np.eye(4)), tmp_path / name)
        path = tmp_path / name
        whole = np.percentile(VOLUME, [1, 99])
        volume = read_image(path, frame="all", window="percentile:1,99")
        assert near(volume, whole) and any("of this volume" in note for note in volume.notes)
        assert near(read_image(path, frame="all", window="percentile:1,99:series"), whole)
        for number in (0, 5):
            own = read_image(path, frame=number, window="percentile:1,99")
            assert near(own, np.percentile(VOLUME[..., number], [1, 99]))
            shared = read_image(f"{path}#{number}", window="percentile:1,99:series")
            assert near(shared, whole) and any("of this volume" in note for note in shared.notes)
            assert (shared.array == volume.array[number]).all()


def test_a_volume_of_four_dimensions_and_one_with_a_scale(tmp_path):
    four = np.stack([VOLUME, VOLUME * 3], -1)
    nibabel.save(nibabel.Nifti1Image(four, np.eye(4)), tmp_path / "four.nii.gz")
    for volume in (0, 1):
        pixels = read_image(tmp_path / "four.nii.gz", frame=(volume, 2), window="percentile:5,95:series")
        assert near(pixels, np.percentile(four[..., volume], [5, 95]))
    scan = nibabel.Nifti1Image(VOLUME, np.eye(4))
    scan.header.set_slope_inter(0.5, -100)
    nibabel.save(scan, tmp_path / "scaled.nii")
    expected = np.asarray(nibabel.load(tmp_path / "scaled.nii").dataobj)
    assert near(read_image(tmp_path / "scaled.nii", frame=1, window="zscore:2:series"),
                (expected.mean() - 2 * expected.std(), expected.mean() + 2 * expected.std()))  # fmt: skip


def test_limits_of_a_volume_are_looked_for_once_and_again_when_its_file_changes(tmp_path, monkeypatch):
    looked = []
    fit = window_rules.WindowRule.fit
    monkeypatch.setattr(window_rules.WindowRule, "fit", lambda *args: looked.append(args[1].size) or fit(*args))
    for name in ("a.nii.gz", "b.nii"):
        nibabel.save(nibabel.Nifti1Image(VOLUME, np.eye(4)), tmp_path / name)
        reader = FileReader(tmp_path, "percentile:1,99:series")
        looked.clear()
        for number in range(6):
            reader.read(f"{name}#{number}")
        assert looked == [VOLUME.size]
        nibabel.save(nibabel.Nifti1Image(VOLUME * 2, np.eye(4)), tmp_path / name)
        assert near(reader.read(f"{name}#0"), np.percentile(VOLUME * 2, [1, 99]))


def test_frames_of_a_dicom_file():
    frames = np.moveaxis(VOLUME, -1, 0)
    data, whole = written(mr(frames)), np.percentile(VOLUME, [1, 99])
    volume = decode_bytes(data, "x", frame="all", window="percentile:1,99")
    assert near(volume, whole) and volume.array.shape == frames.shape
    assert near(decode_bytes(data, "x", frame=2, window="percentile:1,99"), np.percentile(frames[2], [1, 99]))
    shared = decode_bytes(data, "x", frame=2, window="percentile:1,99:series")
    assert near(shared, whole) and (shared.array == volume.array[2]).all()


def test_a_series_in_a_folder(tmp_path):
    for number in range(6):
        made = mr(VOLUME[..., number], ImagePositionPatient=[0, 0, number], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
        made.SOPInstanceUID, made.PixelSpacing = f"1.2.3.{number + 1}", [1, 1]
        (tmp_path / f"{5 - number}.dcm").write_bytes(written(made))
    whole = np.percentile(VOLUME, [1, 99])
    volume = read_image(tmp_path, window="percentile:1,99")
    assert near(volume, whole) and volume.array.shape == (6, 12, 10)
    assert near(read_image(tmp_path, frame=1, window="percentile:1,99"), np.percentile(VOLUME[..., 1], [1, 99]))
    shared = read_image(tmp_path, frame=1, window="percentile:1,99:series")
    assert near(shared, whole) and (shared.array == volume.array[1]).all()


def test_a_rule_for_a_volume_is_refused_where_there_is_none(tmp_path):
    np.save(tmp_path / "a.npy", FLOATS)
    for call in (
        lambda: to_pixels(FLOATS, window="percentile:1,99:series"),
        lambda: read_image(tmp_path / "a.npy", window="zscore:3:series"),
        lambda: decode_bytes(written(mr(VOLUME[..., 0])), "x", window="percentile:1,99:series"),
    ):
        with pytest.raises(ImageError):
            call()


def test_a_transform_takes_a_rule():
    view = medzoo.transform("resnet18-random", size=40, window="percentile:2,98")
    same = medzoo.transform("resnet18-random", size=40, window=tuple(np.percentile(FLOATS, [2, 98]).tolist()))
    assert np.allclose(view(FLOATS), same(FLOATS), atol=1e-5)
    assert view(FLOATS * 7 + 3).allclose(view(FLOATS), atol=1e-3)  # whatever the scanner's scale


def folder_of(root, count=12):
    lines = ["image,label,patient_id"]
    for number in range(count):
        np.save(root / f"{number}.npy", np.roll(FLOATS, 7 * number) * (number + 1))
        lines.append(f"{number}.npy,{number % 2},p{number}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


def test_a_folder_takes_a_rule_and_is_named_by_it(tmp_path):
    root = folder_of(tmp_path)
    with pytest.raises(ImageError):
        medzoo.load_task(f"folder:{root}").read("train", 0)
    tasks = {rule: medzoo.load_task(f"folder:{root},window={rule}")
             for rule in ("percentile:1,99", "percentile:1,98", "zscore:3", "zscore:3.0")}  # fmt: skip
    for rule, task in tasks.items():
        pixels, _ = task.read("train", 0)
        assert any(rule.removesuffix(".0") in note for note in pixels.notes) and task.info.window is None
        assert task.name == f"folder:{root.name},window={rule.removesuffix('.0')}"
    keys = {rule: content_key(task, 16) for rule, task in tasks.items()}
    assert len(set(keys.values())) == 3 and keys["zscore:3"] == keys["zscore:3.0"]
    rows = decoded(tasks["percentile:1,99"], "train", size=16)
    means = [float(row.mean()) for row in rows.images[:]]
    assert rows.images.dtype == np.uint16 and max(means) < 1.05 * min(means)  # whatever the scale of each file
    other = decoded(tasks["zscore:3"], "train", size=16)
    assert rows.sha256 != other.sha256 and (np.asarray(rows.images[:]) != np.asarray(other.images[:])).any()
    with pytest.raises(UsageError):
        medzoo.load_task(f"folder:{root},window=percentile:1")


def test_a_parquet_table_takes_a_rule(tmp_path):
    root = tmp_path / "table"
    root.mkdir()
    images = folder_of(tmp_path)
    for split, numbers in (("train", range(6)), ("validation", range(6, 9)), ("test", range(9, 12))):
        cells = [(images / f"{number}.npy").read_bytes() for number in numbers]
        table = {"image": cells, "label": [n % 2 for n in numbers], "patient_id": [f"p{n}" for n in numbers]}
        pq.write_table(pa.table(table), root / f"{split}.parquet")
    task = medzoo.load_task(f"parquet:{root},window=percentile:1,99")
    assert task.name.endswith(",window=percentile:1,99") and near(
        task.read("test", 0)[0], np.percentile(FLOATS * 10, [1, 99])
    )
    assert content_key(task, 8) != content_key(medzoo.load_task(f"parquet:{root},window=zscore:3"), 8)


def test_slices_of_volumes_in_a_table_share_the_limits_of_their_volume(tmp_path):
    lines = ["image,label,patient_id"]
    for number in range(8):
        nibabel.save(nibabel.Nifti1Image(VOLUME + number, np.eye(4)), tmp_path / f"{number}.nii.gz")
        lines += [f"{number}.nii.gz#{at},{number % 2},p{number}" for at in (0, 4)]
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    task = medzoo.load_task(f"folder:{tmp_path},window=percentile:1,99:series")
    first, second = task.read("train", 0)[0], task.read("train", 1)[0]
    assert first.range == second.range and "folder:" in task.name and task.name.endswith("percentile:1,99:series")


def test_a_check_tells_a_rule_once_and_not_for_every_image(tmp_path):
    report = check_task(f"folder:{folder_of(tmp_path)},window=percentile:1,99")
    told = [note for note in report.notes if "percentile:1,99" in note]
    assert len(told) == 1 and "12 images" in told[0] and not report.problems
