import csv
import gzip
import shutil

import numpy as np
import pytest
from expect import raises

from medzoo.data.task_registry import load_task
from medzoo.data.tasks import mimic_cxr
from medzoo.data.tasks._chexpert_labels import FINDINGS
from medzoo.errors import DataContractError

TABLES = {word: f"mimic-cxr-2.0.0-{word}.csv.gz" for word in ("chexpert", "split", "metadata")}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("data") / "2.0.0"
    mimic_cxr.fake(place, 12)
    return place


@pytest.fixture
def copy(root, tmp_path):
    shutil.copytree(root, tmp_path / "2.0.0")
    return tmp_path / "2.0.0"


def rows_of(root, word):
    with gzip.open(root / TABLES[word], "rt", newline="") as stream:
        return list(csv.DictReader(stream))


def write(root, word, rows):
    with gzip.open(root / TABLES[word], "wt", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_labels_come_by_name_out_of_columns_in_alphabetical_order(root):
    header = list(rows_of(root, "chexpert")[0])[2:]
    assert header == sorted(FINDINGS) != list(FINDINGS)
    task = load_task("mimic_cxr,blank=mask", root=root)
    cells = {row["study_id"]: row for row in rows_of(root, "chexpert")}
    for split in task.tables:
        for study, labels in zip(task.column(split, "study_id"), task.labels(split), strict=True):
            said = [cells[study][name] for name in FINDINGS]
            assert np.array_equal(
                labels, [np.nan if cell in ("", "-1.0") else float(cell) for cell in said], equal_nan=True
            )


def test_the_official_split_and_its_patients(root):
    task = load_task("mimic_cxr", root=root)
    words = {row["dicom_id"]: row["split"] for row in rows_of(root, "split")}
    for split, word in (("train", "train"), ("validation", "validate"), ("test", "test")):
        assert {words[key] for key in task.column(split, "id")} == {word}
    assert not set(task.groups("train")) & set(task.groups("test"))


def test_images_of_studies_without_labels_are_left_out(root):
    labelled = {row["study_id"] for row in rows_of(root, "chexpert")}
    task = load_task("mimic_cxr", root=root)
    studies = {study for split in task.tables for study in task.column(split, "study_id")}
    images = rows_of(root, "split")
    assert studies <= labelled and len({row["study_id"] for row in images} - labelled) == 1
    assert sum(table.num_rows for table in task.tables.values()) == len(images) - 2


def test_views_are_those_of_the_authors(root):
    found = {
        view: {word for split in task.tables for word in task.column(split, "view")}
        for view, task in (
            (view, load_task(f"mimic_cxr,view={view}", root=root)) for view in ("all", "frontal", "lateral")
        )
    }
    assert found == {"all": {"PA", "AP", "LATERAL", "LL", ""}, "frontal": {"PA", "AP"}, "lateral": {"LATERAL", "LL"}}


def test_the_studies_joined_tables_are_the_same_task(root, copy):
    labels = {row["study_id"]: row for row in rows_of(root, "chexpert")}
    for word in ("train", "validate", "test"):
        header = ["image_path", "dicom_id", "study_id", "subject_id", "split", *sorted(FINDINGS)]
        lines = [",".join(header)]
        for row in rows_of(root, "split"):
            if row["split"] == word and row["study_id"] in labels:
                path = f"files/p{row['subject_id'][:2]}/p{row['subject_id']}/s{row['study_id']}/{row['dicom_id']}.jpg"
                cells = {"image_path": path, **row, **labels[row["study_id"]]}
                lines.append(",".join(cells[name] for name in header))
        (copy / f"mimic-cxr-2.0.0-{word}.csv").write_text("\n".join(lines) + "\n")
    (copy / TABLES["chexpert"]).unlink()
    (copy / TABLES["split"]).unlink()
    one, other = load_task("mimic_cxr", root=root), load_task("mimic_cxr", root=copy)
    assert one.split_hash == other.split_hash
    for split in one.tables:
        assert one.column(split, "image") == other.column(split, "image")
        assert np.array_equal(one.labels(split), other.labels(split), equal_nan=True)
        assert one.column(split, "view") == other.column(split, "view")
    (copy / TABLES["metadata"]).unlink()
    assert set(load_task("mimic_cxr", root=copy).column("train", "view")) == {""}
    with raises(DataContractError, "data-layout-unknown", match="metadata"):
        load_task("mimic_cxr,view=frontal", root=copy)


def test_plain_tables_and_the_folders_of_wget(root, tmp_path):
    place = tmp_path / "physionet.org/files/mimic-cxr-jpg/2.1.0"
    shutil.copytree(root, place)
    for file in TABLES.values():
        (place / file.removesuffix(".gz")).write_bytes(gzip.decompress((place / file).read_bytes()))
        (place / file).unlink()
    assert load_task("mimic_cxr", root=tmp_path).split_hash == load_task("mimic_cxr", root=root).split_hash


@pytest.mark.parametrize("word, change, cause", [
    ("chexpert", lambda rows: [*rows, rows[0]], "study-duplicated"),
    ("chexpert", lambda rows: [rows[0] | {"Edema": "2.0"}, *rows[1:]], "label-not-a-mark"),
    ("split", lambda rows: [rows[0] | {"split": "holdout"}, *rows[1:]], "split-name-unknown"),
    ("split", lambda rows: [*rows, rows[0]], "image-id-repeated"),
    ("split", lambda rows: [*rows, rows[0] | {"dicom_id": "gone"}], "data-files-missing"),
    ("split", lambda rows: [rows[0] | {"split": "test"}, *rows[1:]], "patients-in-several-splits"),
])  # fmt: skip
def test_f34_broken_tables_say_why(copy, word, change, cause):
    write(copy, word, change(rows_of(copy, word)))
    with raises(DataContractError, cause):
        load_task("mimic_cxr", root=copy)


def test_a_damaged_archive_says_so(copy):
    path = copy / TABLES["split"]
    path.write_bytes(path.read_bytes()[:200])
    with raises(DataContractError, "gzip-damaged"):
        load_task("mimic_cxr", root=copy)
