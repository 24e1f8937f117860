"""The analysis of the feature space on drawn images."""

import numpy as np
from compared import compared
from expect import raises
from plotted import check_rows

from medzoo.analysis import feature_space
from medzoo.errors import UsageError

OPTIONS = feature_space.Options(feature_draws=1)
CHEST = "phantom_chest,n=12,n_validation=6,n_test=90,image_size=32"


def of(rows, measure):
    return {row["role"]: row for row in rows if row["measure"] == measure}


def test_classes_without_domains():
    inputs = compared(task=CHEST, images=90)
    rows = feature_space.run(inputs, OPTIONS)
    assert {row["role"] for row in rows if row["measure"] == "map of classes"} == {"first", "second", "random"}
    points = [row for row in rows if row["measure"] == "map of classes" and row["role"] == "first"]
    assert {row["group"]: row["value"] for row in points} == inputs.task.counts("test")
    assert all(len(row["x"].split()) == len(row["y"].split()) == row["value"] for row in points)
    found = of(rows, "class separability")
    assert found["first"]["value"] == found["second"]["value"] and found["first"]["n_patients"] == 30
    assert of(rows, "class separability: difference")["second minus first"]["value"] == 0
    sentence = check_rows(feature_space, rows)
    assert "domains is not known" in sentence and "--domain-column" in sentence


def test_another_task_as_domain_is_separated_and_a_blind_network_does_not_see_it():
    def blind(module):
        for value in module.parameters():
            value.zero_()

    inputs = compared(task=CHEST, images=60, change=blind)
    second = "phantom_natural,n=12,n_validation=10,n_test=60,image_size=32"
    rows = feature_space.run(inputs, feature_space.Options(domain_task=second, feature_draws=1))
    found = of(rows, "domain separability")
    assert found["first"]["value"] > 0.9 and found["second"]["value"] == 0.5
    assert "The first network separates them more clearly" in check_rows(feature_space, rows)


def test_domains_by_a_column():
    inputs = compared(task=CHEST, images=90)
    task = inputs.task
    bright = [float(np.asarray(task.read("test", row)[0].array).mean()) for row in range(90)]
    values = ["dark" if value < np.median(bright) else "bright" for value in bright]
    tables = {**task.tables, "test": task.tables["test"].append_column("scanner", [values])}
    inputs.__dict__["task"] = task.with_tables(tables)
    rows = feature_space.run(inputs, OPTIONS)
    assert {row["group"] for row in rows if row["measure"] == "map of domains"} == {"scanner bright", "scanner dark"}
    assert of(rows, "domain separability")["first"]["value"] > 0.8
    check_rows(feature_space, rows)


def test_a_task_with_masks_has_a_map_without_classes():
    rows = feature_space.run(compared(task="phantom_lesions,n=6,n_validation=6,n_test=12,image_size=32"), OPTIONS)
    assert of(rows, "class separability")["first"]["reason"].startswith("the task is segmentation")
    check_rows(feature_space, rows)


def test_too_few_patients_have_a_reason():
    rows = feature_space.run(compared(images=12), OPTIONS)
    assert of(rows, "class separability")["first"]["reason"] == "fewer than two groups have 10 patients"
    check_rows(feature_space, rows)


def test_wrong_options():
    with raises(UsageError, "two-kinds-of-domains"):
        feature_space.run(compared(), feature_space.Options(domain_task="phantom_oct", domain_column="view"))
    with raises(UsageError, "column-not-in-task"):
        feature_space.run(compared(), feature_space.Options(domain_column="view"))
    with raises(UsageError, "option-not-a-choice"):
        feature_space.run(compared(), feature_space.Options(feature_map="tsne"))
