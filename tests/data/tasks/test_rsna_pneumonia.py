import csv
import json
import shutil
import warnings

import pytest
from expect import raises
from PIL import Image

from medzoo.bench.cell_options import CellOptions
from medzoo.bench.results.folds import fold_facts
from medzoo.data.split_counts import data_counts
from medzoo.data.task_registry import load_task, task_info
from medzoo.data.tasks import rsna_pneumonia
from medzoo.data.tasks.rsna_pneumonia import BOX_TABLE, CLASS_TABLE, CLASSES, LISTS, MAPPING
from medzoo.errors import DataContractError, SplitError
from medzoo.store import sha256_of


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("data") / "rsna-pneumonia-detection-challenge"
    rsna_pneumonia.fake(place, 12)
    return place


@pytest.fixture
def copy(root, tmp_path):
    shutil.copytree(root, tmp_path / "rsna-pneumonia-detection-challenge")
    return tmp_path / "rsna-pneumonia-detection-challenge"


def classes_of(root):
    with (root / CLASS_TABLE).open() as stream:
        return {row["patientId"]: CLASSES.index(row["class"]) for row in csv.DictReader(stream)}


def write_lists(folder, classes):
    """The studies' lists, and what is in which."""
    keys = list(classes)
    parts = {"train": keys[:18], "val": keys[18:24], "test": keys[24:]}
    for word, chosen in parts.items():
        (folder / LISTS[word]).write_text("".join(f"{key}.png {classes[key]}\n" for key in chosen))
    return parts


def ids_of(task):
    return {split: set(task.column(split, "id")) for split in task.tables}


def test_an_image_with_two_boxes_is_one_row(root):
    with (root / BOX_TABLE).open() as stream:
        assert len(list(csv.DictReader(stream))) == 40
    task = load_task("rsna_pneumonia", root=root.parent)
    found = {
        key: label
        for split in task.tables
        for key, label in zip(task.column(split, "id"), task.labels(split).tolist(), strict=True)
    }
    assert found == classes_of(root) and task.metric == "accuracy"


def test_the_studies_lists_give_exactly_their_splits(root, tmp_path):
    parts = write_lists(tmp_path, classes_of(root))
    task = load_task("rsna_pneumonia", root=root, split_file=tmp_path)
    assert ids_of(task) == {"train": set(parts["train"]), "validation": set(parts["val"]), "test": set(parts["test"])}


def test_the_studies_copies_and_lists_are_enough(root, tmp_path):
    classes = classes_of(root)
    write_lists(tmp_path, classes)
    (tmp_path / "stage_2_train_images_png").mkdir()
    for key in classes:
        Image.new("L", (8, 8)).save(tmp_path / f"stage_2_train_images_png/{key}.png")
    task = load_task("rsna_pneumonia", root=tmp_path)
    assert task.split_hash == load_task("rsna_pneumonia", root=root).split_hash
    assert task.counts("train") == load_task("rsna_pneumonia", root=root).counts("train")
    first = next(iter(classes))
    (tmp_path / LISTS["val"]).write_text(f"{first}.png {(classes[first] + 1) % 3}\n")
    with raises(DataContractError, "label-conflict"):
        load_task("rsna_pneumonia", root=tmp_path)
    (tmp_path / LISTS["val"]).write_text("a.png 3\n")
    with raises(DataContractError, "list-line-invalid"):
        load_task("rsna_pneumonia", root=tmp_path)
    (tmp_path / LISTS["val"]).unlink()
    with raises(DataContractError, "tables-missing"):
        load_task("rsna_pneumonia", root=tmp_path)


def test_with_the_mapping_splits_are_by_patient_of_the_nih(root, copy, tmp_path):
    keys = list(classes_of(root))
    rows = [
        {"subset_img_id": key, "img_id": f"{number // 3:08d}_{number % 3:03d}.png"} for number, key in enumerate(keys)
    ]
    (copy / MAPPING).write_text(json.dumps(rows))
    task = load_task("rsna_pneumonia", root=copy)
    assert set().union(*(task.groups(split) for split in task.tables)) == {f"{number:08d}" for number in range(10)}
    write_lists(tmp_path, dict(sorted(classes_of(root).items())))
    with raises(SplitError, "patients-in-several-splits"):
        load_task("rsna_pneumonia", root=copy, split_file=tmp_path)
    (copy / MAPPING).write_text(json.dumps(rows[1:]))
    with raises(DataContractError, "patient-missing"):
        load_task("rsna_pneumonia", root=copy)
    for content in ("{", '{"a": 1}', '[{"img_id": "x"}]'):
        (copy / MAPPING).write_text(content)
        with raises(DataContractError, "mapping-file-unreadable"):
            load_task("rsna_pneumonia", root=copy)


@pytest.mark.parametrize("file, line, cause", [
    (CLASS_TABLE, "{key},Lung Opacity", "label-conflict"),
    (CLASS_TABLE, "{key},Normal?", "label-outside-classes"),
    (CLASS_TABLE, "gone,Normal", "images-missing"),
    (BOX_TABLE, "{key},1,1,1,1,1", "box-class-conflict"),
])  # fmt: skip
def test_f34_broken_tables_say_why(copy, file, line, cause):
    key = next(iter(classes_of(copy)))
    with (copy / file).open("a") as stream:
        stream.write(line.format(key=key) + "\n")
    with raises(DataContractError, cause):
        load_task("rsna_pneumonia", root=copy)


def test_two_copies_of_the_images_are_not_chosen_between(copy):
    (copy / "stage_2_train_images_png").mkdir()
    with raises(DataContractError, "image-variant-ambiguous"):
        load_task("rsna_pneumonia", root=copy)
    assert load_task("rsna_pneumonia,images=dicom", root=copy).column("train", "image")[0].endswith(".dcm")


def test_without_the_mapping_there_are_no_patients_and_that_is_said(root, copy):
    with pytest.warns(UserWarning, match=MAPPING):
        task = load_task("rsna_pneumonia", root=root)
    assert task.info.groups.startswith("none") and "train patients" not in data_counts(task)
    rows = [
        {"subset_img_id": key, "img_id": f"{number // 3:08d}_000.png"} for number, key in enumerate(classes_of(root))
    ]
    (copy / MAPPING).write_text(json.dumps(rows))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not load_task("rsna_pneumonia", root=copy).info.groups.startswith("none")


def test_splits_and_folds_without_the_mapping_keep_their_identity(root):
    """Written down: stored results name them by these hashes, from when the groups were called those of the NIH or patientId."""
    fold = load_task("rsna_pneumonia", root=root, fold=1)
    assert [load_task("rsna_pneumonia", root=root).split_hash, fold.split_hash] == [
        "f1cae4c4794dc05b205af5b244113e29d83445b8cf2bf735722515484dc141e0",
        "6057b2111999e21c3b6c8bdd5c972817bf0f14f4e4e4fb63a505092850b947b9",
    ]
    options = CellOptions(checkpoint="resnet10t-random", task="rsna_pneumonia", root=str(root), fold=1)
    named = {"folds": 5, "groups": task_info("rsna_pneumonia").groups, "version": "1", "data": fold.fingerprint}
    assert fold_facts(fold, options)["folds"] == {"count": 5, "sha256": sha256_of(named)}
