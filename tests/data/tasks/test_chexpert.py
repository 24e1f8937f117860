import csv
import shutil

import numpy as np
import pytest
from expect import raises

from medzoo.data.decode_cache.cache import decoded
from medzoo.data.problems import collecting
from medzoo.data.task_registry import load_task, task_info
from medzoo.data.tasks import chexpert
from medzoo.data.tasks._chexpert_labels import FINDINGS, FIVE
from medzoo.errors import DataContractError, UsageError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("data") / "CheXpert-v1.0-small"
    chexpert.fake(place, 12)
    return place


@pytest.fixture
def copy(root, tmp_path):
    place = tmp_path / "CheXpert-v1.0-small"
    shutil.copytree(root, place)
    return place


def edit(path, change):
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    rows = change(rows) or rows
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_fourteen_are_trained_and_five_scored(root):
    task = load_task("chexpert", root=root)
    assert task.classes == FINDINGS and task.info.scored == FIVE == task_info("chexpert").scored


def test_the_folder_and_its_parent_are_the_same_data(root):
    inside, outside = load_task("chexpert", root=root), load_task("chexpert", root=root.parent)
    assert (inside.fingerprint, inside.split_hash) == (outside.fingerprint, outside.split_hash)
    assert outside.read("train", 0)[0].array.shape == (32, 32)


def test_two_copies_are_not_chosen_between(copy):
    shutil.copytree(copy, copy.parent / "CheXpert-v1.0")
    with raises(DataContractError, "several-data-copies"):
        load_task("chexpert", root=copy.parent)


@pytest.mark.parametrize("policy", ["mask", "zero", "one", "soft"])
def test_uncertain_labels_under_each_policy(root, policy):
    task, masked = load_task("chexpert", root=root, label_policy=policy), load_task("chexpert", root=root)
    uncertain = np.isnan(masked.labels("train"))
    assert uncertain.any() and not np.isnan(load_task("chexpert", root=root, label_policy="zero").labels("train")).any()
    expected = {"mask": np.nan, "zero": 0.0, "one": 1.0, "soft": np.nan}[policy]
    assert np.array_equal(task.labels("train")[uncertain], np.full(uncertain.sum(), expected), equal_nan=True)
    assert (task.fingerprint, task.split_hash) == (masked.fingerprint, masked.split_hash)
    assert task.column("train", "id") == masked.column("train", "id")


def test_the_policy_changes_no_fold_and_no_fraction(root):
    ids = {
        policy: [
            load_task("chexpert", root=root, label_policy=policy, **how).column("train", "id")
            for how in ({"fold": 1}, {"fraction": 0.4})
        ]
        for policy in ("mask", "zero", "one", "soft")
    }
    assert ids["mask"] == ids["zero"] == ids["one"] == ids["soft"]


def test_soft_labels_differ_between_epochs_and_come_back(root, tmp_path):
    task = load_task("chexpert", root=root, label_policy="soft:0.6:0.8")
    data = decoded(task, "train", size=16, cache_dir=tmp_path)
    rows, where = np.arange(len(data.labels)), task.uncertain("train")
    first, again, later, other = (
        data.labels_of(rows, seed=seed, epoch=epoch) for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    assert np.array_equal(first, again) and not np.isnan(first).any()
    assert (first[where] != later[where]).mean() > 0.99 and (first[where] != other[where]).mean() > 0.99
    assert np.array_equal(first[~where], later[~where]) and 0.6 <= first[where].min() <= first[where].max() < 0.8
    assert np.array_equal(data.labels_of(rows[5:9], seed=0, epoch=1), later[5:9])
    assert np.isnan(task.labels("validation")[task.uncertain("validation")]).all()


def test_blank_is_absent_or_not_annotated(root):
    zero, mask = load_task("chexpert", root=root), load_task("chexpert,blank=mask", root=root)
    assert mask.name == "chexpert,blank=mask" and zero.name == "chexpert"
    blank = np.isnan(mask.labels("train")) & ~np.isnan(zero.labels("train"))
    assert blank.any() and (zero.labels("train")[blank] == 0).all()
    assert not (mask.labels("train")[:, 0] == 0).any()  # No Finding has no negative then
    assert zero.split_hash == mask.split_hash


def test_views(root):
    frontal, lateral, both = (load_task(f"chexpert,view={view}", root=root) for view in ("frontal", "lateral", "all"))
    assert both.name == "chexpert"
    assert {"lateral"} == set(lateral.column("train", "view")) and {"AP"} == set(frontal.column("train", "view"))
    sizes = [sum(table.num_rows for table in task.tables.values()) for task in (frontal, lateral)]
    assert sum(sizes) == sum(table.num_rows for table in both.tables.values())


def test_people_and_unknown_ages(copy):
    edit(copy / "train.csv", lambda rows: [rows[0] | {"Age": "0", "Sex": "Unknown"}, *rows[1:]])
    task = load_task("chexpert", root=copy, fold=0)
    people = {
        key: (sex, age)
        for split in task.tables
        for key, sex, age in zip(
            task.column(split, "id"), task.column(split, "sex"), task.column(split, "age"), strict=True
        )
    }
    assert people["train/patient00001/study1/view1_frontal.jpg"] == (None, None)
    assert set(people.values()) >= {("M", 22.0), ("F", 23.0)}


def test_the_official_test_table_has_no_people_and_is_read_right(root):
    task = load_task("chexpert,test=official", root=root)
    with (root / "CheXpert_test_official.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert task.column("test", "id") == [row["Path"].partition("/")[2] for row in rows]
    assert np.array_equal(task.labels("test"), [[float(row[name]) for name in FINDINGS] for row in rows])
    assert set(task.column("test", "sex")) == {None} and set(task.column("test", "view")) == {"frontal"}
    valid = load_task("chexpert", root=root)
    assert task.column("validation", "id") == valid.column("test", "id")
    assert task.tables["train"].num_rows == 90


def test_the_authors_table_of_test_studies_gives_the_same_labels(root, copy):
    (copy / "CheXpert_test_official.csv").unlink()
    images, studies = load_task("chexpert,test=official", root=root), load_task("chexpert,test=official", root=copy)
    assert images.column("test", "id") == studies.column("test", "id")
    assert np.array_equal(images.labels("test"), studies.labels("test"))
    (copy / images.column("test", "id")[0]).unlink()
    with raises(DataContractError, "images-missing"):
        load_task("chexpert,test=official", root=copy)


def test_every_view_of_a_listed_study_is_a_row(copy):
    (copy / "CheXpert_test_official.csv").unlink()
    first = next(copy.glob("test/*/*/view1_frontal.jpg"))
    shutil.copy(first, first.with_name("view2_lateral.jpg"))
    task = load_task("chexpert,test=official", root=copy)
    study = first.parent.relative_to(copy).as_posix()
    rows = [row for row, key in enumerate(task.column("test", "id")) if key.startswith(study)]
    assert len(rows) == 2 and np.array_equal(*task.labels("test")[rows])


def test_glockers_test_images_take_their_patients_out_of_training(root):
    whole, task = load_task("chexpert", root=root, fold=0), load_task("chexpert,test=glocker", root=root)
    chosen = set(task.groups("test"))
    assert not chosen & set(task.groups("train")) and chosen == {"patient00001", "patient00011", "patient00021"}
    left = task.tables["train"].num_rows + task.tables["test"].num_rows
    assert left < 90 and task.tables["validation"].num_rows == 16
    assert sum(table.num_rows for table in whole.tables.values()) == 106


def test_a_test_split_without_images_is_no_task(root):
    with raises(DataContractError, "test-split-empty"):
        load_task("chexpert,view=lateral,test=glocker", root=root)


def test_glockers_images_have_to_be_in_train(copy):
    edit(
        copy / "CheXpert_test_Glocker.csv",
        lambda rows: [rows[0] | {"Path": "x/train/patient9/study1/view1_frontal.jpg"}, *rows],
    )
    with raises(DataContractError, "images-not-in-table"):
        load_task("chexpert,test=glocker", root=copy)


def test_the_studies_lists_replace_the_split(root, tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    for old, new in (("train", "CheXpert_train_official"), ("valid", "CheXpert_test_official")):
        shutil.copy(root / f"{old}.csv", lists / f"{new}.csv")
    task = load_task("chexpert", root=root, split_file=lists)
    assert task.tables["test"].num_rows == 16 and "validation" in task.tables
    assert task.column("test", "id") == load_task("chexpert", root=root).column("test", "id")


@pytest.mark.parametrize("change, cause", [
    (lambda rows: [rows[0] | {"Edema": "maybe"}, *rows[1:]], "label-not-a-mark"),
    (lambda rows: [rows[0] | {"Path": "somewhere/else.jpg"}, *rows[1:]], "image-path-invalid"),
    (lambda rows: [{key: value for key, value in row.items() if key != "Fracture"} for row in rows], "columns-missing"),
    (lambda rows: [{key: value for key, value in row.items() if key != "Path"} for row in rows], "path-column-missing"),
    (lambda rows: [*rows, rows[0]], "image-id-repeated"),
    (lambda rows: [*rows, rows[0] | {"Path": "a/train/patient77777/study1/view1_frontal.jpg"}], "data-files-missing"),
])  # fmt: skip
def test_f34_broken_tables_say_why(copy, change, cause):
    edit(copy / "train.csv", change)
    with raises(DataContractError, cause):
        load_task("chexpert", root=copy)


def test_f34_a_patient_in_train_and_valid_is_named(copy):
    with (copy / "valid.csv").open() as stream:
        patient = next(csv.DictReader(stream))["Path"].split("/")[2]
    shutil.copytree(copy / "valid" / patient, copy / "train" / patient)
    edit(copy / "train.csv", lambda rows: [*rows, rows[0] | {"Path": f"a/train/{patient}/study1/view1_frontal.jpg"}])
    with raises(DataContractError, "patients-in-several-splits"):
        load_task("chexpert", root=copy)


def test_all_problems_are_heard_at_once(copy):
    def change(rows):
        rows[0]["Edema"], rows[1]["Path"] = "5", "nowhere"
        rows[2]["Path"] = rows[2]["Path"].replace("patient", "patient9")

    edit(copy / "train.csv", change)
    with collecting() as found:
        load_task("chexpert", root=copy)
    messages = " ".join(map(str, found))
    assert "Edema = '5'" in messages and "nowhere" in messages and "patient9" in messages


def test_unknown_policies_and_choices(root):
    with raises(UsageError, "label-policy-unknown"):
        load_task("chexpert", root=root, label_policy="maybe")
    with raises(UsageError, "task-choice-value-unknown"):
        load_task("chexpert,test=train", root=root)
    with raises(DataContractError, "data-layout-unknown"):
        place = root.parent / "bare"
        place.mkdir(exist_ok=True)
        for file in ("train.csv", "valid.csv"):
            shutil.copy(root / file, place / file)
        load_task("chexpert,test=official", root=place)
