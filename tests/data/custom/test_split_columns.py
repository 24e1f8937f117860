import re

import pytest
from custom_samples import table, words
from expect import raises

from medzoo.data.task_registry import load_task
from medzoo.data.validation.check import check_task
from medzoo.errors import DataContractError, UsageError

HEADER = ["image", "label", "patient_id"]


def row(k, *more, folder=""):
    return (f"{folder}i{k}.png", "ab"[k % 2], f"p{k}", *more)


def half(k):
    return "train" if k < 20 else "test"


def trained_and_tested(task):
    """Numbers of the images in training (with the validation that is cut from it) and in test."""
    place = {int(re.search(r"i(\d+)", key)[1]): split for key, split in words(task).items()}
    return {k for k, split in place.items() if split != "test"}, {k for k, split in place.items() if split == "test"}


@pytest.mark.parametrize(
    "column", ["split", "Split", "SPLIT", "set", "Set", "subset", "partition", "phase", "usage", "data split", "fold"]
)
@pytest.mark.parametrize("spelled", [str, str.upper, lambda word: f"{word}ing set".replace("ting", "t")])
def test_a_column_of_split_names_is_the_split(tmp_path, column, spelled):
    task = load_task(table(tmp_path, [*HEADER, column], [row(k, spelled(half(k))) for k in range(40)]))
    assert trained_and_tested(task) == (set(range(20)), set(range(20, 40)))
    assert any(column in note for note in task.notes)


@pytest.mark.parametrize("column", ["purpose", "dataset", "splitt", "valid", "is_valid", "test", "Train"])
def test_a_column_that_may_be_the_split_is_refused_until_it_is_named(tmp_path, column):
    flag = column in ("valid", "is_valid", "test", "Train")
    first = lambda k: int((k < 20) == (column == "Train")) if flag else half(k)  # noqa: E731
    name = table(tmp_path, [*HEADER, column], [row(k, first(k)) for k in range(40)])
    with raises(DataContractError, "split-column-unclear", match=f"split={column}"):
        load_task(name)
    task = load_task(f"{name},split={column.lower()}")
    wanted = "validation" if "valid" in column else "test"
    assert {k for key, s in words(task).items() if s == wanted for k in [int(key[1:-4])]} == set(range(20, 40))
    made = load_task(f"{name},split=none")
    assert made.tables["train"].num_rows == 28 and any("made here" in note for note in made.notes)
    assert made.name.endswith(",split=none")


@pytest.mark.parametrize(
    "flags, train, test",
    [
        ({"is_test": lambda k: k >= 30}, set(range(30)), set(range(30, 40))),
        ({"isTest": lambda k: "yes" if k >= 30 else "no"}, set(range(30)), set(range(30, 40))),
        ({"is_train": lambda k: k < 20}, set(range(20)), set(range(20, 40))),
        ({"in_train": lambda k: int(k < 20), "in_test": lambda k: float(k >= 30)}, set(range(20)), set(range(30, 40))),
        ({"is_valid": lambda k: 10 <= k < 20, "is_test": lambda k: k >= 20}, set(range(20)), set(range(20, 40))),
    ],
)
def test_flags_are_the_split(tmp_path, flags, train, test):
    name = table(tmp_path, [*HEADER, *flags], [row(k, *(flag(k) for flag in flags.values())) for k in range(40)])
    assert trained_and_tested(load_task(name)) == (train, test)


def test_flags_that_contradict_each_other(tmp_path):
    name = table(tmp_path, [*HEADER, "is_train", "is_test"], [row(k, 1, int(k == 3)) for k in range(40)])
    with raises(DataContractError, "rows-in-several-splits", match=r"i3\.png"):
        load_task(name)


def test_a_flag_whose_name_says_nothing(tmp_path):
    name = table(tmp_path, [*HEADER, "chosen"], [row(k, k % 2) for k in range(40)])
    with raises(UsageError, "split-flag-unclear"):
        load_task(f"{name},split=chosen")
    with raises(DataContractError, "named-column-missing"):
        load_task(f"{name},split=chose")


def test_two_columns_have_to_agree(tmp_path):
    name = table(tmp_path / "a", [*HEADER, "split", "set"], [row(k, half(k), half(k).title()) for k in range(40)])
    assert trained_and_tested(load_task(name))[1] == set(range(20, 40))
    name = table(tmp_path / "b", [*HEADER, "split", "set"], [row(k, half(k), half(k + 5)) for k in range(40)])
    with raises(DataContractError, "split-sources-differ", match=r"5 rows.*i15\.png"):
        load_task(name)
    assert trained_and_tested(load_task(f"{name},split=set"))[1] == set(range(15, 40))


def test_the_folders_of_the_images_are_the_split_where_nothing_else_is(tmp_path):
    name = table(tmp_path / "a", HEADER, [row(k, folder=f"x/{half(k)}/") for k in range(40)])
    assert trained_and_tested(load_task(name))[1] == set(range(20, 40))
    name = table(tmp_path / "b", [*HEADER, "split"], [row(k, half(k + 3), folder=f"{half(k)}/") for k in range(40)])
    with raises(DataContractError, "split-sources-differ"):
        load_task(name)
    assert trained_and_tested(load_task(f"{name},split=split"))[1] == set(range(17, 40))
    name = table(tmp_path / "c", [*HEADER, "split"], [row(k, half(k), folder="train/") for k in range(40)])
    assert trained_and_tested(load_task(name))[1] == set(range(20, 40))  # one folder is no statement
    name = table(tmp_path / "d", HEADER, [row(k, folder=("val/", "test/")[k % 2]) for k in range(40)])
    with raises(DataContractError, "training-split-missing"):
        load_task(name)


@pytest.mark.parametrize("spelled", [str, lambda f: f + 1, lambda f: f"fold{f}", lambda f: float(f)])
def test_folds_of_the_data_are_used_and_never_ignored(tmp_path, spelled):
    name = table(tmp_path, [*HEADER, "Fold"], [row(k, spelled(k % 4)) for k in range(40)])
    with raises(UsageError, "fold-not-given", match="--fold 0 to 3"):
        load_task(name)
    task = load_task(name, fold=1)
    place = {int(key[1:-4]): split for key, split in words(task).items()}
    assert {k % 4 for k, s in place.items() if s == "test"} == {1} and {
        k % 4 for k, s in place.items() if s == "validation"
    } == {2}
    assert {k % 4 for k, s in place.items() if s == "train"} == {3, 0} and len(place) == 40
    with raises(UsageError, "fold-out-of-range"):
        load_task(name, fold=4)
    assert load_task(f"{name},split=none").tables["train"].num_rows == 28


def test_folds_within_a_training_split(tmp_path):
    rows = [row(k, k % 3 if k < 30 else "", "train" if k < 30 else "test") for k in range(40)]
    name = table(tmp_path, [*HEADER, "fold", "split"], rows)
    task = load_task(name, fold=2)
    place = {int(key[1:-4]): split for key, split in words(task).items()}
    assert {k for k, s in place.items() if s == "test"} == set(range(30, 40))
    assert {k % 3 for k, s in place.items() if s == "validation"} == {2}
    with raises(UsageError, "fold-not-given", match="fold"):
        load_task(name)


def test_a_split_that_medzoo_made_is_noted(tmp_path):
    task = load_task(table(tmp_path / "a", HEADER, [row(k) for k in range(40)]))
    assert [note for note in task.notes if "made here" in note and "70%" in note]
    task = load_task(table(tmp_path / "b", [*HEADER, "split"], [row(k, half(k)) for k in range(40)]))
    assert [note for note in task.notes if note.startswith("validation: none in the data")]
    assert not [note for note in load_task("phantom_oct").notes if "made here" in note]


def test_labels_and_patients_are_no_splits(tmp_path):
    rows = [(f"i{k}.png", ("train", "test")[k % 2], ("dev", "val", "test")[k % 3]) for k in range(40)]
    task = load_task(table(tmp_path, ["image", "label", "patient_id"], rows), groups="none")
    assert task.classes == ("test", "train") and task.tables["train"].num_rows == 28


def test_near_misses_of_column_names_are_told(tmp_path):
    name = table(tmp_path / "a", ["image", "label", "pateint_id", "spllit"], [row(k, "xy"[k % 2]) for k in range(40)])
    with raises(DataContractError, "patient-groups-missing", match="patient"):
        load_task(name)
    with pytest.warns(UserWarning, match=r"'spllit'|'pateint_id'") as told:
        load_task(name, groups="none")
    assert len(told) == 2
    notes = check_task(name, groups="pateint_id", progress=False).notes
    assert any("'spllit'" in note for note in notes) and not any("'pateint_id'" in note for note in notes)
    rows = [(f"i{k}.png", k % 2, k // 2 % 2, f"p{k}") for k in range(40)]
    with pytest.warns(UserWarning, match="'lable'"):
        load_task(table(tmp_path / "b", ["image", "lable", "Mass", "patient_id"], rows))
