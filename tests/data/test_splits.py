import json

import numpy as np
import pytest
from data_samples import INFO, make, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from medzoo.data.splits import arrange, take_fraction
from medzoo.errors import DataContractError, UsageError


def many(count=200, kind="all", classes=2, per_patient=3, seed=0):
    rng = np.random.default_rng(seed)
    ids = [f"i{n}" for n in range(count)]
    patients = [f"p{n // per_patient}" for n in range(count)]
    return make(**{kind: rows(ids, [int(v) for v in rng.permutation(np.arange(count) % classes)], patients)})


def patients(task, split):
    return set(task.groups(split))


def test_data_without_splits_get_three_by_group():
    task = arrange(many())
    sizes = {split: len(patients(task, split)) / 67 for split in task.tables}
    assert list(sizes) == ["train", "validation", "test"]
    assert sizes["train"] == pytest.approx(0.7, abs=0.04) and sizes["test"] == pytest.approx(0.2, abs=0.04)
    assert arrange(many()).split_hash == task.split_hash != arrange(many(), seed=1).split_hash


def test_a_missing_validation_split_is_cut_from_train():
    task = many(kind="train")
    cut = arrange(task)
    assert patients(cut, "train") | patients(cut, "validation") == patients(task, "train")
    assert len(patients(cut, "validation")) == pytest.approx(6.7, abs=1)
    assert "test" not in cut.tables


def test_folds_are_five_and_cover_everything_once():
    tested = [patients(arrange(many(), fold=fold), "test") for fold in range(5)]
    assert set.union(*tested) == patients(many(), "all") and sum(map(len, tested)) == 67
    assert max(map(len, tested)) - min(map(len, tested)) <= 1
    assert patients(arrange(many(), fold=1), "validation") == tested[2]
    with pytest.raises(UsageError, match="no fold 5"):
        arrange(many(), fold=5)
    with pytest.raises(UsageError, match="leave --split-file out"):
        arrange(many(), fold=0, split_file="x.json")


@settings(max_examples=40, deadline=None)
@given(st.integers(30, 150), st.integers(1, 4), st.integers(0, 9), st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)))
def test_fractions_are_nested_by_group_and_keep_every_class(count, per_patient, seed, fractions):
    task = arrange(many(count, per_patient=per_patient, seed=seed))
    small, large = (take_fraction(task, fraction, seed=seed) for fraction in sorted(fractions))
    assert patients(small, "train") <= patients(large, "train") <= patients(task, "train")
    assert min(small.counts("train").values()) >= 1
    kept = [
        key
        for key, group in zip(task.column("train", "id"), task.groups("train"), strict=True)
        if group in patients(small, "train")
    ]
    assert small.column("train", "id") == kept  # whole groups, in the old order
    assert small.column("test", "id") == task.column("test", "id")


def test_fractions_are_stratified():
    task = many(400, "train", classes=2, per_patient=1)
    assert set(take_fraction(task, 0.1).counts("train").values()) == {20}


def test_fractions_of_multilabel_keep_rare_findings():
    multi = INFO.__class__(**{**INFO.__dict__, "kind": "multilabel"})
    labels = np.zeros((100, 2), np.float32)
    labels[:, 0], labels[37, 1] = np.arange(100) % 2, 1
    task = make(multi, train=rows([f"i{n}" for n in range(100)], labels))
    assert take_fraction(task, 0.01).counts("train")["yes"] == 1


def test_a_split_file_replaces_the_splits(tmp_path):
    task = many(6, per_patient=2)
    words = dict(zip(task.column("all", "id"), ["train", "train", "val", "val", "test", "test"], strict=True))
    (tmp_path / "s.json").write_text(json.dumps(words))
    by_split = {"train": ["i0", "i1"], "validation": ["i2", "i3"], "test": ["i4", "i5"]}
    (tmp_path / "t.json").write_text(json.dumps(by_split))
    (tmp_path / "u.csv").write_text("\ufeffid,split\r\n" + "".join(f"{key},{word}\r\n" for key, word in words.items()))
    for name in ("s.json", "t.json", "u.csv"):
        chosen = arrange(task, split_file=tmp_path / name)
        assert {split: table.num_rows for split, table in chosen.tables.items()} == {
            "train": 2,
            "validation": 2,
            "test": 2,
        }


@pytest.mark.parametrize(
    "content, cause",
    [
        ('{"i0": "train"}', "1 ids of task t have no split|5 ids of task t have no split"),
        ('{"zz": "train"}', "1 ids are not in task t: zz"),
        ('{"i0": "tarin"}', "unknown splits tarin"),
        ('{"train": ["i0"], "test": ["i0"]}', "1 ids are in two splits: i0"),
        ("[1, 2]", "should be an object"),
        ("{", "not usable"),
    ],
)
def test_broken_split_files_say_why(tmp_path, content, cause):
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(DataContractError, match=cause):
        arrange(many(6), split_file=tmp_path / "s.json")


def test_a_missing_split_file_and_a_csv_without_columns(tmp_path):
    with pytest.raises(DataContractError, match="cannot be read"):
        arrange(many(6), split_file=tmp_path / "none.csv")
    (tmp_path / "s.csv").write_text("name,part\na,train\n")
    with pytest.raises(DataContractError, match="columns id and split"):
        arrange(many(6), split_file=tmp_path / "s.csv")


def test_a_split_file_that_leaks_a_patient_is_refused(tmp_path):
    (tmp_path / "s.json").write_text(
        json.dumps({"train": ["i0", "i2", "i3"], "validation": ["i1"], "test": ["i4", "i5"]})
    )
    with pytest.raises(DataContractError, match=r"p0 \(train, validation\)"):
        arrange(many(6, per_patient=2), split_file=tmp_path / "s.json")


def test_too_few_groups_to_split():
    with pytest.raises(DataContractError, match="too few"):
        arrange(make(train=rows(["a", "b"], [0, 1], ["p", "p"])))
