"""Suites with masks: the plain U-Net is a row of each, beside labels too, and every metric of masks can be a column."""

import json

import pytest
from expect import raises

from medzoo.bench.dry_run import missing_of
from medzoo.bench.engines import fill_table
from medzoo.bench.suite_options import places_of
from medzoo.bench.suites.preflight import PLAIN_UNET, UNET_LABEL, baseline_notes, kinds_of, runs_of, with_baseline
from medzoo.bench.suites.read import load_suite
from medzoo.errors import UnknownNameError

MASKS = """
[[tasks]]
name = "phantom_lesions,n=6,n_validation=3,n_test=3"
title = "lesions"
size = 32
epochs = 1
batch_size = 3
"""
LABELS = """
[[tasks]]
name = "phantom_oct,n=8,n_validation=4,n_test=4"
title = "OCT"
size = 32
epochs = 1
batch_size = 4
"""


@pytest.fixture
def make(tmp_path, tiny_hub):
    def made(tasks, checkpoints=("lab/tiny",), **top):
        file = tmp_path / "s.toml"
        values = {"seeds": [0], "precision": "fp32", "checkpoints": list(checkpoints), **top}
        file.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()) + tasks)
        return load_suite(file)

    return made


def prepared(suite, tmp_path):
    kinds = kinds_of(suite, places_of(suite, tmp_path / "out"))
    return with_baseline(suite, kinds), kinds


def test_a_suite_with_masks_gets_the_plain_u_net_as_its_last_row(make, tmp_path):
    suite, _ = prepared(make(MASKS), tmp_path)
    assert suite.labels() == {"lab/tiny": "lab/tiny", "unet-scratch": UNET_LABEL}
    for name in PLAIN_UNET:  # a row that the suite names itself stays where it is
        named = make(MASKS, [name, "lab/tiny"])
        assert prepared(named, tmp_path)[0] is named


def test_a_suite_without_masks_and_a_suite_of_probes_stay_as_they_are(make, tmp_path):
    for suite in (make(LABELS), make(LABELS, ["unet-scratch"]), make(MASKS, mode="linear")):
        found, kinds = prepared(suite, tmp_path)
        assert found is suite and len(runs_of(found, kinds)) == len(suite.cells())
        assert suite.mode == "linear" or baseline_notes(found, kinds) == []


def test_beside_masks_the_plain_u_net_has_no_run_on_labels(make, tmp_path):
    suite, kinds = prepared(make(LABELS + MASKS), tmp_path)
    assert kinds == {"OCT": "multiclass", "lesions": "segmentation"}
    assert [(cell.checkpoint, cell.title) for cell in runs_of(suite, kinds)] == [
        ("lab/tiny", "OCT"), ("lab/tiny", "lesions"), ("unet-scratch", "lesions"),
    ]  # fmt: skip
    (note,) = baseline_notes(suite, kinds)
    assert UNET_LABEL in note and note.endswith("OCT.")


def test_the_plain_u_net_has_no_probe(make, tmp_path):
    probed = MASKS.replace('"lesions"', '"lesions, probe"').replace("epochs = 1", 'mode = "dense"')
    suite, kinds = prepared(make(MASKS + probed), tmp_path)
    assert [(cell.checkpoint, cell.title) for cell in runs_of(suite, kinds)] == [
        ("lab/tiny", "lesions"), ("unet-scratch", "lesions"), ("lab/tiny", "lesions, probe"),
    ]  # fmt: skip
    only, kinds = prepared(make(probed), tmp_path)
    assert UNET_LABEL not in only.labels().values()


def test_data_that_are_not_there_have_no_kind(make, tmp_path):
    suite = make(MASKS + '[[tasks]]\nname = "folder:nowhere"\ntitle = "mine"\n')
    _, kinds = prepared(suite, tmp_path)
    assert kinds == {"lesions": "segmentation", "mine": None}


def test_a_table_of_masks_and_labels_from_end_to_end(make, tmp_path, tiny_hub, capsys):
    twice = MASKS.replace('title = "lesions"', 'title = "distances"\nmetric = "hd95"')
    suite, out = make(LABELS + MASKS + twice), tmp_path / "out"
    places = places_of(suite, out, device="cpu", hub=str(tiny_hub))
    assert len(missing_of(suite, places).cells) == 5
    filled = fill_table(suite, out, device="cpu", hub=str(tiny_hub))
    assert filled.failures == [] and len(filled.outcomes) == 5
    text = filled.table.to_markdown(out)
    assert "Dice" in text and "HD95 (mm)" in text and "AUROC" in text and UNET_LABEL in text
    assert "has no run on OCT" in text
    row = next(line for line in text.splitlines() if UNET_LABEL in line and line.startswith("|"))
    assert "—" in row.split("|")[2] and "—" not in row.split("|")[3]
    assert f"row {UNET_LABEL!r}" in capsys.readouterr().err
    assert missing_of(suite, places).cells == []


@pytest.mark.parametrize(
    "metric", ["dice_pooled", "pixel_auroc", "hd95_pixels", "dice_original", "nsd", "dice_per_case"]
)
def test_every_metric_of_masks_can_be_a_column(make, metric):
    assert make(MASKS + f'metric = "{metric}"').tasks[0]["metric"] == metric
    with raises(UnknownNameError, "unknown-metric"):
        make(MASKS + 'metric = "dice_case"')
