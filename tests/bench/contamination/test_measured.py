"""Measured duplicates: only test images with a copy in the other data count, and measurements have priority over names."""

import json
from dataclasses import replace

import numpy as np
import pytest
from expect import raises
from PIL import Image
from typer.testing import CliRunner

from medzoo.bench.contamination.measured import MeasuredOverlap, contamination, read_overlap
from medzoo.bench.table.contamination_marks import with_contamination
from medzoo.bench.table.table import table
from medzoo.cli import app
from medzoo.errors import UsageError


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Two test images and one training image of "scans" are also in "pool"; the report is the command's own."""
    root = tmp_path_factory.mktemp("duplicates")
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (48, 48)).astype(np.uint8) for _ in range(8)]
    for name, members in {
        "scans/train/a": [0, 1], "scans/test/a": [2, 3], "scans/test/b": [4], "scans/train/b": [6], "pool/x": [2, 4, 1, 7],
    }.items():  # fmt: skip
        folder = root / name
        folder.mkdir(parents=True)
        for number in members:
            Image.fromarray(pixels[number]).save(folder / f"{number}.png")
    arguments = [
        "tasks",
        "duplicates",
        f"folder:{root}/scans",
        "--groups",
        "none",
        "--against",
        f"folder:{root}/pool",
        "--json",
    ]
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 0, found.output
    file = root / "report.json"
    file.write_text(found.stdout)
    return file


def test_test_images_with_a_copy_are_counted(report):
    found = read_overlap(report)
    assert (found.task, found.data, found.copies) == ("scans", "pool", 2) and found.kinds


def test_measurements_have_priority_over_names():
    none = MeasuredOverlap("rsna_pneumonia", "chestxray14", 0)
    assert contamination(["imagenet", "chestxray14"], "rsna_pneumonia", [none]) == ""
    assert "chexpert" in contamination(["chestxray14", "chexpert"], "chexpert", [none])
    some = MeasuredOverlap("isic", "own", 1)
    assert contamination(["own"], "isic", [some]) == "1 test image is in own (measured)"
    assert contamination(["other"], "isic", [some]) == "" and contamination(["own"], "chexpert", [some]) == ""


def test_marks_in_text_and_page(report, make_run):
    runs = [make_run(checkpoint=name, task="folder:scans")[0] for name in ("resnet18-simclr-pool", "resnet18-imagenet")]
    made = table(runs, duplicates=[report])
    marks = {row.label: cells[0].seen_mark for row, cells in zip(made.rows, made.grid, strict=True)}
    assert marks == {"resnet18-simclr-pool": " §", "resnet18-imagenet": ""}
    assert "2 test images are in pool (measured)" in made.to_text() and "<summary><em>seen</em>" in made.to_html()
    assert "§" not in table(runs).to_text()


def test_a_size_at_the_end_of_a_name_does_not_matter():
    some = MeasuredOverlap("busi_224", "medical_mnist_64", 3)
    assert "3 test images" in contamination(["medical_mnist"], "parquet:busi_224", [some])
    assert contamination(["own"], "parquet:busi_224", [some]) == ""


def test_a_report_that_belongs_to_no_value_is_named(report, make_run):
    run = make_run(checkpoint="resnet18-simclr-other", task="folder:scans")[0]
    (note,) = [note for note in table([run], duplicates=[report]).footnotes if "belongs to no value" in note]
    assert "pool" in note and "scans" in note
    run = make_run(checkpoint="resnet18-simclr-pool", task="folder:scans")[0]
    assert not any("belongs to no value" in note for note in table([run], duplicates=[report]).footnotes)


@pytest.mark.parametrize("row", ["hf-hub:lab/resnet18-simclr-chestxray14@0123abc", "runs/anything/checkpoint"])
def test_a_row_is_marked_however_it_is_spelled(make_run, row):
    """A pinned address has a revision after the data, and a run folder has no data in its name; its results have."""
    run = make_run(checkpoint="resnet18-simclr-chestxray14", task="chestxray14")[0]
    made = table([run])
    rows = [replace(made.rows[0], checkpoint=row)]
    names = {run["run_id"]: run["identity"]["checkpoint"]["id"]}
    ((cell,),) = with_contamination(rows, made.columns, made.grid, names)
    assert cell.seen_mark == " §"
    ((cell,),) = with_contamination(rows, made.columns, made.grid, {})
    assert (cell.seen_mark == " §") == row.startswith("hf-hub:")


@pytest.mark.parametrize("content", ["{", "[]", '{"task": "a"}', '{"against": "b", "task": "a", "groups": [1]}'])
def test_files_that_are_not_reports(tmp_path, content):
    file = tmp_path / "report.json"
    file.write_text(content)
    with raises(UsageError, "duplicates-report-invalid"):
        read_overlap(file)
    with raises(UsageError, "duplicates-report-invalid"):
        read_overlap(tmp_path / "absent.json")


def test_a_report_of_a_task_alone(tmp_path):
    file = tmp_path / "report.json"
    file.write_text(json.dumps({"task": "a", "against": None, "groups": []}))
    with raises(UsageError, "duplicates-without-data"):
        read_overlap(file)
