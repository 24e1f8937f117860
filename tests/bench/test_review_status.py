"""A contributed run without numbers: one that diverged is a result, one that failed is none."""

import pytest
import sharing_samples as samples
from test_review import Folder

from medzoo.bench.layout import predictions_file


@pytest.fixture
def folder(tmp_path, monkeypatch):
    samples.read_here(monkeypatch)
    return Folder(tmp_path / "contribution")


@pytest.mark.parametrize(("status", "found"), [("failed", {"status"}), ("diverged", set())])
def test_a_run_without_numbers(folder, status, found):
    """Also where nothing else is wrong with it."""
    (folder.root / predictions_file(folder.name())).unlink()

    def emptied(result):
        result.update(status=status, metrics=[], predictions={"sha256": None, "rows": 0}, selection={})

    name = folder.edit(emptied)
    assert {check for check, file in folder.judge() if file == name} == found
