"""What holds for the families of chest images with tables of their own: how tables are spelled changes nothing."""

import csv
import gzip
import shutil

import numpy as np
import pytest
from expect import raises

from medzoo.data.task_registry import load_task, open_family, task_info, task_names
from medzoo.errors import DataContractError

# Task → its tables with a header, and of one of them the column whose cells name images.
TABLES = {
    "chexpert": (("train.csv", "valid.csv"), "Path"),
    "mimic_cxr": (("mimic-cxr-2.0.0-chexpert.csv.gz", "mimic-cxr-2.0.0-split.csv.gz", "mimic-cxr-2.0.0-metadata.csv.gz"), ""),
    "vindr_cxr": (("annotations/image_labels_train.csv", "annotations/image_labels_test.csv"), ""),
    "padchest": (("PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv",), "ImageID"),
    "rsna_pneumonia": (("stage_2_detailed_class_info.csv", "stage_2_train_labels.csv"), ""),
    "rsna_pe": (("train.csv",), "SOPInstanceUID"),
    "covidx_ct": (("metadata.csv",), ""),
}  # fmt: skip
NAMES = [*TABLES, "shenzhen", "covidx", "covidx_binary", "chestdr"]


@pytest.fixture(scope="module")
def bring(tmp_path_factory):
    roots = {}

    def of(name):
        if name not in roots:
            roots[name] = tmp_path_factory.mktemp("data") / "root"
            open_family(task_names()[name]).fake(roots[name], 12, 0, name)
        return roots[name]

    return of


def respelled(root, tables, change):
    for table in tables:
        raw = (root / table).read_bytes()
        text = (gzip.decompress(raw) if table.endswith(".gz") else raw).decode()
        content = change(text)
        (root / table).write_bytes(gzip.compress(content) if table.endswith(".gz") else content)


def shuffled(text):
    lines = list(csv.reader(text.splitlines(keepends=True)))
    order = np.random.default_rng(3).permutation(len(lines[0]))
    lines = [[line[place] for place in order] for line in lines]
    return "".join(",".join(f'"{cell}"' for cell in line) + "\n" for line in lines).encode()


def same(one, other):
    assert one.split_hash == other.split_hash
    for split, table in one.tables.items():
        assert np.array_equal(one.labels(split), other.labels(split), equal_nan=True)
        again = other.tables[split]
        others = [column for column in table.column_names if column != "label"]
        assert [column for column in others if not table[column].equals(again[column])] == []


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("change", [shuffled, lambda text: text.replace("\n", "\r\n").encode("utf-8-sig")])
def test_f34_the_order_of_columns_bom_and_crlf_change_nothing(name, change, bring, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(bring(name), root)
    if name == "padchest" and change is not shuffled:
        change = lambda text: text.encode("utf-8-sig")  # its reports hold line breaks  # noqa: E731
    respelled(root, TABLES[name][0], change)
    same(load_task(name, root=bring(name)), load_task(name, root=root))


@pytest.mark.parametrize("name", NAMES)
def test_every_class_is_in_training_in_every_fold(name, bring):
    for seed in (0, 1):
        for fold in range(5):
            task = load_task(name, root=bring(name), fold=fold, seed=seed)
            assert min(task.counts("train").values()) > 0
    assert set(load_task(name, root=bring(name)).counts("train")) == set(task_info(name).classes)


@pytest.mark.parametrize("name", [name for name, (_, column) in TABLES.items() if column])
@pytest.mark.parametrize("cell", ["twice", "", "nan"])
def test_f34_ids_that_occur_twice_or_not_at_all_are_named(name, cell, bring, tmp_path):
    tables, column = TABLES[name]
    root = tmp_path / "copy"
    shutil.copytree(bring(name), root)
    path = root / tables[0]
    with path.open(newline="") as stream:
        rows = list(csv.reader(stream))
    place, kept = rows[0].index(column), 3 if name == "padchest" else 1
    rows.insert(
        kept + 1, [cell if number == place and cell != "twice" else value for number, value in enumerate(rows[kept])]
    )
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    said = ("data-files-missing", "image-path-invalid", "images-missing") if cell != "twice" else "image-id-repeated"
    with raises(DataContractError, said):
        load_task(name, root=root)


@pytest.mark.parametrize("name", NAMES)
def test_a_made_up_choice_is_refused(name, bring):
    with raises(Exception, "task-choice-unknown"):
        load_task(f"{name},colour=red", root=bring(name))


def test_labels_of_data_under_an_agreement_stay_private():
    agreed = {"chexpert", "mimic_cxr", "vindr_cxr", "padchest"}
    assert {name for name in task_names() if not name.endswith(":PATH") and task_info(name).labels_stay} == agreed
    assert all("greement" in task_info(name).license for name in agreed)
