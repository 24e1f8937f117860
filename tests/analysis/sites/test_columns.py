"""Columns of a task that say where an image was made."""

import numpy as np
import pytest
from expect import raises

from medzoo.analysis.sites.columns import check_values_differ, column_values, usual_column
from medzoo.data.task_registry import load_task
from medzoo.errors import NotApplicableError, UsageError


def with_column(name, values):
    task = load_task("phantom_chest,n=24,n_validation=4,n_test=24,image_size=16")
    tables = dict(task.tables)
    tables["test"] = tables["test"].append_column(name, [values])
    return task.with_tables(tables)


def test_values_follow_the_ids():
    task = with_column("Site", ["a", None, " b "] * 8)
    assert usual_column(task, "test") == "Site"
    ids = [str(name) for name in task.column("test", "id")]
    assert column_values(task, "test", [ids[2], ids[0], ids[1]], "Site", "--x").tolist() == ["b", "a", ""]


def test_refused_columns():
    task = with_column("age", list(range(24)))
    assert usual_column(task, "test") is None
    ids = [str(name) for name in task.column("test", "id")]
    with raises(UsageError, "column-not-in-task", match="--site-column"):
        column_values(task, "test", ids, "scanner", "--site-column")
    with raises(UsageError, "column-has-many-values", match="24 values"):
        column_values(task, "test", ids, "age", "--site-column")


@pytest.mark.parametrize("values", [["a", "a"], ["", ""], ["a", ""]])
def test_one_site(values):
    with raises(NotApplicableError, "one-site-only"):
        check_values_differ(np.array(values), "site")
