"""The files of a report."""

import csv
import io

from medzoo.analysis.comparison.report import _csv


def test_a_spreadsheet_shows_names_as_text():
    """Names of columns too; numbers stay numbers."""
    text = _csv([{"pair": "=1+1", "value": -0.5}, {"pair": "a - b", "-label": None}])
    assert list(csv.reader(io.StringIO(text))) == [
        ["pair", "value", "'-label"],
        ["'=1+1", "-0.5", ""],
        ["a - b", "", ""],
    ]
