import numpy as np
import pytest
from data_samples import INFO, make, rows
from expect import raises

from medzoo.data import split_counts
from medzoo.data.split_counts import check_share, data_counts
from medzoo.data.splits import assign
from medzoo.data.splits.reduce_training import take_fraction
from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError


def task_of(per_class=40, per_patient=2):
    number = range(2 * per_class)
    ids, patients = [f"i{n}" for n in number], [f"p{n // per_patient}" for n in number]
    labels = [n // per_class for n in number]
    return make(train=rows(ids, labels, patients), test=rows(["t1", "t2"], [0, 1]))


def test_a_share_of_eight_a_class_gives_eight_a_class():
    task = task_of()
    part = take_fraction(task, 0.2)
    assert data_counts(part) == {"train": 16, "test": 2, "train patients": 8, "train: no": 8, "train: yes": 8}
    assert data_counts(task)["train"] == 80


def test_a_share_that_is_not_applied_is_noticed(monkeypatch):
    task = task_of()
    monkeypatch.setattr(type(task), "with_tables", lambda self, tables: self)
    with raises(DataContractError, "fraction-counts-differ"):
        take_fraction(task, 0.2)
    with pytest.raises(DataContractError):
        check_share(task_of(), take_fraction_of(task_of(), drop_test=True), {"p0"})


def take_fraction_of(task, drop_test):
    return make(train=rows(["i0", "i1"], [0, 1], ["p0", "p0"]), test=rows(["t1"], [0]))


def test_many_classes_are_not_listed(monkeypatch):
    monkeypatch.setattr(split_counts, "MANY", 1)
    assert data_counts(task_of()) | {"train: fewest of a class": 40} == data_counts(task_of())


def test_other_kinds():
    multi = INFO.__class__(**{**INFO.__dict__, "kind": "multilabel", "groups": "none: unknown"})
    task = make(multi, train=rows(["a", "b", "c"], np.array([[1, 0], [1, np.nan], [0, 1]], np.float32)))
    assert data_counts(task) == {"train": 3, "train: no": 2, "train: yes": 1}
    number = INFO.__class__(**{**INFO.__dict__, "kind": "regression", "classes": (), "metric": "mae"})
    assert data_counts(make(number, train=rows(["a", "b"], [1.5, 2.0]))) == {"train": 2, "train patients": 2}


def test_every_checkpoint_gets_the_same_patients_whatever_the_seed_of_its_training():
    one, two = (load_task("phantom_ct", fraction=0.3) for _ in range(2))
    assert one.column("train", "id") == two.column("train", "id") and one.split_hash == two.split_hash
    assert assign.FOLDS == 5
