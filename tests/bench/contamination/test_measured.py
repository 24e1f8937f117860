"""Measured duplicates: only test images with a copy in the other data count, and measurements have priority over names."""

import json

import numpy as np
import pytest
from expect import raises
from PIL import Image
from typer.testing import CliRunner

from medzoo.bench.contamination.measured import MeasuredOverlap, contamination, read_overlap
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
