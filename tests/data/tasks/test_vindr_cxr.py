import csv
import shutil

import numpy as np
import pytest
from expect import raises
from PIL import Image

from medzoo.data.task_registry import load_task
from medzoo.data.tasks import vindr_cxr
from medzoo.data.tasks.vindr_cxr import CLASSES, LISTS, TABLES
from medzoo.errors import DataContractError, UsageError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("data") / "1.0.0"
    vindr_cxr.fake(place, 12)
    return place


@pytest.fixture
def copy(root, tmp_path):
    shutil.copytree(root, tmp_path / "1.0.0")
    return tmp_path / "1.0.0"


def rows_of(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def with_lists(root):
    """The studies' files instead of the published ones: JPEG copies, and lists of the votes of any radiologist."""
    for split in ("train", "test"):
        marks = {}
        for row in rows_of(root / TABLES[split]):
            marks.setdefault(row["image_id"], []).append([int(row[name]) for name in CLASSES])
        lines = [f"{split}_jpeg/{image} {' '.join(map(str, np.max(votes, axis=0)))} " for image, votes in marks.items()]
        (root / LISTS[split]).write_text("\n".join(lines) + "\n")
        (root / f"{split}_jpeg").mkdir()
        for number, image in enumerate(marks):
            Image.new("L", (8, 8), number).save(root / f"{split}_jpeg/{image}.{('jpeg', 'jpg')[number % 2]}")
    return root


def test_any_radiologist_or_most_of_them(root):
    votes = {}
    for row in rows_of(root / TABLES["train"]):
        votes.setdefault(row["image_id"], []).append([int(row[name]) for name in CLASSES])
    for rule, share in (("any", 0.0), ("majority", 0.5)):
        task = load_task(f"vindr_cxr,votes={rule}", root=root)
        for split in ("train", "validation"):
            for image, labels in zip(task.column(split, "id"), task.labels(split), strict=True):
                assert np.array_equal(labels, np.mean(votes[image], axis=0) > share)
    names = [load_task(f"vindr_cxr,votes={rule}", root=root).name for rule in ("any", "majority")]
    assert names == ["vindr_cxr", "vindr_cxr,votes=majority"]


def test_both_photometric_interpretations_are_read_upright(root):
    task = load_task("vindr_cxr", root=root)
    notes = [task.read("train", row)[0].notes for row in range(task.tables["train"].num_rows)]
    inverted = [any("MONOCHROME1" in note for note in one) for one in notes]
    assert any(inverted) and not all(inverted)


def test_the_studies_lists_give_the_labels_of_the_tables(root, copy):
    task = load_task("vindr_cxr", root=root)
    with_lists(copy)
    shutil.rmtree(copy / "annotations")
    other = load_task("vindr_cxr,images=jpeg", root=copy)
    assert task.split_hash == other.split_hash
    for split in task.tables:
        assert task.column(split, "id") == other.column(split, "id")
        assert np.array_equal(task.labels(split), other.labels(split))
    assert {key.rpartition(".")[2] for key in other.column("train", "image")} == {"jpeg", "jpg"}
    with raises(UsageError, "choice-needs-table"):
        load_task("vindr_cxr,images=jpeg,votes=majority", root=copy)


def test_the_studies_lists_as_a_split(root, copy, tmp_path):
    with_lists(copy)
    lists = tmp_path / "lists"
    lists.mkdir()
    for file in LISTS.values():
        shutil.copy(copy / file, lists / file)
    task = load_task("vindr_cxr", root=root, split_file=lists)
    assert task.tables["test"].num_rows == 12
    assert task.column("test", "id") == load_task("vindr_cxr", root=root).column("test", "id")


def test_two_copies_of_the_images_are_not_chosen_between(copy):
    with_lists(copy)
    with raises(DataContractError, "image-variant-ambiguous"):
        load_task("vindr_cxr", root=copy)
    assert load_task("vindr_cxr,images=dicom", root=copy).column("test", "image")[0].endswith(".dicom")
    with raises(DataContractError, "image-variant-missing"):
        load_task("vindr_cxr,images=png", root=copy)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", ["Other disease", "Other diseases"])
def test_the_published_tables_name_a_column_in_two_ways(root, copy, split, name):
    table = copy / TABLES[split]
    table.write_text(table.read_text().replace("Other diseases", name))
    one, other = load_task("vindr_cxr", root=root), load_task("vindr_cxr", root=copy)
    assert one.classes == other.classes and one.split_hash == other.split_hash
    assert all(np.array_equal(one.labels(split), other.labels(split)) for split in one.tables)
    table.write_text(table.read_text().replace(name, "Others"))
    with raises(DataContractError, "columns-missing"):
        load_task("vindr_cxr", root=copy)


@pytest.mark.parametrize("change, cause", [
    (lambda rows: [*rows, rows[0]], "rater-duplicated"),
    (lambda rows: [rows[0] | {"Pneumonia": "0.5"}, *rows[1:]], "label-invalid"),
    (lambda rows: [*rows, rows[0] | {"image_id": "gone"}], "images-missing"),
    (lambda rows: [{key: value for key, value in row.items() if key != "Lung tumor"} for row in rows], "columns-missing"),
])  # fmt: skip
def test_f34_broken_tables_say_why(copy, change, cause):
    rows = change(rows_of(copy / TABLES["train"]))
    with (copy / TABLES["train"]).open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with raises(DataContractError, cause):
        load_task("vindr_cxr", root=copy)


def test_broken_lists_say_why(copy):
    with_lists(copy)
    shutil.rmtree(copy / "annotations")
    for line in ("train_jpeg/a 0 0 0 0 1", "train_jpeg/a 0 0 0 0 1 2"):
        (copy / LISTS["train"]).write_text(f"{line}\n")
        with raises(DataContractError, "list-line-invalid"):
            load_task("vindr_cxr,images=jpeg", root=copy)
    (copy / LISTS["test"]).unlink()
    with raises(DataContractError, "tables-missing"):
        load_task("vindr_cxr,images=jpeg", root=copy)
