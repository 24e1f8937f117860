"""What a dry run says before anything runs: what the columns can show, and the time from earlier runs."""

import numpy as np
import pytest

from medzoo.bench.statistics.resolution import planned, resolution
from medzoo.bench.suite import SuiteCell
from medzoo.bench.suites.plan import class_patients, resolution_line, time_line
from medzoo.data.task_registry import load_task


@pytest.fixture(scope="module")
def chest():
    return load_task("phantom_chest,n=40,n_validation=20,n_test=60")


def test_patients_of_both_classes_are_counted(chest):
    labels, patients = np.asarray(chest.labels("test")), np.asarray(chest.groups("test"))
    ((positives, negatives),) = class_patients(chest)
    assert positives == len({p for p, label in zip(patients, labels, strict=True) if label == 1})
    assert negatives == len({p for p, label in zip(patients, labels, strict=True) if label == 0})


def test_the_line_is_the_planned_resolution(chest):
    ((positives, negatives),) = class_patients(chest)
    expected = resolution(planned(positives, negatives, 3), 3, len(set(chest.groups("test"))))
    line = resolution_line("Chest", chest, 3)
    assert line.startswith("Chest: ") and f"{expected.detectable:.3f}" in line and "3 seeds" in line


def test_more_seeds_show_smaller_differences():
    values = [resolution(planned(100, 100, runs), runs, 200).detectable for runs in (1, 3, 10)]
    assert values[0] > values[2] and values[1] > values[2]


def test_a_task_with_too_few_patients_is_named():
    small = load_task("phantom_chest,n=40,n_validation=20,n_test=12")
    assert "no interval is possible" in resolution_line("Chest", small, 3)


def test_tasks_without_auroc_have_no_line():
    assert resolution_line("Lesions", load_task("phantom_lesions,n=20,n_validation=10,n_test=10"), 3) is None


def test_each_class_of_several_counts():
    oct_task = load_task("phantom_oct,n=40,n_validation=20,n_test=80")
    assert len(class_patients(oct_task)) == 4 and "typical label" in resolution_line("OCT", oct_task, 3)


def result(task, mode, seconds, status="ok"):
    return {
        "identity": {"task": {"id": task}, "protocol": {"mode": mode}},
        "train": {"wall_s": seconds},
        "status": status,
    }


def test_the_time_is_the_median_of_earlier_runs():
    cells = [SuiteCell("a", "a", name, "T", "medzoo", "finetune", 0) for name in ("phantom_ct", "phantom_ct", "other")]
    earlier = [result("phantom_ct", "finetune", seconds) for seconds in (10.0, 30.0, 500.0)]
    earlier += [result("phantom_ct", "linear", 1.0), result("other", "finetune", 7.0, "failed")]
    line = time_line(cells, earlier)
    assert "1 min" in line and "for 2 of them" in line
    assert time_line(cells, []) is None
