import subprocess
import sys

import numpy as np
import pytest
from data_samples import INFO, fake_task, make, rows
from expect import raises

from medzoo.data.task_registry import list_tasks, load_task, task_info
from medzoo.errors import DataContractError, SplitError, UnknownNameError, UsageError


@pytest.mark.parametrize("name", list_tasks())
def test_every_task_keeps_the_contract(name, tmp_path):
    task = fake_task(name, tmp_path)
    info = task_info(name)
    assert info.name == name and info.license and info.how and info.metric in ("auroc", "accuracy", "dice", "mae")
    assert {"train", "validation", "test"} == set(task.splits) and len(task.fingerprint) == len(task.split_hash) == 64
    seen = {}
    for split, data in task.splits.items():
        assert {"id", "image", "patient_id"} <= set(data.column_names)
        labels = task.labels(split) if task.kind != "segmentation" else np.zeros(len(data), np.int64)
        assert len(labels) == len(data)
        if task.kind == "multilabel":
            assert labels.dtype == np.float32 and labels.shape == (len(data), len(task.classes))
        else:
            assert labels.dtype == np.int64 and labels.ndim == 1
        pixels, label = task.read(split, len(data) - 1)
        assert label is None if task.kind == "segmentation" else np.array_equal(label, labels[-1], equal_nan=True)
        assert pixels.array.ndim == (2 if task.info.channels == 1 else pixels.array.ndim)
        low, high = pixels.range
        assert low <= pixels.array.min() and pixels.array.max() <= high
        for group in task.groups(split):
            assert seen.setdefault(group, split) == split
    if task.kind != "segmentation":
        assert sum(task.counts("train").values()) >= len(task.classes)


@pytest.mark.parametrize("name", list_tasks())
def test_the_same_files_give_the_same_hashes_and_others_do_not(name, tmp_path):
    first, again = fake_task(name, tmp_path / "a"), fake_task(name, tmp_path / "b")
    assert (first.fingerprint, first.split_hash) == (again.fingerprint, again.split_hash)
    if not name.startswith("phantom"):
        assert fake_task(name, tmp_path / "c", seed=1).fingerprint != first.fingerprint


def test_listing_tasks_imports_nothing_heavy():
    code = (
        "import sys; from medzoo.data.task_registry import list_tasks, task_info; [task_info(n) for n in list_tasks()];"
        "print([m for m in ('torch', 'datasets', 'pandas', 'sklearn', 'timm', 'pyarrow') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_unknown_names_and_choices():
    with raises(UnknownNameError, "unknown-task"):
        load_task("pneumoniamnst")
    with pytest.raises(UnknownNameError):
        load_task("floder:some/where")
    with raises(UsageError, "task-choice-unknown"):
        load_task("phantom_ct,m=3")
    with raises(UsageError, "task-choice-not-a-number"):
        load_task("phantom_ct,n=-3")
    with raises(UsageError, "task-choice-malformed"):
        load_task("phantom_ct,n")
    with raises(UsageError, "task-choice-unknown"):
        load_task("pneumoniamnist,check_md5=0")
    with raises(UsageError, "task-option-fixed"):
        load_task("phantom_ct", groups="none")
    with raises(UsageError, "fraction-out-of-range", match="fraction"):
        load_task("phantom_ct", fraction=0)


def test_f34_a_patient_in_two_splits_is_named():
    with raises(SplitError, "patients-in-several-splits"):
        make(train=rows(["a", "b"], [0, 1], ["p1", "p2"]), test=rows(["c"], [0], ["p1"]))


def test_a_task_needs_groups_or_a_statement():
    columns = rows(["a", "b"], [0, 1])
    with raises(DataContractError, "columns-missing"):
        make(train={key: columns[key] for key in ("id", "image", "label")})
    for empty in (None, "", " nan "):
        with raises(DataContractError, "patient-id-empty"):
            make(train=rows(["a", "b"], [0, 1], ["p", empty]))


def test_f34_labels_outside_the_classes_are_listed():
    with raises(DataContractError, "label-outside-classes"):
        make(train=rows(["a", "b", "c"], [0, 2, -1]))
    multi = INFO.__class__(**{**INFO.__dict__, "kind": "multilabel"})
    with raises(DataContractError, "label-not-a-mark", match="b: yes = 3"):
        make(multi, train=rows(["a", "b"], np.array([[0, 1], [1, 3]])))
    with raises(DataContractError, "label-count-wrong"):
        make(multi, train=rows(["a", "b"], [[0.0, 1.0], [1.0]]))


@pytest.mark.parametrize(
    "splits, cause",
    [
        ({"train": rows(["a", "b"], [0, 0])}, "class-without-training-images"),
        ({"train": rows(["a", "a"], [0, 1])}, "image-id-repeated"),
        ({"train": rows(["a", ""], [0, 1])}, "image-id-empty"),
        ({"train": rows(["a", "b"], [0, 1]), "test": rows([], np.zeros(0, int))}, "split-empty"),
        ({"test": rows(["a", "b"], [0, 1])}, "training-split-missing"),
        ({"train": rows(["a", "b"], [0, 1]), "probe": rows(["c"], [0])}, "split-names-unknown"),
    ],
)
def test_broken_tasks_say_why(splits, cause):
    with raises(DataContractError, cause):
        make(**splits)


def test_missing_labels_of_a_multilabel_task_are_nan():
    multi = INFO.__class__(**{**INFO.__dict__, "kind": "multilabel"})
    task = make(multi, train=rows(["a", "b"], [[1.0, None], [0.0, 1.0]]))
    assert np.isnan(task.labels("train")[0, 1]) and task.counts("train") == {"no": 1, "yes": 1}


def test_asking_for_what_is_not_there():
    task = make(train=rows(["a", "b"], [0, 1]))
    with raises(UsageError, "split-unknown"):
        task.labels("test")
    with pytest.raises(IndexError):
        task.read("train", 2)
    with raises(DataContractError, "task-without-masks"):
        task.read_mask("train", 0)
    assert "binary" in repr(task)
