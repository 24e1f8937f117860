import csv
import shutil

import numpy as np
import pytest
from expect import raises

from medzoo.data.splits.assign import ALL_SHARES
from medzoo.data.task_registry import load_task
from medzoo.data.tasks import padchest
from medzoo.data.tasks.padchest import CLASSES, REVIEWED, TABLES, _words
from medzoo.errors import DataContractError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("data") / "root"
    padchest.fake(place, 12)
    return place


@pytest.fixture
def copy(root, tmp_path):
    shutil.copytree(root, tmp_path / "root")
    return tmp_path / "root"


def rows_of(root):
    with (root / TABLES[1]).open(newline="") as stream:
        return list(csv.DictReader(stream))


def write(root, rows):
    with (root / TABLES[1]).open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def all_of(task, column):
    return {
        key: value
        for split in task.tables
        for key, value in zip(task.column(split, "id"), task.column(split, column), strict=True)
    }


def test_only_reviewed_frontal_images_with_labels_are_kept(root):
    task = load_task("padchest", root=root)
    kept = {
        row["ImageID"]
        for row in rows_of(root)
        if row["Projection"] in ("PA", "AP") and row["MethodProjection"] == REVIEWED and row["Labels"]
    }
    assert set(all_of(task, "id")) == kept and len(kept) < len(rows_of(root))
    assert all_of(task, "view") == {
        row["ImageID"]: row["Projection"] for row in rows_of(root) if row["ImageID"] in kept
    }


def test_any_atelectasis_counts_and_the_others_are_exact(root):
    task = load_task("padchest", root=root)
    labels = all_of(task, "label")
    for row in rows_of(root):
        if row["ImageID"] in labels:
            words = _words(row["Labels"])
            assert labels[row["ImageID"]] == [
                float(any("atelectasis" in word for word in words)), float("cardiomegaly" in words),
                float("consolidation" in words), float("pulmonary edema" in words), float("pleural effusion" in words),
            ]  # fmt: skip


def test_the_splits_are_made_by_patient_since_the_study_only_evaluated(root):
    task = load_task("padchest", root=root)
    assert set(task.tables) == set(ALL_SHARES)
    assert task.split_hash != load_task("padchest", root=root, seed=1).split_hash
    groups = [set(task.groups(split)) for split in task.tables]
    assert not groups[0] & groups[1] and not groups[0] & groups[2]


def test_sixteen_bits_arrive_whole(root):
    pixels, _ = load_task("padchest", root=root).read("train", 0)
    assert pixels.array.dtype == np.uint16 and pixels.range == (0, 65535) and pixels.array.max() > 4095


def test_folder_0_has_four_classes(copy):
    rows = rows_of(copy)
    for row in rows:
        if row["ImageDir"] == "0":
            row["Labels"] = row["Labels"].replace("pulmonary edema", "normal")
    write(copy, rows)
    task = load_task("padchest,part=0", root=copy)
    assert task.name == "padchest,part=0" and task.classes == tuple(name for name in CLASSES if name != "Edema")
    assert {key.partition("/")[0] for key in all_of(task, "image").values()} == {"0"}
    write(copy, [row for row in rows if row["ImageDir"] == "0"])
    with raises(DataContractError, "class-without-images"):
        load_task("padchest", root=copy)


def test_labels_of_physicians(root):
    task = load_task("padchest,labels=physician", root=root)
    assert set(all_of(task, "labelled_by").values()) == {"physician"}
    assert set(all_of(load_task("padchest", root=root), "labelled_by").values()) == {"physician", "network"}


def test_the_studys_filtered_table_is_read_too(root, copy):
    (copy / TABLES[1]).rename(copy / TABLES[2])
    one, other = load_task("padchest", root=root), load_task("padchest", root=copy)
    assert one.split_hash == other.split_hash and all_of(one, "label") == all_of(other, "label")


def test_ages_and_sexes(root):
    task = load_task("padchest", root=root)
    number = {row["ImageID"]: int(row[""]) for row in rows_of(root)}
    for key, age in all_of(task, "age").items():
        assert age == 2014 - 1930 - number[key]
    assert set(all_of(task, "sex").values()) == {"F", "M"}


@pytest.mark.parametrize("text, words", [
    ("['normal']", {"normal"}),
    ("['a', ' pleural effusion ', '']", {"a", "pleural effusion"}),
    ('["it\'s", "B"]', {"it's", "b"}),
    ("[]", set()),
    ("normal", None), ("['a', 1]", None), ("{'a': 1}", None), ("", None), ("['a'", None), ("[" * 5000, None),
    ("__import__('os').system('true')", None), ("['a'] + ['b']", None), ("\x00", None),
])  # fmt: skip
def test_lists_in_cells_are_parsed_and_never_run(text, words):
    assert _words(text) == words


def test_f34_broken_cells_and_missing_images_are_named(copy):
    rows = rows_of(copy)
    good = next(
        row for row in rows if row["Projection"] == "PA" and row["MethodProjection"] == REVIEWED and row["Labels"]
    )
    write(copy, [row | {"Labels": "exec('x')"} if row is good else row for row in rows])
    with raises(DataContractError, "label-invalid"):
        load_task("padchest", root=copy)
    write(copy, rows)
    (copy / good["ImageDir"] / good["ImageID"]).unlink()
    with raises(DataContractError, "images-missing"):
        load_task("padchest", root=copy)
    write(copy, [row | {"Projection": "L"} for row in rows])
    with raises(DataContractError, "table-has-no-usable-rows"):
        load_task("padchest", root=copy)
