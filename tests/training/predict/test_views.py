"""The views of a run's test, from the folder: centre crop, mirror images, ten crops; and the old folders, which have one view."""

import json

import numpy as np
import pytest
import torch
from expect import raises
from PIL import Image
from predict_samples import pngs, trained

import medzoo
from medzoo.bench.metrics import apply_temperature
from medzoo.errors import CardError, IntegrityError, UsageError
from medzoo.training.inputs.evaluation_views import evaluation_views
from medzoo.training.predict.head import PredictionHead
from medzoo.training.predict.overlay import overlay

TEN = {"crop_share": 0.5, "views": "ten_crop"}


def probabilities(frame):
    return frame[["probability_a", "probability_b", "probability_c"]].to_numpy()


def by_views(folder, paths, views):
    """The mean over views, of images that already have the side before the crop."""
    model, change = medzoo.load(str(folder), num_classes="pretrained"), medzoo.transform(str(folder))
    mean, std = (torch.tensor(one)[:, None, None] for one in (change.mean, change.std))
    rows = []
    for path in paths:
        unit = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1).float() / 255
        with torch.inference_mode():
            each = [model((view(unit[None]) - mean) / std).double().softmax(1) for view in views]
        rows.append(torch.stack(each).mean(0)[0])
    return torch.stack(rows).numpy()


def squares(folder, side=128):
    folder.mkdir()
    for number in range(3):
        array = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(array).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


@pytest.mark.parametrize("views", ["none", "flip", "ten_crop"])
def test_the_views_of_the_folder_are_averaged(tmp_path, views):
    folder, paths = (
        trained(tmp_path / "net", evaluation={"crop_share": 0.5, "views": views}),
        squares(tmp_path / "films"),
    )
    block = json.loads((folder / "config.json").read_text())["medzoo"]
    assert block["schema"] == "medzoo.folder/2" and block["evaluation"]["views"] == views
    found = probabilities(medzoo.predict(folder, paths, device="cpu"))
    np.testing.assert_allclose(found, by_views(folder, paths, evaluation_views(64, 0.5, views)), atol=1e-6)
    one = probabilities(medzoo.predict(folder, paths, views="one", device="cpu"))
    np.testing.assert_allclose(one, by_views(folder, paths, evaluation_views(64, 0.5)), atol=1e-6)
    assert views == "none" or np.abs(one - found).max() > 1e-4


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "binary"])
@pytest.mark.parametrize("sigmoid", [False, True])
def test_the_temperature_is_applied_to_the_mean(kind, sigmoid):
    classes = ("no", "yes") if kind == "binary" else ("a", "b", "c")
    views = [np.random.default_rng(k).normal(0, 3, (5, len(classes))) for k in range(3)]
    plain, tempered = (PredictionHead(kind, classes, t, sigmoid=sigmoid) for t in (1.0, 1.7))
    mean = plain.probabilities(*views)
    np.testing.assert_allclose(mean, np.mean([plain.probabilities(one) for one in views], axis=0), atol=1e-12)
    np.testing.assert_allclose(tempered.probabilities(*views), apply_temperature(mean, 1.7, kind), atol=1e-9)
    single = apply_temperature(plain.probabilities(views[0]), 1.7, kind)
    np.testing.assert_allclose(tempered.probabilities(views[0]), single, atol=1e-9)


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_the_temperature_is_a_power_of_the_probability(sigmoid, count):
    """As the docstrings and the metadata of an export say; only for one view of a softmax, the logits may be divided instead."""
    views = [np.random.default_rng(k).normal(0, 3, (5, 3)) for k in range(count)]
    plain, tempered = (PredictionHead("multiclass", ("a", "b", "c"), t, sigmoid=sigmoid) for t in (1.0, 1.7))
    powers = plain.probabilities(*views) ** (1 / 1.7)
    found = tempered.probabilities(*views)
    np.testing.assert_allclose(found, powers / powers.sum(1, keepdims=True), atol=1e-12)
    divided = plain.probabilities(*(one / 1.7 for one in views))
    assert np.allclose(found, divided) == (count == 1 and not sigmoid)


def test_regression_is_the_mean_of_the_views(tmp_path):
    folder, paths = trained(tmp_path / "net", "regression", evaluation=TEN), squares(tmp_path / "films")
    flipped = []
    for path in paths:
        flipped.append(path.with_name(f"mirror-{path.name}"))
        Image.fromarray(np.array(Image.open(path))[:, ::-1]).save(flipped[-1])
    np.testing.assert_allclose(
        medzoo.predict(folder, paths, device="cpu").value,
        medzoo.predict(folder, flipped, device="cpu").value,
        rtol=1e-4,
    )


def test_heat_maps_and_embeddings_of_several_views(tmp_path):
    folder, paths = trained(tmp_path / "net", evaluation=TEN, size=96), pngs(tmp_path / "films", 2)
    plain = medzoo.predict(folder, paths, device="cpu")
    both = medzoo.predict(
        folder, paths, embeddings=True, explain="gradcam", explain_out=tmp_path / "maps", device="cpu"
    )
    np.testing.assert_allclose(probabilities(both), probabilities(plain), atol=1e-6)
    alone = medzoo.predict(folder, paths, embeddings=True, views="one", device="cpu")
    np.testing.assert_allclose(np.stack(both.embedding), np.stack(alone.embedding), atol=1e-5)
    # the heat of a centre crop is drawn on the centre
    drawn = overlay(np.full((40, 60, 3), 9, np.uint8), np.ones((3, 3)), 0.5)
    assert (drawn[10:30, 15:45] != 9).any(2).all() and (drawn[:10] == 9).all() and (drawn[:, 45:] == 9).all()


@pytest.mark.parametrize(
    "wrong", [{"crop_share": 0.0}, {"crop_share": 1e-9}, {"crop_share": 1.5}, {"window_overlap": 1.0}]
)
def test_a_wrong_evaluation_is_refused(tmp_path, wrong):
    with raises(CardError, "evaluation-invalid"):
        trained(tmp_path / "net", evaluation=wrong)
    folder = trained(tmp_path / "net")
    config = json.loads((folder / "config.json").read_text())
    assert config["medzoo"]["schema"] == "medzoo.folder/1" and "evaluation" not in config["medzoo"]
    config["medzoo"] |= {"evaluation": wrong, "schema": "medzoo.folder/2"}
    (folder / "config.json").write_text(json.dumps(config))
    with raises(IntegrityError, "evaluation-invalid"):
        medzoo.load(str(folder))


def test_unknown_views_are_refused(tmp_path):
    with raises(UsageError, "views-unknown"):
        medzoo.predict(tmp_path, [], views="two")
