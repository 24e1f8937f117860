"""Analyses, found by file name, keep the contract."""

import pytest
from contract_samples import check_analysis

from medzoo.analysis import _template, list_analyses, open_analysis
from medzoo.errors import UnknownNameError


@pytest.mark.parametrize("name", [*list_analyses(), "_template"])
def test_contract(name):
    check_analysis(_template if name == "_template" else open_analysis(name))


@pytest.mark.parametrize("name", ["nothing", "_template", "__init__"])
def test_an_unknown_analysis_is_an_error(name):
    with pytest.raises(UnknownNameError):
        open_analysis(name)
