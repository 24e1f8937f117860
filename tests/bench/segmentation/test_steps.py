"""A segmentation from end to end: the result, the table of its images, and the folder that gives the network again."""

import json

import numpy as np
import pytest
import timm
import torch
from expect import raises
from PIL import Image

import medzoo
from medzoo.bench import metrics
from medzoo.bench.metrics.masks.rows import MM, PIXELS, MaskRows, mask_scores
from medzoo.bench.results import store as results
from medzoo.bench.run import CellOptions, CellRun, run_cell
from medzoo.bench.segmentation.draw_masks import MISSED, RIGHT, WRONG
from medzoo.data.task_registry import load_task
from medzoo.data.tasks import brats, drive, lits
from medzoo.errors import DataContractError, IntegrityError, UsageError
from medzoo.training.options.protocol import load_protocol


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


def test_a_run_leaves_a_result_whose_numbers_follow_from_its_table(options, painted):
    import pyarrow.parquet as pq

    outcome = run_cell(options())
    stored = json.loads(outcome.path.read_text())
    results.validate(stored)
    assert stored["metric"] == "dice" and stored["selection"]["metric"] == "dice" and 0 <= outcome.headline <= 1
    table = pq.read_table(results.predictions_path(outcome.path))
    assert table.num_rows == 10 and mask_scores(MaskRows.from_table(table)) == stored["metrics"]
    found = {row["name"]: row for row in stored["metrics"]}
    means = {
        "dice",
        "dice_per_case",
        "dice_pooled",
        "iou",
        "iou_per_case",
        "iou_pooled",
        "dice_original",
        "pixel_auroc",
    }
    assert set(found) == means | {*MM, *PIXELS} and all(name in metrics.METRICS for name in found)
    assert found["hd95"]["value"] is None and found["hd95"]["undefined"] and found["hd95_pixels"]["value"] >= 0
    assert (table["original_pixels"].to_numpy() == 40 * 32).all()  # the photographs are larger than the input
    true = [table[f"{part}:vessel"].to_numpy() for part in ("tp", "fn")]
    assert (true[0] + true[1] > 0).all() and (table["pixels"].to_numpy() == 32 * 32).all()
    with Image.open(outcome.run / "masks.png") as picture:
        drawn = np.asarray(picture.convert("RGB")).reshape(-1, 3)
        assert picture.width > 1000  # six images, large enough to see whatever the size of the input
        for colour in (RIGHT, WRONG, MISSED):  # in the legend at least
            assert (drawn == colour).all(axis=1).sum() > 50
    again = run_cell(options())
    assert again.cached and again.headline == outcome.headline


@pytest.mark.parametrize("decoder", ["unet", "linear"])
def test_the_run_folder_gives_the_trained_network_bit_for_bit(options, tmp_path, decoder):
    protocol = tmp_path / "own.toml"
    protocol.write_text(f'[segmentation]\nlearning_rate = 1e-2\ndecoder = "{decoder}"\n')
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
    protocol.write_text("[segmentation]\ncrop_share = 0.5\nmin_area = 1.0\n")
    outcome = run_cell(options(protocol=str(protocol), epochs=1, size=16))
    import pyarrow.parquet as pq

    table = pq.read_table(results.predictions_path(outcome.path))
    assert (table["pixels"].to_numpy() == 32 * 32).all()  # evaluated at twice the size of the input


def test_a_probe_is_refused(options):
    with raises(UsageError, "task-kind-not-supported"):
        CellRun(options(), "linear")


def test_a_protocol_of_a_classifier_is_refused_before_anything_is_loaded(options, tmp_path):
    protocol = tmp_path / "own.toml"
    protocol.write_text("[segmentation]\nmixup = 0.2\n")
    with raises(UsageError, "option-not-for-segmentation"):
        CellRun(options(protocol=str(protocol)))


def test_a_protocol_without_a_table_for_masks_is_refused(options, tmp_path):
    protocol = tmp_path / "own.toml"
    protocol.write_text("[finetune]\nepochs = 2\n")
    for name in (str(protocol), "ma2022"):
        with raises(UsageError, "protocol-table-missing"):
            CellRun(options(protocol=name))


def test_a_segmentation_is_a_fine_tuning_with_the_table_of_its_protocol(options):
    cell = CellRun(options(epochs=None, batch_size=None))
    assert cell.protocol.mode == "finetune"
    assert cell.protocol == load_protocol("medzoo", "finetune", kind="segmentation", size=32, precision="fp32")
    cell = CellRun(options(task="phantom_oct", root=None, epochs=None, batch_size=None))
    assert cell.protocol == load_protocol("medzoo", "finetune", kind="multiclass", size=32, precision="fp32")


@pytest.mark.parametrize(
    ("weights", "code"), [("[1.0, 2.0, 3.0]", "class-weights-count"), ("balanced", "option-not-for-segmentation")]
)
def test_weights_are_one_number_for_the_background_and_each_class(options, weights, code):
    assert CellRun(options(set="class_weights=[1.0, 2.0]")).protocol.class_weights == (1.0, 2.0)
    with raises(UsageError, code):
        CellRun(options(set=f"class_weights={weights}"))


def test_the_plain_u_net_keeps_its_decoder(options):
    cell = CellRun(options(checkpoint="unet-scratch", hub=None, protocol="hosseinzadeh2025"))
    cell.load()
    assert cell.protocol.decoder == "upernet" and cell.model.decoder_name == "unet"


@pytest.mark.parametrize(("family", "name"), [(lits, "lits"), (brats, "brats2020")])
def test_slices_of_volumes_are_scored_per_case(options, tmp_path, family, name):
    """By hand from the stored counts: the slices of a volume are summed, then the mean over volumes; distances are in mm."""
    import pyarrow.parquet as pq

    family.fake(tmp_path / name, 20)
    outcome = run_cell(options(task=name, root=str(tmp_path / name), epochs=1, size=32))
    table = pq.read_table(results.predictions_path(outcome.path)).to_pandas()
    structures = {"lits": ["liver", "lesion"], "brats2020": ["ET", "WT", "TC"]}[name]
    cases = table.groupby("patient").sum(numeric_only=True)
    assert 1 < len(cases) < len(table)
    rows = {(row["name"], row["label"]): row for row in outcome.result["metrics"]}
    for one in structures:
        hits, wrong, missed = (cases[f"{part}:{one}"] for part in ("tp", "fp", "fn"))
        total = 2 * hits + wrong + missed
        expected = (2 * hits / total).where(total > 0, 1.0).mean()
        row = rows["dice_per_case", one]
        assert row["value"] == pytest.approx(expected) and row["n"] == row["n_patients"] == len(cases)
        assert rows["hd95", one]["value"] >= 0 and ("hd95_pixels", one) not in rows
    assert rows["dice_per_case", None]["n_labels"] == len(structures)
    if name == "brats2020":  # a region contains the other
        assert all(table["tp:WT"] + table["fn:WT"] >= table["tp:ET"] + table["fn:ET"])
        assert (table["original_tp:WT"] + table["original_fn:WT"]).max() == 16 * 16


def test_scores_at_the_masks_size_are_those_of_a_prediction_made_by_hand(options):
    """Logits that are the resized mask give the mask again, at a size and with a spacing that are not the network's."""
    import torch.nn.functional as functional

    from medzoo.bench.segmentation.evaluate import _at_mask, spacings_of

    mask = np.zeros((60, 40), np.uint8)
    mask[10:40, 10:30] = 1
    logits = functional.interpolate(torch.from_numpy(mask)[None, None].float() - 0.5, (30, 20), mode="nearest")[0]
    counts, pixels, ((hd95, pooled, nsd),) = _at_mask(logits, mask, [(1,)], (0.5, 2.0))
    assert pixels == 60 * 40 and counts.tolist() == [[[600, 0, 0]]] and (hd95, pooled, nsd) == (0, 0, 1)
    moved = np.roll(mask, 4, axis=1)
    assert _at_mask(logits, moved, [(1,)], (0.5, 2.0))[2][0][0] == pytest.approx(8.0)  # 4 columns of 2 mm
    moved[0] = 255  # without annotation
    assert _at_mask(logits, moved, [(1,)], None)[1] == 59 * 40
    drawn = load_task("phantom_lesions,n=4,n_validation=4,n_test=4,image_size=32")
    assert spacings_of(drawn, "test") == [(12.0, 12.0)] * 4


def test_a_decoder_that_the_network_cannot_carry_is_refused(options, tmp_path):
    protocol = tmp_path / "own.toml"
    protocol.write_text('[segmentation]\ndecoder = "dpt"\n')
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
    from medzoo.bench.segmentation.evaluate import field_masks

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
