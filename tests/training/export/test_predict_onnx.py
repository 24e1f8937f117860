"""docs/examples/predict_onnx.py gives the probabilities of `medzoo.predict`, in a process without torch and medzoo."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from predict_samples import LABELS, PROBLEMS, trained

import medzoo
from medzoo.training.export.metadata import read_metadata

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "predict_onnx.py"
# the example in a Python that cannot import what a user of the file may not have
WITHOUT = """
import runpy, sys
for name in ("torch", "timm", "medzoo", "onnx", "pandas"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def by_example(file, paths):
    command = [sys.executable, "-c", WITHOUT, str(EXAMPLE), str(file), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_equal(folder, file, paths, atol=5e-3):
    """Labels and probabilities of the example and of `medzoo.predict`; a pixel may differ by one grey level of 255,
    which `sensitive` amplifies."""
    frame, rows = medzoo.predict(folder, paths, views="one", device="cpu"), by_example(file, paths)
    classes = [column.removeprefix("probability_") for column in frame if column.startswith("probability_")]
    expected = frame[[f"probability_{name}" for name in classes]].to_numpy()
    np.testing.assert_allclose([[row[name] for name in classes] for row in rows], expected, atol=atol)
    assert [row["label"] for row in rows] == frame.label.tolist()
    assert [row["path"] for row in rows] == [str(path) for path in paths]
    return expected


def sensitive(folder, paths, kind="multiclass", **card):
    """A folder whose logits of these images have mean 0 and standard deviations up to 1, so that probabilities differ.

    The outputs read the directions in which the features of the images differ most: others amplify rounding.
    """
    model = medzoo.load(trained(folder.with_name("drawn"), kind, **card), num_classes="pretrained")
    change, head = medzoo.transform(model), model.get_classifier()
    with torch.inference_mode():
        images = torch.stack([change(str(path)) for path in paths])
        features = model.forward_head(model.forward_features(images), pre_logits=True).double()
        mean = features.mean(0)
        _, lengths, directions = torch.linalg.svd(features - mean, full_matrices=False)
        angles = 2 * torch.pi * torch.arange(len(head.weight)).double()[:, None] / len(head.weight)
        weight = (angles.cos() * directions[0] + angles.sin() * directions[1]) * (len(paths) - 1) ** 0.5 / lengths[0]
        head.weight.copy_(weight)
        head.bias.copy_(-weight @ mean)
    card = {"input": {"size": 64, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}, **card}
    facts = {"name": "test_resnet-drawn", "license": "mit", "data": ["drawn"], "labels": LABELS[kind], **card}
    return medzoo.save(model, folder, card={**facts, "problem_type": PROBLEMS.get(kind)})


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Phantom images of each kind of file: grey, colour, 16 bits, palette, alpha, turned, of other shapes."""
    folder, task = tmp_path_factory.mktemp("pictures"), medzoo.load_task("phantom_oct")
    grey = [task.read("test", number)[0].array for number in range(3)]
    tall = np.tile(grey[1], (2, 1))[:100]
    images = {
        "grey.png": Image.fromarray(grey[0]),
        "tall.png": Image.fromarray(tall),
        "colour.png": Image.fromarray(np.stack([grey[0], grey[1], grey[2]], -1)),
        "deep.png": Image.fromarray(tall.astype(np.uint16) * 257 + 3),
        "palette.png": Image.fromarray(grey[2]).convert("P"),
        "alpha.png": Image.fromarray(np.stack([grey[0], grey[1], grey[2], grey[0]], -1)),
        "photo.jpg": Image.fromarray(tall),
    }
    for name, image in images.items():
        image.save(folder / name)
    turned = Image.Exif()
    turned[0x0112] = 6
    images["photo.jpg"].save(folder / "turned.jpg", exif=turned)
    return sorted(folder.iterdir())


CALIBRATED = {"calibration": {"temperature": 1.7, "thresholds": [0.45], "rule": "youden", "split": "validation"}}


def test_two_classes_with_calibration_and_a_crop(tmp_path, pictures):
    folder = sensitive(
        tmp_path / "net", pictures, "binary", evaluation={"crop_share": 0.875, "views": "flip"}, **CALIBRATED
    )
    expected = check_equal(folder, medzoo.export(folder, out=tmp_path / "net.onnx"), pictures)
    assert expected.std(0).min() > 0.1  # the images differ


def test_several_labels_and_one_channel(tmp_path, pictures):
    calibration = {"temperature": 0.6, "thresholds": [0.3, 0.5, 0.7], "rule": "youden", "split": "validation"}
    folder = sensitive(tmp_path / "net", pictures, "multilabel", calibration=calibration, input={
        "size": 64, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "rule": "per_image_minmax"})  # fmt: skip
    check_equal(folder, medzoo.export(folder, out=tmp_path / "net.onnx"), pictures)


def test_the_window_of_the_fine_tuning(tmp_path, pictures):
    """Numbers are clipped as in the training; CT in HU is a picture of its window already; a rule cannot be computed here."""
    paths = [path for path in pictures if path.name in ("grey.png", "tall.png", "deep.png")]
    for window in ("20:180", "-45:105 HU"):
        name = window.replace(":", "_")
        folder = sensitive(tmp_path / name, paths, "binary", evaluation={"window": window})
        check_equal(folder, file := medzoo.export(folder, out=tmp_path / f"{name}.onnx"), paths)
        assert json.loads(read_metadata(file)["input"])["window"] == window
    folder = medzoo.save(medzoo.load(folder, num_classes="pretrained"), tmp_path / "rule", card={
        "name": "test_resnet-drawn", "license": "mit", "data": ["drawn"], "labels": LABELS["binary"],
        "evaluation": {"window": "percentile:1,99"}})  # fmt: skip
    with pytest.raises(AssertionError, match="percentile:1,99"):
        by_example(medzoo.export(folder, out=tmp_path / "rule.onnx"), paths)


@pytest.mark.slow
def test_several_classes_by_separate_sigmoids(tmp_path, pictures):
    folder = sensitive(tmp_path / "net", pictures, evaluation={"sigmoid": True}, calibration={"temperature": 1.3})
    check_equal(folder, medzoo.export(folder, out=tmp_path / "net.onnx"), pictures)


@pytest.mark.real
def test_real_radiographs_and_photographs(tmp_path, real_data):
    films = sorted((real_data / "nih_cxr14_fullres").glob("*.png"))[:3]
    eyes = sorted((real_data / "drive").rglob("*.png"))[:2]
    deep = tmp_path / "deep.png"
    values = np.asarray(Image.open(films[0]).convert("L"), np.uint16)
    Image.fromarray(values * 257 + np.arange(values.shape[1], dtype=np.uint16) % 200).save(deep)
    paths = [*films, *eyes, deep]
    folder = sensitive(tmp_path / "net", paths, "binary", **CALIBRATED)
    assert check_equal(folder, medzoo.export(folder, out=tmp_path / "net.onnx"), paths).std(0).min() > 0.1
