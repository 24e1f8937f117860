import numpy as np
from data_samples import INFO
from expect import raises

from medzoo.data.build_task import by_split, make_task, marks, numbered, select_rows
from medzoo.data.label_policy import LabelPolicy
from medzoo.data.problems import collecting
from medzoo.errors import DataContractError

MULTI = INFO.__class__(**{**INFO.__dict__, "kind": "multilabel"})


def test_labels_are_found_by_name_whatever_the_order_of_columns():
    rows = [{"no": "1", "yes": "", "x": "9"}, {"yes": "-1.0", "x": "9", "no": "0.0"}]
    found = marks(rows, ("no", "yes"), ["a", "b"], "t.csv")
    assert np.array_equal(found, [[1, np.nan], [0, -1]], equal_nan=True)
    swapped = [dict(reversed(row.items())) for row in rows]
    assert np.array_equal(marks(swapped, ("no", "yes"), ["a", "b"], "t.csv"), found, equal_nan=True)


def test_f34_cells_that_are_no_labels_are_listed():
    with raises(DataContractError, "label-not-a-mark"):
        marks([{"no": "1", "yes": "2"}, {"no": "x", "yes": "0"}], ("no", "yes"), ["a", "b"], "t.csv")
    with raises(DataContractError, "label-outside-classes"):
        numbered(["no", "maybe"], ("no", "yes"), ["a", "b"], "t.csv")


def test_excluded_rows_are_left_out_and_the_rest_keeps_its_order():
    columns = {"id": list("abcd"), "label": np.arange(4)}
    parts = by_split(columns, ["test", "train", "excluded", "train"])
    assert (
        parts["train"]["id"] == ["b", "d"]
        and parts["train"]["label"].tolist() == [1, 3]
        and set(parts) == {"train", "test"}
    )
    assert select_rows(columns, [True, False, False, True])["id"] == ["a", "d"]


def test_a_task_of_rows_follows_its_policy_through_splits(tmp_path):
    rows = {
        "id": list("abcd"), "image": list("abcd"), "patient_id": list("abcd"),
        "label": np.array([[1, -1], [0, 1], [1, 1], [-1, 0]]),
    }  # fmt: skip
    words = ["train", "train", "train", "test"]
    one = make_task(MULTI, rows, words, tmp_path, [], policy=LabelPolicy("one"))
    assert (
        one.labels("train").tolist() == [[1, 1], [0, 1], [1, 1]]
        and one.label_policy == "one"
        and one.uncertain("train") is None
    )
    soft = make_task(MULTI, rows, words, tmp_path, [], policy=LabelPolicy("soft"))
    assert soft.uncertain("train").tolist() == [[False, True], [False, False], [False, False]]
    fewer = soft.with_tables({**soft.tables, "train": soft.tables["train"].take([2, 0])})
    assert fewer.uncertain("train").tolist() == [[False, False], [False, True]]
    pooled = make_task(MULTI, rows, words, tmp_path, [], policy=LabelPolicy(), pooled=True)
    assert set(pooled.tables) == {"all"}


def test_every_problem_is_gathered_at_once(tmp_path):
    rows = {"id": ["a", "a", "c"], "image": list("abc"), "patient_id": ["p", "", "p"], "label": [0, 5, 0]}
    with collecting() as found:
        make_task(INFO, rows, ["train", "train", "test"], tmp_path, [])
    said = " ".join(map(str, found))
    for part in (
        "1 ids occur more than once",
        "1 images have an empty patient",
        "are in more than one split",
        "outside the 2 classes",
    ):
        assert part in said
