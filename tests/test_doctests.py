"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil
from importlib.util import find_spec
from pathlib import Path

import pytest

import medzoo

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(medzoo.__path__, "medzoo.")
    if not module.name.startswith(("medzoo.__", "medzoo.recipes"))
)
WITH_EXAMPLES = [name for name in MODULES if ">>> " in Path(find_spec(name).origin).read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_every_module_can_be_imported_and_many_have_examples():
    for name in MODULES:
        importlib.import_module(name)
    assert len(WITH_EXAMPLES) > 100
