"""Few-shot parts and draws of the training split: exact, nested, over patients, equal whatever else a run does."""

import numpy as np
import pytest
from data_samples import INFO, make, rows
from expect import raises
from hypothesis import given, settings
from hypothesis import strategies as st

from medzoo.data.splits.assign import arrange
from medzoo.data.splits.reduce_training import reduce_training, take_fraction, take_per_class
from medzoo.data.task_registry import load_task
from medzoo.errors import DataContractError, UsageError


def single(count=120, per_patient=3, seed=0):
    """A task with two classes, several images per patient, and patients with images of both classes."""
    labels = np.random.default_rng(seed).permutation(np.arange(count) % 2).tolist()
    return arrange(
        make(all=rows([f"i{n}" for n in range(count)], labels, [f"p{n // per_patient}" for n in range(count)]))
    )


def multi(labels, patients=None):
    info = INFO.__class__(**{**INFO.__dict__, "kind": "multilabel"})
    return make(info, train=rows([f"i{n}" for n in range(len(labels))], np.asarray(labels, np.float32), patients))


def ids(task, split="train"):
    return task.column(split, "id")


@settings(max_examples=25, deadline=None)
@given(st.integers(60, 150), st.integers(1, 4), st.integers(0, 9), st.integers(1, 8), st.integers(1, 8))
def test_a_part_is_exact_nested_and_leaves_the_other_splits(count, per_patient, draw, one, two):
    task = single(count, per_patient)
    small, large = (take_per_class(task, number, draw=draw) for number in sorted((one, two)))
    assert set(small.counts("train").values()) == {min(one, two)}
    assert set(ids(small)) <= set(ids(large)) <= set(ids(task))
    for split in ("validation", "test"):
        assert ids(small, split) == ids(task, split)


def test_draws_differ_and_do_not_depend_on_the_order_of_the_rows():
    task = single()
    parts = [frozenset(ids(take_per_class(task, 5, draw=draw))) for draw in range(10)]
    assert len(set(parts)) == 10
    rows_turned = {split: table.take(list(range(table.num_rows))[::-1]) for split, table in task.tables.items()}
    assert frozenset(ids(take_per_class(task.with_tables(rows_turned), 5, draw=3))) == parts[3]
    every = set().union(*(ids(take_per_class(task, 5, draw=draw)) for draw in range(40)))
    assert len(every) > 0.95 * len(ids(task)), "some images are never drawn"


def test_images_come_from_as_many_patients_as_possible():
    labels, patients = [0] * 40 + [1] * 40, [f"p{n // 4}" for n in range(80)]
    task = make(train=rows([f"i{n}" for n in range(80)], labels, patients))
    for draw in range(5):
        assert len(set(take_per_class(task, 10, draw=draw).groups("train"))) == 20  # each class has ten patients
    twice = take_per_class(task, 15).groups("train")
    assert len(set(twice)) == 20 and max(map(twice.count, twice)) == 2


def test_a_class_with_fewer_images_is_named_with_its_count():
    task = make(train=rows([f"i{n}" for n in range(10)], [0] * 7 + [1] * 3))
    with raises(DataContractError, "class-smaller-than-per-class", match=r"yes \(3\).*--per-class 3 or less"):
        take_per_class(task, 4)
    assert take_per_class(task, 3).counts("train") == {"no": 3, "yes": 3}


def test_each_label_has_its_images_and_some_images_have_no_label():
    labels = np.zeros((60, 2))
    labels[:30, 0], labels[25:40, 1] = 1, 1  # 25 to 29 have both
    part = take_per_class(multi(labels), 4)
    found = part.labels("train")
    assert min(part.counts("train").values()) >= 4 and (found.sum(axis=1) == 0).sum() == 4
    assert set(ids(part)) <= set(ids(take_per_class(multi(labels), 9)))
    with raises(DataContractError, "class-smaller-than-per-class"):
        take_per_class(multi(labels), 16)
    # an image that is not annotated is not an image without a label
    labels[40:] = np.nan
    assert not np.isnan(take_per_class(multi(labels), 4).labels("train")).any()


def test_tasks_without_classes_are_refused():
    info = {**INFO.__dict__, "kind": "regression", "classes": (), "metric": "mae"}
    task = make(INFO.__class__(**info), train=rows(["a", "b"], [1.5, 2.0]))
    with raises(UsageError, "per-class-without-classes", match="--fraction"):
        take_per_class(task, 1)


def test_draws_of_a_fraction_are_nested_and_differ_from_the_part_without_a_number():
    task = single(300, 2)
    first = set(take_fraction(task, 0.2).groups("train"))
    for draw in range(3):
        small, large = (set(take_fraction(task, share, draw=draw).groups("train")) for share in (0.2, 0.6))
        assert small <= large and small != first


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"per_class": 2, "fraction": 0.5}, "per-class-with-fraction"),
        ({"draw": 1}, "draw-without-part"),
        ({"per_class": 0}, "part-out-of-range"),
        ({"per_class": 1, "draw": -1}, "part-out-of-range"),
        ({"fraction": 0.0}, "fraction-out-of-range"),
    ],
)
def test_parts_that_cannot_be_are_refused_before_the_data_are_opened(options, code, tmp_path):
    with raises(UsageError, code):
        load_task("pneumoniamnist", root=tmp_path / "absent", **options)


def test_everything_is_the_task_itself():
    task = single()
    assert reduce_training(task, fraction=1.0, per_class=None, draw=None) is task


def test_fewer_patients_than_folds_are_told():
    task = make(all=rows([f"i{n}" for n in range(12)], [n % 2 for n in range(12)], [f"p{n // 3}" for n in range(12)]))
    for fold in range(5):
        with raises(DataContractError, "fewer-groups-than-folds"):
            arrange(task, fold=fold)
