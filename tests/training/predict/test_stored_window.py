"""The window of a fine-tuning is in the folder, and predictions use it: CT is on the same scale as in training."""

import json

import numpy as np
import pytest
import timm
import torch
from expect import raises

import medzoo
from medzoo.bench.trained_folder import _window
from medzoo.errors import CardError, IntegrityError

nibabel = pytest.importorskip("nibabel")
VALUES = np.random.default_rng(0).integers(-200, 300, (40, 40, 3)).astype(np.int16)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=2)


@pytest.fixture
def scan(tmp_path):
    nibabel.save(nibabel.Nifti1Image(VALUES, np.eye(4)), path := tmp_path / "scan.nii.gz")
    return f"{path}#1"


def saved(net, folder, window):
    card = {"name": "test_resnet-liver", "license": "mit", "data": ["liver"], "labels": ["none", "lesion"]}
    return medzoo.save(net, folder, card=card | ({"evaluation": {"window": window}} if window else {}))


def probability(folder, images, **options):
    return medzoo.predict(folder, images, **options)["probability_lesion"].tolist()


@pytest.mark.parametrize(
    ("stored", "typed"), [("-45:105 HU", (-45, 105)), ("0:250", (0, 250)), ("percentile:1,99", "percentile:1,99")]
)
def test_predictions_use_the_stored_window(net, scan, tmp_path, stored, typed):
    folder, plain = saved(net, tmp_path / "windowed", stored), saved(net, tmp_path / "plain", None)
    assert json.loads((folder / "config.json").read_text())["medzoo"]["schema"] == "medzoo.folder/3"
    expected = probability(plain, scan, window=typed)
    assert probability(folder, scan) == pytest.approx(expected)
    assert probability(folder, scan, window=(-1000, 1000)) == pytest.approx(
        probability(plain, scan, window=(-1000, 1000))
    )
    assert probability(folder, scan) != pytest.approx(probability(folder, scan, window=(-1000, 1000)))
    ours = medzoo.transform(folder)(scan)
    assert torch.allclose(ours, medzoo.transform(plain, window=typed)(scan), atol=1e-6)
    assert torch.equal(ours, medzoo.transform(medzoo.load(folder, num_classes="pretrained"))(scan))


def test_a_window_in_hu_leaves_grey_pictures_as_they_are(net, tmp_path):
    """A PNG of CT was windowed by those who wrote it; a colour picture is not CT."""
    folder, plain = saved(net, tmp_path / "windowed", "-45:105 HU"), saved(net, tmp_path / "plain", None)
    grey = np.random.default_rng(1).integers(0, 255, (30, 30)).astype(np.uint8)
    assert probability(folder, [grey]) == probability(plain, [grey])
    with pytest.warns(UserWarning, match="window-needs-hu"):
        frame = medzoo.predict(folder, [grey, np.zeros((30, 30, 3), np.uint8)])
    assert [row["code"] for row in frame.attrs["errors"]] == ["window-needs-hu"]


def test_none_uses_no_window(net, tmp_path):
    folder, plain = saved(net, tmp_path / "windowed", "0:100"), saved(net, tmp_path / "plain", None)
    grey = np.full((30, 30), 200, np.uint8)
    assert probability(folder, [grey], window="none") == probability(plain, [grey]) != probability(folder, [grey])


@pytest.mark.parametrize("wrong", ["", "-45:105 hu ", "__import__('os')", "x" * 99])
def test_a_window_that_is_not_one_is_refused(net, tmp_path, wrong):
    with raises(CardError, "evaluation-invalid"):
        saved(net, tmp_path / "folder", wrong or " ")


def test_an_earlier_schema_has_no_window(net, tmp_path):
    folder = saved(net, tmp_path / "folder", "0:100")
    config = json.loads((folder / "config.json").read_text())
    config["medzoo"]["schema"] = "medzoo.folder/2"
    (folder / "config.json").write_text(json.dumps(config))
    with raises(IntegrityError, "evaluation-invalid", match="medzoo.folder/3"):
        medzoo.load(folder)


def test_the_window_of_a_task_is_stored_with_its_unit(scan, tmp_path):
    for number in range(8):
        nibabel.save(nibabel.Nifti1Image(VALUES, np.eye(4)), tmp_path / f"p{number}.nii.gz")
    rows = [f"p{number}.nii.gz#{index},{'ab'[index % 2]},p{number}" for number in range(8) for index in (0, 1)]
    (tmp_path / "labels.csv").write_text("\n".join(["image,label,patient_id", *rows]))
    for choice, stored in ((",window=0:4095", "0:4095"), (",window=percentile:1,99", "percentile:1,99")):
        assert _window(medzoo.load_task(f"folder:{tmp_path}{choice}")) == stored
    assert _window(medzoo.load_task("phantom_ct,n=8,n_validation=4,n_test=4")) == "-160:240 HU"
    assert _window(medzoo.load_task("phantom_oct,n=8,n_validation=4,n_test=4")) is None
