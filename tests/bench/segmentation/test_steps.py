"""A segmentation from end to end: the result, the table of its images, and the folder that gives the network again."""

import json

import numpy as np
import pytest
import timm
import torch
from expect import raises
from PIL import Image

import medzoo
from medzoo.bench.results import store as results
from medzoo.bench.run import CellOptions, CellRun, run_cell
from medzoo.bench.segmentation.scores import MaskRows, mask_scores
from medzoo.data.tasks import drive
from medzoo.errors import DataContractError, IntegrityError, UsageError


@pytest.fixture
def options(tiny_hub, tmp_path):
    drive.fake(tmp_path / "drive", 10)

    def make(**changes) -> CellOptions:
        usual = {
            "checkpoint": "lab/tiny", "hub": str(tiny_hub), "task": "drive", "root": str(tmp_path / "drive"), "size": 32,
            "epochs": 2, "batch_size": 4, "precision": "fp32", "device": "cpu", "out": str(tmp_path / "run"),
            "results": str(tmp_path / "results"),
        }  # fmt: skip
        return CellOptions(**{**usual, **changes})

    return make


def test_a_run_leaves_a_result_whose_numbers_follow_from_its_table(options):
    import pyarrow.parquet as pq

    outcome = run_cell(options())
    stored = json.loads(outcome.path.read_text())
    results.validate(stored)
    assert stored["metric"] == "dice" and stored["selection"]["metric"] == "dice" and 0 <= outcome.headline <= 1
    table = pq.read_table(results.predictions_path(outcome.path))
    assert table.num_rows == 10 and mask_scores(MaskRows.from_table(table)) == stored["metrics"]
    assert {row["name"] for row in stored["metrics"]} == {"dice", "dice_pooled", "iou", "pixel_auroc"}
    true = [table[f"{part}:vessel"].to_numpy() for part in ("tp", "fn")]
    assert (true[0] + true[1] > 0).all() and (table["pixels"].to_numpy() == 32 * 32).all()
    again = run_cell(options())
    assert again.cached and again.headline == outcome.headline


@pytest.mark.parametrize("decoder", ["unet", "linear"])
def test_the_run_folder_gives_the_trained_network_bit_for_bit(options, tmp_path, decoder):
    protocol = tmp_path / "own.toml"
    protocol.write_text(f'[finetune]\nlearning_rate = 1e-2\ndecoder = "{decoder}"\n')
    cell = CellRun(options(protocol=str(protocol)))
    cell.load()
    with cell.running():
        cell.train()
        cell.evaluate()
        cell.store()
    run = cell.outcome.run
    restored = medzoo.segmenter(str(run))
    x = torch.rand(3, 3, 32, 32)
    trained = cell.model.cpu().eval().to(memory_format=torch.contiguous_format)  # the loop uses channels_last
    with torch.no_grad():
        assert torch.equal(restored(x), trained(x))
        last = {"memory_format": torch.channels_last}
        assert torch.equal(restored.to(**last)(x.to(**last)), trained.to(**last)(x.to(**last)))
    assert restored.classes == ("vessel",) and restored.size == 32 and restored.decoder_name == decoder
    # the encoder is a plain checkpoint, for medzoo and timm; its receipt has the training
    encoder = medzoo.load(str(run))
    assert encoder(x).ndim == 2 and encoder.load_receipt.lineage[-1]["data"] == "drive"
    fresh = medzoo.segmenter(str(run), classes=4, decoder=decoder)
    pairs = zip(fresh.encoder.parameters(), restored.encoder.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)


def test_a_changed_or_missing_decoder_is_refused(options):
    run = run_cell(options(epochs=1)).run
    file = run / "checkpoint" / "decoder.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    with raises(IntegrityError, "decoder-hash-wrong"):
        medzoo.segmenter(str(run))
    file.unlink()
    with raises(IntegrityError, "decoder-file-missing"):
        medzoo.segmenter(str(run))


def test_stored_images_may_be_larger_than_the_input(options, tmp_path):
    protocol = tmp_path / "own.toml"
    protocol.write_text("[finetune]\ncrop_share = 0.5\nmin_area = 1.0\n")
    outcome = run_cell(options(protocol=str(protocol), epochs=1, size=16))
    import pyarrow.parquet as pq

    table = pq.read_table(results.predictions_path(outcome.path))
    assert (table["pixels"].to_numpy() == 32 * 32).all()  # evaluated at twice the size of the input


def test_a_probe_is_refused(options):
    with raises(UsageError, "task-kind-not-supported"):
        CellRun(options(), "linear")


def test_a_protocol_of_a_classifier_is_refused_before_anything_is_loaded(options, tmp_path):
    protocol = tmp_path / "own.toml"
    protocol.write_text("[finetune]\nmixup = 0.2\n")
    with raises(UsageError, "option-not-for-segmentation"):
        CellRun(options(protocol=str(protocol)))


def test_a_decoder_that_the_network_cannot_carry_is_refused(options, tmp_path):
    protocol = tmp_path / "own.toml"
    protocol.write_text('[finetune]\ndecoder = "dpt"\n')
    with raises(UsageError, "decoder-does-not-fit"):
        CellRun(options(protocol=str(protocol))).load()


def test_a_mask_of_another_size_and_an_image_without_a_mask_are_refused(options, tmp_path):
    masks = tmp_path / "drive" / "training" / "1st_manual"
    file = sorted(masks.iterdir())[0]
    kept = file.read_bytes()
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(file)
    with raises(DataContractError, "mask-size-mismatch"):
        CellRun(options())
    file.write_bytes(kept)
    CellRun(options())
    file.unlink()
    with raises(DataContractError, "partner-files-missing"):
        CellRun(options())


def test_a_field_of_view_is_used_where_the_task_has_one(options):
    from medzoo.bench.segmentation.steps import field_masks

    cell = CellRun(options())
    fields = field_masks(cell.task, "test", 20)
    assert fields.shape == (10, 20, 20) and fields[:, 0].sum() == 0 and fields[:, 10, 10].all()
    tables = {split: table.drop_columns(["fov"]) for split, table in cell.task.tables.items()}
    assert field_masks(cell.task.with_tables(tables), "test", 20) is None


@pytest.mark.parametrize("architecture", ["test_vit", "test_convnext", "swin_tiny_patch4_window7_224"])
def test_every_kind_of_network_comes_back_from_its_folder(options, tmp_path, architecture):
    """Also at another size, for which the position tables of transformers are resized."""
    keywords = {"embed_dim": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 3, 4)} if "swin" in architecture else {}
    model = timm.create_model(architecture, num_classes=0, **keywords)
    card = {"name": "small-noise", "license": "mit", "data": ["noise"]}
    if keywords:
        card["model"] = {"kwargs": keywords}
    medzoo.save(model, tmp_path / "small", card=card)
    cell = CellRun(options(checkpoint=str(tmp_path / "small"), size=64, epochs=1))
    cell.load()
    with cell.running():
        cell.train()
        cell.evaluate()
        cell.store()
    restored = medzoo.segmenter(str(cell.outcome.run))
    trained = cell.model.cpu().eval().to(memory_format=torch.contiguous_format)
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(restored(x), trained(x))
    assert restored.decoder_name == ("dpt" if "vit" in architecture else "unet")
