"""`medzoo.predict`: the numbers of a plain loop, in the order of the images; what is refused, and with which code."""

import json
import warnings

import nibabel
import numpy as np
import pandas
import pytest
import torch
from expect import raises
from PIL import Image
from predict_samples import LABELS, as_stored, by_hand, cells, dicom, pngs, trained

import medzoo
from medzoo.errors import CardError, DataContractError, DeviceMemoryError, ImageError, IntegrityError, UsageError

CALIBRATION = {"temperature": 2.0, "thresholds": [0.2], "rule": "youden", "split": "validation"}


def probabilities(frame, names):
    return frame[[f"probability_{name}" for name in names]].to_numpy()


@pytest.mark.parametrize("workers", [0, 3])
def test_the_numbers_of_a_plain_loop_in_order(tmp_path, workers):
    folder, paths = trained(tmp_path / "net"), pngs(tmp_path / "films", 9)
    frame = medzoo.predict(folder, [*reversed(paths)], batch_size=4, num_workers=workers, device="cpu")
    expected = by_hand(folder, [*reversed(paths)])
    assert frame.path.tolist() == [str(path) for path in reversed(paths)]
    # with AVX-512, convolutions of other batch sizes round differently
    np.testing.assert_allclose(probabilities(frame, "abc"), expected, atol=1e-5)
    assert frame.label.tolist() == ["abc"[k] for k in expected.argmax(1)]
    one = medzoo.predict(folder, paths[0], batch_size=1, num_workers=workers, device="cpu")
    assert (probabilities(one, "abc") == by_hand(folder, paths[:1])).all()  # bit for bit, for equal batches


def test_kinds_of_heads(tmp_path):
    paths = pngs(tmp_path / "films", 6)
    binary = medzoo.predict(trained(tmp_path / "b", "binary"), paths, device="cpu")
    expected = by_hand(tmp_path / "b", paths)
    np.testing.assert_allclose(probabilities(binary, LABELS["binary"]), expected, atol=1e-6)
    assert list(binary)[3:] == ["label", "probability_normal", "probability_pneumonia", "decision_pneumonia"]
    assert binary.decision_pneumonia.tolist() == (expected[:, 1] >= 0.5).astype(int).tolist()
    several = medzoo.predict(trained(tmp_path / "m", "multilabel"), paths, device="cpu")
    expected = by_hand(tmp_path / "m", paths, "sigmoid")
    np.testing.assert_allclose(probabilities(several, "abc"), expected, atol=1e-6)
    assert several.label.tolist() == [
        "|".join(n for n, p in zip("abc", row, strict=True) if p >= 0.5) for row in expected
    ]
    value = medzoo.predict(trained(tmp_path / "r", "regression"), paths, device="cpu")
    assert list(value) == ["path", "key", "patient_id", "value"]
    np.testing.assert_allclose(value.value, by_hand(tmp_path / "r", paths, "value")[:, 0], rtol=1e-5)


def test_a_calibration_is_stored_and_applied(tmp_path):
    folder = trained(tmp_path / "net", "binary", calibration=CALIBRATION)
    block = json.loads((folder / "config.json").read_text())["medzoo"]
    assert block["calibration"] == CALIBRATION and block["schema"] == "medzoo.folder/2"
    paths = pngs(tmp_path / "films", 6)
    model = medzoo.load(str(folder), num_classes="pretrained")
    with torch.inference_mode():
        logits = model(torch.stack([as_stored(folder, path) for path in paths])).double()
    expected = (logits / 2).softmax(1).numpy()
    frame = medzoo.predict(folder, paths, device="cpu")
    np.testing.assert_allclose(probabilities(frame, LABELS["binary"]), expected, atol=1e-6)
    assert frame.decision_pneumonia.tolist() == (expected[:, 1] >= 0.2).astype(int).tolist()
    assert (frame.label == "pneumonia").tolist() == (expected[:, 1] >= 0.2).tolist()


def test_without_a_calibration_a_folder_stays_readable_by_earlier_versions(tmp_path):
    block = json.loads((trained(tmp_path / "net") / "config.json").read_text())["medzoo"]
    assert block["schema"] == "medzoo.folder/1" and "calibration" not in block


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("binary", {"temperature": 0.0}),
        ("binary", {"thresholds": [0.2, 0.3]}),
        ("binary", {"thresholds": [1.5]}),
        ("multiclass", {"thresholds": [0.2, 0.3, 0.4]}),
        ("multilabel", {"thresholds": [0.2]}),
        ("regression", {"temperature": 2.0}),
    ],
)
def test_a_wrong_calibration_is_refused(tmp_path, kind, wrong):
    with raises(CardError, "calibration-invalid"):
        trained(tmp_path / "net", kind, calibration=wrong)
    folder = trained(tmp_path / "net", kind)
    config = json.loads((folder / "config.json").read_text())
    config["medzoo"] |= {"calibration": wrong, "schema": "medzoo.folder/2"}
    (folder / "config.json").write_text(json.dumps(config))
    with raises(IntegrityError, "calibration-invalid"):
        medzoo.load(str(folder))


def test_a_calibration_needs_its_schema(tmp_path):
    folder = trained(tmp_path / "net", "binary")
    config = json.loads((folder / "config.json").read_text())
    config["medzoo"]["calibration"] = CALIBRATION
    (folder / "config.json").write_text(json.dumps(config))
    with raises(IntegrityError, "calibration-invalid", match="medzoo.folder/2"):
        medzoo.load(str(folder))


def test_frames_slices_and_tables(tmp_path):
    films = tmp_path / "films"
    pngs(films, 2)
    dicom(films / "one.dcm")
    dicom(films / "three.dcm", np.zeros((3, 12, 20), np.uint16))
    nibabel.save(nibabel.Nifti1Image(np.zeros((6, 5, 4), np.uint8), np.eye(4)), films / "scan.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.zeros((6, 5, 2, 2), np.uint8), np.eye(4)), films / "time.nii")
    (films / "notes.txt").write_text("not an image")
    (films / ".hidden.png").write_bytes(b"x")
    folder = trained(tmp_path / "net")
    frame = medzoo.predict(folder, films, num_workers=2, batch_size=3, device="cpu")
    names = [key or path for key, path in zip(cells(frame.key), frame.path, strict=True)]
    assert [name.removeprefix(f"{films}/") for name in names] == [
        "000.png", "001.png", "one.dcm", *(f"scan.nii.gz#{k}" for k in range(4)), *(f"three.dcm#{k}" for k in range(3)),
        "time.nii#0,0", "time.nii#0,1", "time.nii#1,0", "time.nii#1,1",
    ]  # fmt: skip
    assert cells(frame.patient_id) == [None, None, "P1", *[None] * 4, "P1", "P1", "P1", *[None] * 4]
    expected = by_hand(folder, [medzoo.read_image(name) for name in names])
    np.testing.assert_allclose(probabilities(frame, "abc"), expected, atol=1e-5)
    (tmp_path / "list.csv").write_text("Path,Patient ID,note\nfilms/001.png,007,x\nfilms/three.dcm#1,,y\n")
    table = medzoo.predict(folder, tmp_path / "list.csv", device="cpu")
    assert cells(table.patient_id) == ["007", "P1"] and cells(table.key)[1].endswith("three.dcm#1")
    none = medzoo.predict(folder, tmp_path / "list.csv", patient_column="none", device="cpu")
    assert cells(none.patient_id) == [None, "P1"]
    with raises(DataContractError, "image-column-missing"):
        (tmp_path / "other.csv").write_text("where,who\nfilms/001.png,1\n")
        medzoo.predict(folder, tmp_path / "other.csv")
    named = medzoo.predict(folder, tmp_path / "other.csv", image_column="where", patient_column="who", device="cpu")
    assert named.patient_id.tolist() == ["1"]


def test_a_parquet_table_of_images(tmp_path):
    folder, paths = trained(tmp_path / "net"), pngs(tmp_path, 3)
    rows = [{"bytes": path.read_bytes(), "path": None} for path in paths[:2]] + [{"bytes": None, "path": paths[2].name}]
    pandas.DataFrame({"image": rows, "patient_id": ["p", "p", "q"]}).to_parquet(tmp_path / "t.parquet")
    frame = medzoo.predict(folder, tmp_path / "t.parquet", device="cpu")
    np.testing.assert_allclose(probabilities(frame, "abc"), by_hand(folder, paths), atol=1e-6)
    assert cells(frame.key) == [f"{tmp_path}/t.parquet#0", f"{tmp_path}/t.parquet#1", None]


def test_images_in_memory(tmp_path):
    folder = trained(tmp_path / "net")
    array = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)
    kinds = [array, Image.fromarray(array), torch.from_numpy(array), medzoo.read_image(pngs(tmp_path, 1)[0])]
    frame = medzoo.predict(folder, kinds, device="cpu")
    np.testing.assert_allclose(probabilities(frame, "abc"), by_hand(folder, kinds), atol=1e-6)
    assert frame.path.tolist() == [f"image {k}" for k in (1, 2, 3, 4)]
    assert len(medzoo.predict(folder, (one for one in kinds), device="cpu")) == 4
    assert len(medzoo.predict(folder, array, device="cpu")) == 1
    series = pandas.Series([str(tmp_path / "000.png")])
    assert len(medzoo.predict(folder, series, device="cpu")) == 1
    with raises(UsageError, "images-invalid"):
        medzoo.predict(folder, pandas.DataFrame({"path": ["x.png"]}))


def test_images_that_cannot_be_read_have_no_row(tmp_path):
    folder, paths = trained(tmp_path / "net"), pngs(tmp_path / "films", 3)
    paths[1].write_bytes(paths[1].read_bytes()[:-40])
    (tmp_path / "empty.png").write_bytes(b"")
    images = [*paths, tmp_path / "empty.png", tmp_path / "missing.png", np.zeros((4, 4), np.float32), 5]
    with pytest.warns(UserWarning, match="5 images"):
        frame = medzoo.predict(folder, images, device="cpu")
    assert frame.path.tolist() == [str(paths[0]), str(paths[2])]
    codes = [row["code"] for row in frame.attrs["errors"]]
    assert codes[1:] == ["image-file-empty", "image-cannot-open", "pixel-range-unknown", "not-an-image"]
    for one, code in zip([images[1], *images[3:]], codes, strict=True):  # the codes of medzoo.transform
        with raises(ImageError, code):
            medzoo.transform(str(folder))(one)
    with raises(ImageError, "no-predictions"):
        medzoo.predict(folder, [tmp_path / "missing.png"])


def test_a_segmentation_in_a_folder_is_skipped_and_refused_by_name(tmp_path):
    folder, films = trained(tmp_path / "net"), tmp_path / "films"
    pngs(films, 1)
    dicom(films / "labels.dcm", Modality="SEG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(medzoo.predict(folder, films, device="cpu")) == 1
    with raises(ImageError, "no-predictions", match="segmentation"):
        medzoo.predict(folder, films / "labels.dcm")
    dicom(films / "frames.dcm", np.zeros((3, 8, 8), np.uint16), Modality="SEG")
    assert len(medzoo.predict(folder, films, device="cpu")) == 1
    with raises(ImageError, "no-predictions", match="segmentation"):
        medzoo.predict(folder, films / "frames.dcm")


def test_the_header_of_a_dicom_file_is_read_once(tmp_path, monkeypatch):
    import pydicom

    folder, film, read = trained(tmp_path / "net"), dicom(tmp_path / "a.dcm"), []
    original = pydicom.dcmread
    monkeypatch.setattr(pydicom, "dcmread", lambda *one, **more: read.append(1) or original(*one, **more))
    assert len(medzoo.predict(folder, film, num_workers=0, device="cpu")) == 1
    assert len(read) == 1


def test_a_photograph_is_refused_by_a_network_for_ct(tmp_path):
    shape = {"size": 64, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "clip": [-160.0, 240.0]}
    folder = trained(tmp_path / "net", input=shape)
    grey, colour = np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.uint8)
    with pytest.warns(UserWarning):
        frame = medzoo.predict(folder, [grey, colour], device="cpu")
    assert [row["code"] for row in frame.attrs["errors"]] == ["window-needs-hu"]
    assert len(medzoo.predict(folder, [grey, colour], window=(0, 255), device="cpu")) == 2
    with raises(ImageError, "no-predictions", match="HU"):
        medzoo.predict(folder, [grey], window="lung")


@pytest.mark.parametrize("window", [None, (-160, 240), "lung", "percentile:1,99"])
def test_windows(tmp_path, window):
    array = np.random.default_rng(0).integers(0, 2000, (30, 20), dtype=np.uint16)
    path = dicom(tmp_path / "ct.dcm", array, modality="CT")
    shape = {"size": 64, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "clip": [-160.0, 240.0]}
    folder = trained(tmp_path / "net", input=shape)
    frame = medzoo.predict(folder, path, window=window, device="cpu")
    model = medzoo.load(str(folder), num_classes="pretrained")
    with torch.inference_mode():
        expected = model(as_stored(folder, path, window)[None]).double().softmax(1).numpy()
        nearly = model(medzoo.transform(str(folder), window=window)(path)[None]).double().softmax(1).numpy()
    np.testing.assert_allclose(probabilities(frame, "abc"), expected, atol=1e-6)
    np.testing.assert_allclose(nearly, expected, atol=1e-4)  # medzoo.transform does not round to 16 bits


def test_one_row_a_patient(tmp_path):
    folder, paths = trained(tmp_path / "net", "binary", calibration=CALIBRATION), pngs(tmp_path, 5)
    (tmp_path / "t.csv").write_text(
        "path,patient\n" + "".join(f"{p.name},{w}\n" for p, w in zip(paths, "bab a", strict=True))
    )
    images = medzoo.predict(folder, tmp_path / "t.csv", device="cpu")
    with pytest.warns(UserWarning, match="patient-unknown"):
        rows = medzoo.predict(folder, tmp_path / "t.csv", by="patient", device="cpu")
    assert rows.patient_id.tolist() == ["b", "a"] and rows.images.tolist() == [2, 2] and set(rows.rule) == {"mean"}
    mean = images.groupby("patient_id").probability_pneumonia.mean()
    np.testing.assert_allclose(rows.probability_pneumonia, [mean["b"], mean["a"]])
    assert rows.decision_pneumonia.tolist() == [int(value >= 0.2) for value in rows.probability_pneumonia]


@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit", "test_convnext"])
def test_embeddings_are_the_pooled_features(tmp_path, architecture):
    folder, paths = trained(tmp_path / "net", architecture=architecture), pngs(tmp_path / "films", 3)
    frame = medzoo.predict(folder, paths, embeddings=True, device="cpu")
    model = medzoo.load(str(folder))
    with torch.inference_mode():
        expected = model(torch.stack([as_stored(folder, path) for path in paths])).numpy()
    np.testing.assert_allclose(np.stack(frame.embedding), expected, atol=1e-5)


def test_a_checkpoint_without_a_head(tmp_path):
    with raises(UsageError, "no-stored-head", match="--embeddings"):
        medzoo.predict("resnet10t-random", np.zeros((9, 9), np.uint8))
    frame = medzoo.predict("resnet10t-random", np.zeros((9, 9), np.uint8), embeddings=True, device="cpu")
    assert list(frame) == ["path", "key", "patient_id", "embedding"] and frame.embedding[0].shape == (512,)


def test_one_output_without_a_meaning_is_refused(tmp_path):
    folder = trained(tmp_path / "net", "regression")
    config = json.loads((folder / "config.json").read_text())
    del config["problem_type"]
    (folder / "config.json").write_text(json.dumps(config))
    with raises(UsageError, "problem-type-missing"):
        medzoo.predict(folder, np.zeros((9, 9), np.uint8))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"by": "study"}, "by-unknown"),
        ({"batch_size": 0}, "number-out-of-range"),
        ({"num_workers": -1}, "number-out-of-range"),
        ({"device": "tpu"}, "device-unknown"),
        ({"precision": "fp8"}, "precision-unknown"),
        ({"explain": "gradcam"}, "explain-incomplete"),
        ({"explain": "magic", "explain_out": "out"}, "explain-unknown"),
        ({"by": "patient", "embeddings": True}, "not-by-patient"),
        ({"window": (3, 1)}, "window-invalid"),
    ],
)
def test_wrong_options(tmp_path, options, code):
    with raises(UsageError, code):
        medzoo.predict(trained(tmp_path / "net"), np.zeros((9, 9), np.uint8), **options)


def test_the_main_thread_keeps_its_threads(tmp_path):
    from medzoo.training.predict.decode import worker_pool

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with worker_pool(3) as pool:
            assert pool.submit(torch.get_num_threads).result() == 1 and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_batch_that_does_not_fit_leads_to_a_smaller_one(tmp_path, monkeypatch):
    from medzoo.training.predict.network import Network

    def full(self, batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    folder, films = trained(tmp_path / "net"), pngs(tmp_path / "films", 3)
    monkeypatch.setattr(Network, "__call__", full)
    with raises(DeviceMemoryError, "prediction-out-of-memory", match="--batch-size"):
        medzoo.predict(folder, films, device="cpu")
