"""The suites of the studies: each is read and planned without data, and its rows are those that the study published."""

import pytest
from expect import raises

from medzoo.bench.dry_run import missing_of
from medzoo.bench.published.read import load_published
from medzoo.bench.suite_options import check_suite, places_of
from medzoo.bench.suites.read import list_suites, load_suite
from medzoo.errors import UnknownNameError
from medzoo.paths import data_dir

STUDIES = [name for name in list_suites() if load_suite(name).published or name == "medmnist"]


def test_every_study_has_a_suite():
    assert {"medmnist", "hosseinzadeh2021", "juodelyte2023", "jonske2023", "krones2024"} <= set(STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_every_suite_has_options_that_its_runs_take(name, tmp_path):
    suite = load_suite(name, root=tmp_path)
    check_suite(suite, places_of(suite, tmp_path / "out", device="cpu"))
    text = (data_dir("recipes") / "suites" / f"{name}.toml").read_text(encoding="utf-8")
    assert text.startswith("# ") and "Time: " in text and ("What differs" in text or "Missing" in text)


@pytest.mark.parametrize(
    "name", ["juodelyte2023", "jonske2023_linear", "krones2024", "krones2024_resnet50", "medmnist"]
)
def test_a_suite_is_planned_without_data(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    suite = load_suite(name, root=tmp_path)
    missing = missing_of(suite, places_of(suite, tmp_path / "out", device="cpu"))
    assert len(missing.cells) == len(suite.cells()) and missing.finished == 0
    assert sum(missing.unknown.values()) == len(missing.cells)  # the data are not on this machine
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [name for name in STUDIES if name != "medmnist"])
def test_the_rows_of_a_suite_hold_the_rows_of_its_study(name):
    suite = load_suite(name)
    study = load_published(suite.published)
    names = {
        study.row(cell.row).checkpoint
        for table in study.tables
        for cell in table.cells
        if table.mode == suite.mode
        and (table.column(cell.column).protocol or table.protocol) in suite.protocols
        and table.column(cell.column).task is not None
    }
    assert names - {None} <= set(suite.labels()), names
    assert suite.control in suite.labels()


def test_an_unknown_study_is_refused(tmp_path):
    file = tmp_path / "x.toml"
    file.write_text('published = "nobody2020"\ncheckpoints = ["a"]\ntasks = [{ name = "phantom_ct" }]')
    with raises(UnknownNameError, "unknown-published-study"):
        load_suite(file)
