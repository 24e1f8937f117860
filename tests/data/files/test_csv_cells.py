"""Cells of CSV files that a spreadsheet opens."""

import math

import pytest

from medzoo.data.files.csv_cells import as_text


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_a_text_that_a_spreadsheet_would_run_is_marked_as_text(first):
    assert as_text(f"{first}1+1") == f"'{first}1+1"


@pytest.mark.parametrize("cell", ["resnet50", "a=b", "", " =1", "'=1", -1, -0.5, -math.inf, None, True])
def test_other_cells_stay(cell):
    assert as_text(cell) is cell
