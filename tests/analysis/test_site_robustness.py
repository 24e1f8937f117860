"""The analysis of sites on drawn images."""

import numpy as np
import pytest
from compared import compared
from expect import raises
from plotted import check_rows

from medzoo.analysis import site_robustness
from medzoo.errors import NotApplicableError, UsageError

CLASSES = ("none", "opacity")
CHEST = "phantom_chest,n=12,n_validation=6,n_test=90,image_size=32"


def with_sites(values, column="scanner", **options):
    inputs = compared(**{"task": CHEST, "images": 90, **options})
    tables = dict(inputs.task.tables)
    tables["test"] = tables["test"].append_column(column, [values])
    inputs.__dict__["task"] = inputs.task.with_tables(tables)
    return inputs


def test_sites_at_random():
    values = np.random.default_rng(0).choice(["north", "south"], 90).tolist()
    values[:3] = [None] * 3
    rows = site_robustness.run(with_sites(values), site_robustness.Options(site_draws=2))
    whole = [row for row in rows if row["measure"] == "robustness index"]
    assert [row["role"] for row in whole] == ["first", "second"] and whole[0]["n_images"] == 87
    assert whole[0]["column"] == "scanner" and 0.3 < whole[0]["balanced"] < 0.7
    assert {row["label"] for row in rows if row["measure"] == "robustness index of a class"} == set(CLASSES)
    assert "undecided" in check_rows(site_robustness, rows)


def test_bright_and_dark_scanners_are_seen():
    inputs = compared(task=CHEST, images=90)
    bright = [float(np.asarray(inputs.task.read("test", row)[0].array).mean()) for row in range(90)]
    values = ["a" if value < np.median(bright) else "b" for value in bright]
    rows = site_robustness.run(with_sites(values), site_robustness.Options(site_draws=1, site_column="scanner"))
    assert rows[0]["balanced_high"] < 0.5 and "neighbours share the site" in check_rows(site_robustness, rows)


@pytest.mark.parametrize(
    ("column", "code"), [("notes", "no-site-column"), ("view", "one-site-only")], ids=["other column", "one site"]
)
def test_nothing_to_compare(column, code):
    with raises(NotApplicableError, code):
        site_robustness.run(with_sites(["a"] * 90, column), site_robustness.Options())


def test_masks_have_no_classes():
    with raises(NotApplicableError, "index-needs-classes"):
        site_robustness.run(compared(task="phantom_lesions,n=6,n_validation=6,n_test=9"), site_robustness.Options())


def test_unknown_column():
    with raises(UsageError, "column-not-in-task"):
        site_robustness.run(compared(), site_robustness.Options(site_column="vendor"))
