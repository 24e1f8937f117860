"""`medzoo predict` of a segmentation run: the masks of the run's own test, at the size of each image, and what is refused."""

import json

import numpy as np
import pandas
import pyarrow.parquet as pq
import pytest
import torch
from dicom_samples import image, written
from expect import raises
from PIL import Image

import medzoo
from medzoo.bench.metrics.masks.rows import MaskRows
from medzoo.bench.results import store as results
from medzoo.bench.run import CellOptions, run_cell
from medzoo.data.tasks import drive
from medzoo.errors import ImageError, IntegrityError, UsageError
from medzoo.training.segmentation.masks import classes_at, classes_of

SIDE = 32  # of the stored images: windows of 16 pixels cover them


@pytest.fixture
def trained(tiny_hub, tmp_path):
    """A run whose test slides windows over images of 32 pixels and averages mirror images."""
    drive.fake(tmp_path / "drive", 3)
    protocol = tmp_path / "own.toml"
    protocol.write_text(
        '[segmentation]\ncrop_share = 0.5\nmin_area = 1.0\naugmented_test = "flip"\nwindow_overlap = 0.25\n'
    )
    return run_cell(
        CellOptions(
            checkpoint="lab/tiny", hub=str(tiny_hub), task="drive", root=str(tmp_path / "drive"), size=16, epochs=1, batch_size=3,
            precision="fp32", device="cpu", out=str(tmp_path / "run"), results=str(tmp_path / "results"), protocol=str(protocol),
        )
    )  # fmt: skip


def test_the_masks_of_the_run(trained, tmp_path, run, monkeypatch):
    # images and true masks at the side of the run's test
    from medzoo.bench.run_steps import decoded_split

    task = medzoo.load_task("drive", root=tmp_path / "drive")
    test, films = decoded_split(task, "test", SIDE), tmp_path / "films"
    films.mkdir()
    for name, row in zip(test.ids, test.images[:], strict=True):
        Image.fromarray(row).save(films / f"{name.replace('/', '_')}.png")
    paths = [films / f"{name.replace('/', '_')}.png" for name in test.ids]
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("predict", trained.run, *paths, "--out", tmp_path / "t.csv", "--overlay", "--batch-size", 2)
    assert code == 0 and "3 images" in out
    table = pandas.read_csv(tmp_path / "t.csv")
    assert list(table) == [
        "path", "key", "patient_id", "mask", "overlay", "pixels_vessel", "mm2_vessel", "share_vessel",
    ]  # fmt: skip
    masks = np.stack([np.array(Image.open(tmp_path / name)) for name in table["mask"]])
    found, true = masks == 1, test.masks[:] == 1
    counts = np.stack([(found & true).sum((1, 2)), (found & ~true).sum((1, 2)), (~found & true).sum((1, 2))], axis=-1)
    stored = MaskRows.from_table(pq.read_table(results.predictions_path(trained.path)))
    assert stored.counts[:, 0].tolist() == counts.tolist() and counts[..., 0].sum() > 0
    assert table.pixels_vessel.tolist() == (masks == 1).sum((1, 2)).tolist() and table.mm2_vessel.isna().all()
    np.testing.assert_allclose(table.share_vessel, (masks == 1).mean((1, 2)))
    assert Image.open(tmp_path / table["mask"][0]).mode == "P" and Image.open(tmp_path / table.overlay[0]).mode == "RGB"
    # the same table in Python, with and without files; without mirror images it differs
    frame = medzoo.predict(trained.run, paths, masks_out=tmp_path / "own", overlay=True, device="cpu")
    assert list(frame) == list(table) and frame["mask"].tolist() == [
        str(tmp_path / "own" / n.split("/")[1]) for n in table["mask"]
    ]
    bare = medzoo.predict(trained.run, paths, device="cpu")
    assert "mask" not in bare and bare.pixels_vessel.tolist() == table.pixels_vessel.tolist()
    one = medzoo.predict(trained.run, paths, views="one", device="cpu")
    assert one.pixels_vessel.tolist() != bare.pixels_vessel.tolist()


def test_sizes_areas_and_errors(trained, tmp_path, run):
    films = tmp_path / "films"
    films.mkdir()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (70, 41, 3), dtype=np.uint8)).save(films / "a.png")
    (films / "b.png").write_bytes(b"broken")
    pixels = rng.integers(0, 4096, (2, 50, 30), dtype=np.uint16)
    (films / "c.dcm").write_bytes(written(image(pixels, bits=12, PixelSpacing=[0.5, 0.25])))
    (films / "d.dcm").write_bytes(written(image(pixels[0], bits=12, ImagerPixelSpacing=[0.5, 0.25])))
    code, _, err = run("predict", trained.run, films, "--out", tmp_path / "t.parquet")
    assert code == 1 and "b.png" in err
    table = pandas.read_parquet(tmp_path / "t.parquet")
    assert [path.rpartition("/")[2] for path in table.path] == ["a.png", "c.dcm", "c.dcm", "d.dcm"]
    assert [Image.open(tmp_path / name).size for name in table["mask"]] == [(41, 70), (30, 50), (30, 50), (30, 50)]
    assert table.mm2_vessel[1:3].tolist() == (table.pixels_vessel[1:3] * 0.125).tolist()
    assert table.mm2_vessel.isna().tolist() == [True, False, False, True]  # at the detector, not in the patient
    assert pandas.read_csv(tmp_path / "t.errors.csv").path.tolist() == [str(films / "b.png")]
    # masks of another prediction are kept
    code, _, err = run("predict", trained.run, films, "--out", tmp_path / "t.parquet")
    assert code == 2 and "t_masks" in err
    with raises(UsageError, "explain-out-inside-images"):
        medzoo.predict(trained.run, films, masks_out=films / "masks")
    with raises(ImageError, "no-predictions"):
        medzoo.predict(trained.run, films / "b.png", masks_out=tmp_path / "none")
    assert not (tmp_path / "none").exists() and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"by": "patient"}, "not-by-patient"),
        ({"explain": "gradcam", "explain_out": "maps"}, "explain-not-for-masks"),
        ({"overlay": True}, "overlay-needs-folder"),
        ({"embeddings": True, "masks_out": "masks"}, "embeddings-not-with-masks"),
    ],
)
def test_options_of_labels_are_refused(trained, options, code):
    with raises(UsageError, code):
        medzoo.predict(trained.run, np.zeros((9, 9), np.uint8), **options)


def test_a_changed_decoder_or_that_of_another_run_is_refused(trained, tmp_path):
    file, shown = trained.run / "checkpoint" / "decoder.safetensors", np.zeros((9, 9), np.uint8)
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with raises(IntegrityError, "decoder-hash-wrong"):
        medzoo.predict(trained.run, shown)
    # the decoder of another network, with its own hash in the configuration
    from safetensors.torch import load, save_file

    save_file({name: value[:1].clone() for name, value in load(content).items() if value.ndim}, file)
    config = json.loads((trained.run / "checkpoint" / "config.json").read_text())
    from medzoo.store import sha256_file

    config["medzoo"]["decoder"]["sha256"] = sha256_file(file)
    (trained.run / "checkpoint" / "config.json").write_text(json.dumps(config))
    with raises(IntegrityError, "decoder-does-not-match"):
        medzoo.predict(trained.run, shown)
    file.unlink()
    with raises(IntegrityError, "decoder-file-missing"):
        medzoo.predict(trained.run, shown)


def test_masks_are_for_segmentations():
    with raises(UsageError, "masks-need-segmentation"):
        medzoo.predict("resnet10t-random", np.zeros((9, 9), np.uint8), embeddings=True, masks_out="masks")


@pytest.mark.parametrize("outputs", [1, 2, 5])
def test_classes_at_the_size_of_the_image(outputs):
    logits = torch.randn(outputs, 6, 5, generator=torch.Generator().manual_seed(outputs))
    assert torch.equal(classes_at(logits, (6, 5)), classes_of(logits[None])[0])
    large = torch.nn.functional.interpolate(logits[None], (17, 9), mode="bilinear", align_corners=False)
    assert torch.equal(classes_at(logits, (17, 9)), classes_of(large)[0])
